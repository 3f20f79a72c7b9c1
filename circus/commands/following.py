"""Following the output of workers from outside, and printing it.

Owns which lines were shown already. Invariant: no line is shown twice, and lines that were missed are asked for; what
the daemon does not keep any more is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from circus.exc import CallError, MessageError

if TYPE_CHECKING:
    from circus.consumer import CircusConsumer

Chunk = Mapping[str, Any]

# The subscription takes a moment to reach the daemon; so long what it missed is asked for soon, later now and then.
_FIRST_PAUSES = (0.05, 0.2, 1.0)
_PAUSE = 5.0


class Follower:
    """The lines of a watcher that were not seen yet.

    `lost` is told how many lines were written and are not to be had any more, `silent` why the daemon does not answer.
    """

    def __init__(
        self,
        call: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        request: dict[str, Any],
        lost: Callable[[int], None],
        silent: Callable[[str], None],
    ) -> None:
        self._call, self._request = call, request
        self._lost, self._silent = lost, silent
        self._answered = True
        self._life: str | None = None
        self._watcher: str | None = None
        self._following: dict[tuple[int, str], int] = {}

    def first(self) -> list[Chunk]:
        """The last lines until now; MessageError when the daemon refuses."""
        reply = self._call(self._request)
        if reply.get("status") != "ok":
            raise MessageError(str(reply.get("reason")))
        self._life, self._watcher = reply["life"], reply["watcher"]
        self._following = {(each["wid"], each["stream"]): each["seq"] for each in reply["next"]}
        return list(reply["chunks"])

    @property
    def topic(self) -> str:
        """What is to be subscribed to."""
        from circus.wire.topics import res_name

        props = self._request["properties"]
        return f"log.{res_name(props['name'])}." + (f"{props['wid']}." if "wid" in props else "")

    def follow(self, consumer: CircusConsumer) -> Iterator[Chunk]:
        """What is written from now on, for ever."""
        from itertools import chain, repeat
        from json import loads

        stream = self._request["properties"].get("stream")
        for pause in chain(_FIRST_PAUSES, repeat(_PAUSE)):
            heard = consumer.receive(pause)
            if heard is None:
                yield from self._missed()
            # The topic of `web.1` begins like that of the first worker of `web`.
            elif (chunk := loads(heard[1]))["watcher"] == self._watcher and stream in (None, chunk["stream"]):
                yield from self._heard(chunk)

    def _heard(self, chunk: Chunk) -> Iterator[Chunk]:
        if chunk["life"] != self._life or chunk["seq"] > self._following.get((chunk["wid"], chunk["stream"]), 0):
            yield from self._missed()
        yield from self._fresh(chunk)

    def _missed(self) -> Iterator[Chunk]:
        """What the daemon has and we have not."""
        props = {key: value for key, value in self._request["properties"].items() if key != "lines"}
        after = [{"wid": wid, "stream": stream, "seq": seq} for (wid, stream), seq in self._following.items()]
        try:
            reply = self._call({**self._request, "properties": {**props, "life": self._life, "after": after}})
        except CallError as error:
            reply = {"reason": str(error).partition("\n")[0]}
        answered, self._answered = self._answered, reply.get("status") == "ok"
        if answered and not self._answered:  # said once: it may come back
            self._silent(str(reply.get("reason")))
        for chunk in reply.get("chunks", ()):
            yield from self._fresh(chunk)

    def _fresh(self, chunk: Chunk) -> Iterator[Chunk]:
        """The part of a chunk that was not seen yet."""
        if chunk["life"] != self._life:
            self._life, self._following = chunk["life"], {}
        key, seq, lines = (chunk["wid"], chunk["stream"]), chunk["seq"], chunk["lines"]
        expected = self._following.get(key, 0)
        if seq > expected:
            self._lost(seq - expected)
        fresh = lines[max(expected - seq, 0) :]
        if fresh:
            self._following[key] = seq + len(lines)
            yield {**chunk, "seq": max(seq, expected), "lines": fresh}


class Printed:
    """Chunks as lines for people: with wid and output before each as soon as there is more than one source."""

    def __init__(self) -> None:
        self._sources: set[tuple[int, str]] = set()

    def lines(self, chunks: Iterable[Chunk]) -> Iterator[str]:
        """The lines of these chunks."""
        known = list(chunks)
        self._sources |= {(chunk["wid"], chunk["stream"]) for chunk in known}
        for chunk in known:
            before = f"{chunk['wid']} {chunk['stream']} | " if len(self._sources) > 1 else ""
            yield from (before + line for line in chunk["lines"])
