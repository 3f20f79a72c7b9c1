"""One process: how it is launched, and what is known of it while it lives.

Knows nothing of why it runs; it opens the pipes, starts the program through `runtime.spawn` and remembers pid, slot and
start time. Invariant: descriptors that it opens for the child are closed in the daemon when the launch is over.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from circus.runtime import tree
from circus.runtime.argv import Command
from circus.runtime.child_setup import Identity, Limits
from circus.runtime.fds import ROOM
from circus.runtime.reaper import Reaper
from circus.runtime.spawn import Stdio, spawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything a process of a watcher is launched with, worked out once for all of them."""

    limits: Limits
    identity: Identity | None
    pipe_stdout: bool
    pipe_stderr: bool
    close_stdin: bool
    close_stdout: bool
    close_stderr: bool
    stdin_data: bytes | None


class Process:
    """A started process.

    Attributes:
        wid: its slot.
        pid: its process id.
        generation: which process of the watcher it is.
        started: Unix time of the start.
        stdout: the read end of its output, None when it is not captured.
        stderr: the same for its errors.
    """

    __slots__ = (
        "_monotonic",
        "_reaper",
        "generation",
        "name",
        "pid",
        "redirected",
        "started",
        "stderr",
        "stdout",
        "wid",
    )

    def __init__(self, name: str, wid: int, generation: int, pid: int, reaper: Reaper) -> None:
        self.name, self.wid, self.generation, self.pid = name, wid, generation, pid
        self.started = time.time()
        self._monotonic = time.monotonic()
        self._reaper = reaper
        self.redirected = False
        self.stdout: IO[bytes] | None = None
        self.stderr: IO[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Process {self.name}:{self.wid} pid {self.pid}>"

    @classmethod
    def launch(
        cls,
        name: str,
        wid: int,
        generation: int,
        command: Command,
        launch: Launch,
        *,
        reaper: Reaper,
        inherit: Sequence[int] = (),
        stdin: int | None = None,
    ) -> Process:
        """Start the program.

        Args:
            name: of the watcher.
            wid: of the slot.
            generation: of the process.
            command: what to run.
            launch: how, the same for all processes of the watcher.
            reaper: which will report its end (the caller asks it to).
            inherit: descriptors that the child shall have under the same numbers.
            stdin: a descriptor for its standard input, instead of /dev/null.

        Raises:
            SpawnError: nothing was started.
        """
        opened: list[int] = []
        try:
            if stdin is None and launch.stdin_data is not None:
                stdin = _memory(launch.stdin_data)
                opened.append(stdin)
            elif stdin is None and launch.close_stdin:
                stdin = devnull()
            ends: dict[str, int] = {}
            out = _output("stdout", pipe=launch.pipe_stdout, close=launch.close_stdout, opened=opened, ends=ends)
            err = _output("stderr", pipe=launch.pipe_stderr, close=launch.close_stderr, opened=opened, ends=ends)
            stdio = Stdio(stdin=stdin, stdout=out, stderr=err)
            try:
                pid = spawn(command, stdio, inherit=inherit, limits=launch.limits, identity=launch.identity)
            except BaseException:
                for fd in ends.values():
                    os.close(fd)
                raise
        finally:
            for fd in opened:
                os.close(fd)
        process = cls(name, wid, generation, pid, reaper)
        for which, fd in ends.items():
            setattr(process, which, os.fdopen(ROOM.move_up(fd), "rb", buffering=0))
        return process

    def age(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._monotonic

    def send_signal(self, signum: int) -> None:
        """Signal it; ProcessLookupError when it is gone."""
        self._reaper.send_signal(self.pid, signum)

    def children(self, recursive: bool = False) -> list[int]:
        """The pids of its living children, and of theirs when `recursive`."""
        return tree.children(self.pid, recursive=recursive)

    def close_output_channels(self) -> None:
        """Close the read ends that nobody took over."""
        for pipe in (self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()
        self.stdout = self.stderr = None


_devnull: int | None = None


def devnull() -> int:
    """A descriptor of /dev/null that this program keeps."""
    global _devnull
    if _devnull is None:
        _devnull = os.open(os.devnull, os.O_RDWR)
    return _devnull


def _memory(data: bytes) -> int:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("circus-stdin")
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _output(name: str, *, pipe: bool, close: bool, opened: list[int], ends: dict[str, int]) -> int | None:
    if close:
        return devnull()
    if not pipe:
        return None
    read, write = os.pipe()
    opened.append(write)
    ends[name] = read
    return write
