"""What was answered to requests that can change something, for who lost the answer with the connection.

A request that is sent again is done only if it cannot have been done before. Owns the last replies, and since when they
are all there; refuses to know how they are sent. Moments are monotonic. Invariant: `reaches` is no earlier than the
first reply that is not known any more, or that another program gave.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from circus.exc import COMMAND_ERROR
from circus.handover import AnsweredRecord
from circus.jobs import Job
from circus.wire.messages import NULL, error_reply

MOST_REPLIES: Final = 256
MOST_BYTES: Final = 256 * 1024
UNSURE: Final = (
    "the connection was lost, and whether this was done already is not known to circusd; look, and send it anew if not"
)


class Answered:
    """The last replies. `serve` comes before everything else but `take_over`."""

    def __init__(self) -> None:
        self._replies: OrderedDict[tuple[str, bytes], tuple[float, bytes]] = OrderedDict()
        self._bytes = 0
        self._reaches: float | None = None
        self._serving = 0.0

    def serve(self, now: float) -> None:
        """From now on connections are accepted, and those of before are lost."""
        self._serving = now
        if self._reaches is None:  # nothing was answered before
            self._reaches = now

    def keep(self, job: Job, body: bytes, now: float) -> None:
        """A reply was given."""
        if _only_reads(job) or job.request.cast or job.request.id == NULL:
            return
        _, before = self._replies.pop(_key(job), (now, b""))
        self._replies[_key(job)] = (now, body)
        self._bytes += len(body) - len(before)
        while len(self._replies) > MOST_REPLIES or self._bytes > MOST_BYTES:
            _, (given, gone) = self._replies.popitem(last=False)
            self._bytes -= len(gone)
            self._reaches = given if self._reaches is None else max(self._reaches, given)

    def settled(self, job: Job, under_way: Iterable[Job]) -> bytes | None:
        """What to send to who repeats a request, at once; nothing when the answer is under way to him from now on. None
        when it is to be done.
        """
        if job.request.again is None or _only_reads(job):
            return None
        for other in under_way:
            if _key(other) == _key(job) and not other.replied:
                other.route = job.route
                return b""
        if _key(job) in self._replies:
            return self._replies[_key(job)][1]
        if self._is_new(job.request.again):
            return None
        return error_reply(UNSURE, COMMAND_ERROR, job.request.id, time.time())

    def _is_new(self, seconds: float) -> bool:
        """Whether what was sent first that long ago would be among the replies if it had been done.

        `seconds` were counted when the connection was there, so not before this program began to serve: the request was
        sent first no earlier than that many seconds before that moment.
        """
        return self._reaches is not None and self._serving - seconds > self._reaches

    def handed(self) -> AnsweredRecord:
        """All of it, to be handed over."""
        replies = [(name, request_id, given, body) for (name, request_id), (given, body) in self._replies.items()]
        return AnsweredRecord(replies=replies, reaches=self._serving if self._reaches is None else self._reaches)

    def take_over(self, record: AnsweredRecord | None) -> None:
        """Go on from there; a program that kept nothing hands over None."""
        if record is not None:
            self._replies = OrderedDict(((name, ident), (given, body)) for name, ident, given, body in record.replies)
            self._bytes = sum(len(body) for _, body in self._replies.values())
            self._reaches = record.reaches


def _only_reads(job: Job) -> bool:
    """Some make records of their own, and are not recorded besides."""
    return not job.command.changes and job.command.role == "read"


def _key(job: Job) -> tuple[str, bytes]:
    return job.command.name, bytes(job.request.id)
