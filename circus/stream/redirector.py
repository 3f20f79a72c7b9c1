"""The way of a worker's output: from its pipes, in whole lines, to the streams of its watcher.

Owns the read ends of the pipes, the last unfinished line of each, and what is known of a stream's health. Knows neither
watchers nor what a stream does with the bytes.
Invariant: what a process wrote reaches the stream in order and in whole lines, up to end of file; what a stream refuses
is counted; nothing that a stream does ends the loop or holds it up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from circus import logger
from circus.ports import OutputStream
from circus.stream.pipe import Pipe
from circus.stream.target import Target

# What a pipe can hold by right of an ordinary user; more than that in one go is a child that goes on writing.
_DRAIN_LIMIT = 1 << 20


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


class _HasOutput(Protocol):
    @property
    def pid(self) -> int: ...
    @property
    def wid(self) -> int: ...
    @property
    def stdout(self) -> _HasFileno | None: ...
    @property
    def stderr(self) -> _HasFileno | None: ...


Counted = Callable[[str, int, int], None]


class Redirector:
    """Reads the pipes of one watcher's processes and feeds its streams.

    `on_chunk` is told (name, bytes, lines) of what was read, `on_drop` of what a stream refused; `label` names the
    watcher in the log. A pipe without a stream is read and thrown away, so that its process never waits for us.
    """

    def __init__(  # noqa: PLR0917 - 0.19's signature, longer
        self,
        stdout_redirect: OutputStream | None,
        stderr_redirect: OutputStream | None,
        buffer: int = 65536,
        loop: asyncio.AbstractEventLoop | None = None,
        on_chunk: Counted | None = None,
        on_drop: Counted | None = None,
        label: str = "",
    ) -> None:
        self.running = False
        self.buffer = buffer
        self.loop = loop
        self._on_chunk = on_chunk
        self._pipes: dict[int, list[Pipe]] = {}
        self._lingering: set[Pipe] = set()
        self._targets = {
            name: Target(writer, " ".join(filter(None, (name, label and f"of {label}"))), self._on_target_free, on_drop)
            for name, writer in (("stdout", stdout_redirect), ("stderr", stderr_redirect))
        }

    def start(self) -> None:
        """Open the streams and begin to read, in the loop given or the one that runs.

        A stream that cannot be opened is told in the log; it is tried again with each chunk.
        """
        if self.running:
            return
        if self.loop is None:
            self.loop = asyncio.get_running_loop()
        self.running = True
        for target in self._targets.values():
            target.open()
        for pipe in self._all():
            self._watch(pipe)

    def stop(self) -> None:
        """Deliver what is in the pipes now, then close them all.

        A process that still lives gets an error at its next line, so this comes after the last one has ended.
        """
        for pipe in self._all():
            self._unwatch(pipe)
            self._drain(pipe)
            self._close(pipe)
        for target in self._targets.values():
            target.give_up()
        self._pipes.clear()
        self._lingering.clear()
        self.running = False

    def add_redirections(self, process: _HasOutput) -> None:
        """Take over the read ends of a process; they are ours to close from now on."""
        if process.pid in self._pipes:
            return
        pipes = [
            Pipe(end, name, process.pid, process.wid)
            for name, end in (("stdout", process.stdout), ("stderr", process.stderr))
            if end is not None
        ]
        if pipes:
            self._pipes[process.pid] = pipes
        if self.running:
            for pipe in pipes:
                self._watch(pipe)

    def remove_redirections(self, process: _HasOutput) -> bool:
        """For a process that has ended: deliver what it left, down to a last line without newline.

        Never waits. A pipe that somebody else still holds open, such as a child of the process, or whose stream is
        too slow just now, is read on until end of file or `stop`; the answer is then False.
        """
        done = True
        for pipe in self._pipes.pop(process.pid, ()):
            self._unwatch(pipe)
            if not self._targets[pipe.name].waiting:
                if self._drain(pipe):
                    self._close(pipe)
                    continue
                # It may be the last word of the process as well as half a line of its child: not to be kept back.
                self._deliver_rest(pipe, partial=True)
            done = False
            self._lingering.add(pipe)
            if self.running:
                self._watch(pipe)
            logger.debug("pid %d has ended but its %s is still held open: reading on", pipe.pid, pipe.name)
        return done

    def change_stream(self, name: str, writer: OutputStream | None) -> None:
        """Put another stream in the place of one; the old one is the caller's to close."""
        self._targets[name].change(writer)
        if self.running:
            self._targets[name].open()

    def get_stream(self, name: str) -> OutputStream | None:
        """The stream that takes `stdout` or `stderr`."""
        return self._targets[name].writer

    @property
    def drops(self) -> dict[str, tuple[int, int]]:
        """(bytes, lines) that each stream refused."""
        return {name: (target.dropped_bytes, target.dropped_lines) for name, target in self._targets.items()}

    def _all(self) -> list[Pipe]:
        return [pipe for pipes in self._pipes.values() for pipe in pipes] + list(self._lingering)

    def _watch(self, pipe: Pipe) -> None:
        if self.loop is not None and not pipe.closed and not self._targets[pipe.name].waiting:
            self.loop.add_reader(pipe.fd, self._on_readable, pipe)

    def _unwatch(self, pipe: Pipe) -> None:
        if self.loop is not None and not pipe.closed:
            self.loop.remove_reader(pipe.fd)

    def _on_readable(self, pipe: Pipe) -> None:
        """One read and no more: beside a process that floods, the others keep their turn."""
        if self._read(pipe) == 0:
            self._unwatch(pipe)
            self._close(pipe)

    def _read(self, pipe: Pipe) -> int | None:
        """Read once and deliver; how many bytes, 0 at end of file, None when there is nothing now."""
        block = pipe.read(self.buffer)
        if not block:
            return None if block is None else 0
        if self._on_chunk is not None:
            self._on_chunk(pipe.name, len(block), block.count(b"\n"))
        lines, piece = pipe.take(block)
        if lines:
            self._deliver(pipe, lines, partial=False)
        if piece:
            self._deliver(pipe, piece, partial=True)
        return len(block)

    def _drain(self, pipe: Pipe) -> bool:
        """Read what is there without waiting; whether its end was reached."""
        total = 0
        while total < _DRAIN_LIMIT:
            count = self._read(pipe)
            if not count:
                return count == 0
            total += count
        return False

    def _close(self, pipe: Pipe) -> None:
        self._deliver_rest(pipe, partial=False)
        pipe.close()
        self._lingering.discard(pipe)

    def _deliver_rest(self, pipe: Pipe, *, partial: bool) -> None:
        """The last line, which has no newline."""
        rest = pipe.take_rest()
        if rest:
            if self._on_chunk is not None and not partial:
                self._on_chunk(pipe.name, 0, 1)
            self._deliver(pipe, rest, partial=partial)

    def _deliver(self, pipe: Pipe, data: bytes, *, partial: bool) -> None:
        chunk = {"data": data, "pid": pipe.pid, "name": pipe.name, "wid": pipe.wid}
        if partial:
            chunk["partial"] = True
        target = self._targets[pipe.name]
        if target.send(chunk) and self.loop is not None and not target.waiting:
            target.wait(self.loop)
            for each in self._all():
                if each.name == pipe.name:
                    self._unwatch(each)

    def _on_target_free(self, target: Target) -> None:
        for pipe in self._all():
            if self._targets[pipe.name] is target and self.running:
                self._watch(pipe)
