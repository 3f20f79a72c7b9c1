"""A stream as its redirector sees it: whether it takes what it is given.

Owns the health of one stream: what it refused, whether that was said, whether it is too slow just now. Knows neither
pipes nor processes. Invariant: an error of a stream is counted every time, told once, and never passed on.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from circus import logger
from circus.stream.base import BaseStream, Unwritten

if TYPE_CHECKING:
    from circus.ports import OutputStream

# A stream that fails, works and fails again is mentioned no more often than this.
_QUIET_SECONDS = 30.0

Dropped = Callable[[str, int, int, str], None]
"""Told what a stream refused: stdout or stderr, bytes, lines, why."""


class Target:
    """The stream of one or of all processes of a watcher; `waiting` while it has to catch up before it gets more.

    `label` begins with the name of the output and says whose it is. `users` is how many pipes lead here; it is kept by
    the redirector.
    """

    def __init__(
        self,
        writer: OutputStream | None,
        label: str,
        on_free: Callable[[Target], None],
        on_drop: Dropped | None,
    ) -> None:
        self.waiting = False
        self.users = 0
        self.dropped_bytes = 0
        self.writer = writer
        self._label = label
        self._name = label.partition(" ")[0]
        self._on_free = on_free
        self._on_drop = on_drop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watched: int | None = None
        self._failing = False
        self._told = False
        self._told_at = float("-inf")
        self._dropped_before = 0
        self._patient = writer if isinstance(writer, BaseStream) else None

    @property
    def pending(self) -> bool:
        """Whether the stream has something that it could not write yet."""
        return self._patient is not None and bool(self._patient.pending)

    def open(self) -> None:
        """Let the stream make ready, so that a missing folder is told now and not at the first line."""
        opener = getattr(self.writer, "open", None)
        if opener is None:
            return
        try:
            opener()
        except (Exception, SystemExit) as error:  # whatever a stranger's stream raises, supervision goes on
            self._drop(0, 0, error)

    def reopen(self) -> None:
        """Let the stream take up its path anew; one that knows no such thing is closed and opened."""
        writer: Any = self.writer
        reopener = getattr(writer, "reopen", None)
        if reopener is None:
            close_stream(writer)
            self.open()
            return
        try:
            reopener()
        except (Exception, SystemExit) as error:  # as in open
            logger.error("%s goes on as it was: %s", self._label, _reason(error))

    def send(self, chunk: Mapping[str, Any]) -> bool:
        """Give a chunk to the stream; whether it has to catch up before the next."""
        if self.writer is None:
            return False
        try:
            self.writer(chunk)
        except Unwritten as error:
            self._drop(error.size, error.lines, error)
        except (Exception, SystemExit) as error:  # as in open
            self._drop(len(chunk["data"]), chunk["data"].count(b"\n") or 1, error)
        else:
            if self._failing:
                self._recovered()
        return self._patient is not None and bool(self._patient.pending)

    def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """Be told by the loop when the stream can go on."""
        assert self._patient is not None  # only such a stream has anything to catch up with
        self.waiting = True
        self._loop = loop
        # A descriptor of its own: the loop knows one writer for each, and two streams may share our output.
        self._watched = os.dup(self._patient.fileno())
        loop.add_writer(self._watched, self._go_on)

    def give_up(self) -> None:
        """Last chance for what the stream still has; the rest is counted as dropped."""
        if self._patient is None or not self._patient.pending:
            return
        self._resume(self._patient)
        left = self._patient.pending
        if left:
            self._drop(len(left), left.count(b"\n"), TimeoutError("its reader is too slow"))
            self._patient.discard()
        self._free()

    def close(self) -> None:
        """The stream is not needed any more; what it still has gets its last chance."""
        self.give_up()
        close_stream(self.writer)

    def _go_on(self) -> None:
        assert self._patient is not None and self._loop is not None  # noqa: PT018 - what wait() left behind
        self._unwatch()
        self._resume(self._patient)
        if self._patient.pending:
            self.wait(self._loop)
        else:
            self._free()

    def _resume(self, writer: BaseStream) -> None:
        left = writer.pending
        size, lines = len(left), left.count(b"\n")
        try:
            writer.resume()
        except (Exception, SystemExit) as error:  # as in open
            self._drop(size, lines, error)

    def _free(self) -> None:
        self._unwatch()
        self.waiting = False
        self._on_free(self)

    def _unwatch(self) -> None:
        if self._watched is not None and self._loop is not None:
            self._loop.remove_writer(self._watched)
            os.close(self._watched)
            self._watched = None

    def _drop(self, size: int, lines: int, error: BaseException) -> None:
        self.dropped_bytes += size
        if self._on_drop is not None and size:
            self._on_drop(self._name, size, lines, _reason(error))
        if self._failing:
            return
        self._failing = True
        self._dropped_before = self.dropped_bytes - size
        now = time.monotonic()
        self._told = now - self._told_at >= _QUIET_SECONDS
        if self._told:
            self._told_at = now
            logger.error("%s is lost until it can be written again: %s", self._label, _reason(error))

    def _recovered(self) -> None:
        self._failing = False
        if self._told:
            logger.warning(
                "%s is written again; %d bytes were lost", self._label, self.dropped_bytes - self._dropped_before
            )


def close_stream(writer: object) -> None:
    """Close a stream. To have `close` is optional, and custom ones may raise anything: the watcher goes on."""
    try:
        getattr(writer, "close", _nothing)()
    except (Exception, SystemExit):
        logger.exception("cannot close the stream %r", writer)


def _nothing() -> None:
    """Stand-in for a stream that needs no closing."""


def _reason(error: BaseException) -> str:
    """What a person needs to know: an error of the system by its words, one of the code by its name too."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"
