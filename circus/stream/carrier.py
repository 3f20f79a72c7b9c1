"""The way of a worker's output: from its pipes, in whole lines, to the streams of its watcher.

Owns the read ends of the pipes, the last unfinished line of each, and what is known of a stream's health. Knows neither
watchers nor what a stream does with the bytes.
Invariant: what a process wrote reaches the stream in order and in whole lines, up to end of file; what a stream refuses
is counted; nothing that a stream does ends the loop or holds it up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from circus import logger
from circus.stream.per_worker import PerWorker
from circus.stream.pipe import HasOutput, Pipe
from circus.stream.ring import Rings
from circus.stream.target import Dropped, Target

if TYPE_CHECKING:
    from circus.ports import OutputStream

# What a pipe can hold by right of an ordinary user; more than that in one go is a child that goes on writing.
_DRAIN_LIMIT = 1 << 20


Counted = Callable[[str, int, int], None]
Passed = Callable[[Pipe, bytes, int], None]
Writer: TypeAlias = "OutputStream | PerWorker | None"


class Carrier:
    """Reads the pipes of one watcher's processes and feeds its streams.

    A pipe without a stream is read and thrown away, so that its process never waits for us.

    Attributes:
        running: whether pipes are read.
        drops: (bytes, lines) that the streams refused, by name.
    """

    def __init__(
        self,
        stdout_redirect: Writer,
        stderr_redirect: Writer,
        buffer: int = 65536,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.running = False
        self.buffer = buffer
        self.loop = loop
        self.drops = {"stdout": (0, 0), "stderr": (0, 0)}
        self._on_chunk: Counted | None = None
        self._on_drop: Dropped | None = None
        self._on_lines: Passed | None = None
        self._rings, self._label = Rings(), ""
        self._pipes: dict[int, list[Pipe]] = {}
        self._lingering: set[Pipe] = set()
        self._writers: dict[str, Writer] = {"stdout": stdout_redirect, "stderr": stderr_redirect}
        # One for each output, or one for each slot where the stream is one for each worker.
        self._targets: dict[tuple[str, int | None], Target] = {}
        # Replaced, and not done yet with what their slow readers left.
        self._retired: set[Target] = set()
        for name in self._writers:
            self._prepare(name)

    def report(
        self,
        *,
        on_chunk: Counted | None = None,
        on_drop: Dropped | None = None,
        on_lines: Passed | None = None,
        rings: Rings | None = None,
        label: str = "",
    ) -> None:
        """Tell what passes, before anything does.

        Args:
            on_chunk: told name, bytes and lines of what was read.
            on_drop: told name, bytes and lines of what a stream refused, and why.
            on_lines: told the pipe, the chunk and the number of its first line.
            rings: keep the last lines of everything.
            label: names the watcher in the log.
        """
        self._on_chunk, self._on_drop, self._on_lines, self._label = on_chunk, on_drop, on_lines, label
        self._rings = self._rings if rings is None else rings
        for name in self._writers:
            self._prepare(name)

    def start(self) -> int:
        """Open the streams and begin to read, in the loop given or the one that runs; how many pipes.

        A stream that cannot be opened is told in the log; it is tried again with each chunk.
        """
        if self.running:
            return 0
        if self.loop is None:
            self.loop = asyncio.get_running_loop()
        self.running = True
        for (_, wid), target in self._targets.items():
            if wid is None or target.users:
                target.open()
        pipes = self._all()
        for pipe in pipes:
            self._watch(pipe)
        return len(pipes)

    def stop(self) -> int:
        """Read no more until `start`; how many pipes. Their processes wait once the pipes are full."""
        pipes = self._all() if self.running else []
        for pipe in pipes:
            self._unwatch(pipe)
        self.running = False
        return len(pipes)

    def close(self) -> None:
        """Deliver what is in the pipes now, then close them all. The streams are left to the caller.

        A process that still lives gets an error at its next line, so this comes after the last one has ended.
        """
        self.stop()
        for pipe in self._all():
            self._drain(pipe)
            self._close(pipe)
        self._pipes.clear()
        for target in [*self._targets.values(), *self._retired]:
            target.give_up()

    def add_redirections(self, process: HasOutput) -> None:
        """Take over the read ends of a process; they are ours to close from now on."""
        if process.pid in self._pipes:
            return
        wid = getattr(process, "wid", 0)
        pipes = [
            Pipe(end, name, process.pid, wid)
            for name, end in (("stdout", process.stdout), ("stderr", process.stderr))
            if end is not None
        ]
        for pipe in pipes:
            pipe.target = self._target_of(pipe)
            pipe.target.users += 1
            pipe.ring = self._rings.of(wid, pipe.name)
            if self.running:
                self._watch(pipe)
        if pipes:
            self._pipes[process.pid] = pipes
        _mark(process, redirected=True)

    def remove_redirections(self, process: HasOutput) -> bool:
        """For a process that has ended: deliver what it left, down to a last line without newline.

        Never waits. A pipe that somebody else still holds open, such as a child of the process, or whose stream is
        too slow just now, is read on until end of file or `close`; the answer is then False.
        """
        done = True
        for pipe in self._pipes.pop(process.pid, ()):
            self._unwatch(pipe)
            if not pipe.target.waiting:
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
        _mark(process, redirected=False)
        return done

    def catch_up(self, pid: int) -> None:
        """Read and deliver what a process has written until now, without waiting for more."""
        for pipe in self._pipes.get(pid, ()):
            if not pipe.target.waiting and self._drain(pipe):
                self._unwatch(pipe)  # its end was reached; `remove_redirections` closes it

    def unfinished(self, pid: int, name: str) -> bytes:
        """The line that a process has begun and not ended yet."""
        return b"".join(pipe.unfinished for pipe in self._pipes.get(pid, ()) if pipe.name == name)

    def change_stream(self, stream_name: str, redirect_writer: Writer, *, close: bool = False) -> None:
        """Put another stream in the place of one, between two lines of each process.

        With `close` the old one writes what it still has and is closed then; without, it has one try and stays open.
        """
        self._writers[stream_name] = redirect_writer
        old = {key: target for key, target in self._targets.items() if key[0] == stream_name}
        for key, target in old.items():
            del self._targets[key]
            if not close:
                target.give_up()
            elif target.pending and self.running:
                self._retired.add(target)
            else:
                target.close()
        self._prepare(stream_name)
        for pipe in self._all():
            if pipe.name == stream_name:
                pipe.target = self._target_of(pipe)
                pipe.target.users += 1
                self._watch(pipe)

    def reopen(self) -> None:
        """Let all streams take up their files anew, after somebody moved them away."""
        for target in self._targets.values():
            target.reopen()

    def get_stream(self, stream_name: str) -> Writer:
        """The stream that takes `stdout` or `stderr`."""
        return self._writers.get(stream_name)

    def close_streams(self) -> None:
        """Close the streams too; they open again with the next chunk or `start`."""
        for target in self._targets.values():
            target.close()

    def _prepare(self, name: str) -> None:
        """Make the target that all slots share, and open its stream when we are at work."""
        writer = self._writers[name]
        if isinstance(writer, PerWorker):
            return
        target = self._targets[name, None] = self._new_target(writer, name)
        if self.running:
            target.open()

    def _new_target(self, writer: OutputStream | None, name: str, wid: int | None = None) -> Target:
        whose = self._label if wid is None else f"{self._label}:{wid}"
        return Target(writer, f"{name} of {whose}" if self._label else name, self._on_target_free, self._dropped)

    def _target_of(self, pipe: Pipe) -> Target:
        writer = self._writers[pipe.name]
        key = (pipe.name, pipe.wid if isinstance(writer, PerWorker) else None)
        found = self._targets.get(key)
        if found is None:
            assert isinstance(writer, PerWorker)  # the others are there from the start
            found = self._targets[key] = self._new_target(writer.stream(pipe.wid), *key)
        if found.users == 0 and self.running and key[1] is not None:
            found.open()
        return found

    def _dropped(self, name: str, size: int, lines: int, reason: str) -> None:
        before = self.drops[name]
        self.drops[name] = before[0] + size, before[1] + lines
        if self._on_drop is not None:
            self._on_drop(name, size, lines, reason)

    def _all(self) -> list[Pipe]:
        return [pipe for pipes in self._pipes.values() for pipe in pipes] + list(self._lingering)

    def _watch(self, pipe: Pipe) -> None:
        if self.running and self.loop is not None and not pipe.closed and not pipe.target.waiting:
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
        count = block.count(b"\n")
        if self._on_chunk is not None:
            self._on_chunk(pipe.name, len(block), count)
        lines, piece = pipe.take(block)
        if lines:
            self._deliver(pipe, lines, count, partial=False)
        if piece:
            self._deliver(pipe, piece, 1, partial=True)
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
        if not pipe.closed:
            pipe.close()
            target = pipe.target
            target.users -= 1
            if target.users == 0 and self._targets.get((pipe.name, pipe.wid)) is target:
                target.close()  # the stream of a slot that is empty now
        self._lingering.discard(pipe)

    def _deliver_rest(self, pipe: Pipe, *, partial: bool) -> None:
        """The last line, which has no newline."""
        rest = pipe.take_rest()
        if rest:
            if self._on_chunk is not None and not partial:
                self._on_chunk(pipe.name, 0, 1)
            self._deliver(pipe, rest, 1, partial=partial)

    def _deliver(self, pipe: Pipe, data: bytes, lines: int, *, partial: bool) -> None:
        seq = pipe.ring.following
        pipe.ring.add(data, lines, pipe.pid)
        chunk = {"data": data, "pid": pipe.pid, "name": pipe.name, "wid": pipe.wid}
        if partial:
            chunk["partial"] = True
        target = pipe.target
        if target.send(chunk) and self.loop is not None and not target.waiting:
            target.wait(self.loop)
            for each in self._all():
                if each.target is target:
                    self._unwatch(each)
        if self._on_lines is not None:
            self._on_lines(pipe, data, seq)

    def _on_target_free(self, target: Target) -> None:
        if target in self._retired:
            self._retired.discard(target)
            target.close()
        for pipe in self._all():
            if pipe.target is target:
                self._watch(pipe)


def _mark(process: Any, *, redirected: bool) -> None:
    """Where 0.19 left a note; processes of others may not have the place for it."""
    with contextlib.suppress(AttributeError, TypeError):
        process.redirected = redirected
