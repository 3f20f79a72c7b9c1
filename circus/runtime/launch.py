"""The standard descriptors of a process, and its start with them.

Owns pipes and /dev/null for the child. Invariant: descriptors that are opened for the child are closed in this program
when the start is over, however it went.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from circus.runtime.argv import Command
from circus.runtime.child_setup import Identity, Limits
from circus.runtime.fds import ROOM, devnull
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
    death_signal: int | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    """What the constructor of the process is told, besides its environment."""
    lasting: bool = False
    """Whether its pipes are to go on when this program has ended."""
    door: int | None = None
    """The way into its cgroup, for one start."""


def start(
    command: Command, launch: Launch, *, inherit: Sequence[int] = (), stdin: int | None = None
) -> tuple[int, dict[str, IO[bytes]]]:
    """Start a program: its pid, and the read ends of the pipes on its `stdout` and `stderr`.

    Args:
        command: what to run.
        launch: how.
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
        pipe = _lasting_pipe if launch.lasting else os.pipe
        out = _output(
            "stdout", pipe if launch.pipe_stdout else None, close=launch.close_stdout, opened=opened, ends=ends
        )
        err = _output(
            "stderr", pipe if launch.pipe_stderr else None, close=launch.close_stderr, opened=opened, ends=ends
        )
        stdio = Stdio(stdin=stdin, stdout=out, stderr=err)
        try:
            pid = spawn(
                command,
                stdio,
                inherit=inherit,
                limits=launch.limits,
                identity=launch.identity,
                death_signal=launch.death_signal,
                door=launch.door,
            )
        except BaseException:
            for fd in ends.values():
                os.close(fd)
            raise
    finally:
        for fd in opened:
            os.close(fd)
    return pid, {name: os.fdopen(ROOM.move_up(fd), "rb", buffering=0) for name, fd in ends.items()}


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


def _lasting_pipe() -> tuple[int, int]:
    """A pipe whose write end can be read from too: who holds it never finds it broken, and it can be opened through it
    again when nobody reads. It ends for its reader when the last one has closed it, as always.
    """
    read, write = os.pipe()
    try:
        both = os.open(f"/proc/self/fd/{write}", os.O_RDWR | os.O_CLOEXEC)
    except BaseException:
        os.close(read)
        raise
    finally:
        os.close(write)
    return read, both


def _output(
    name: str, pipe: Callable[[], tuple[int, int]] | None, *, close: bool, opened: list[int], ends: dict[str, int]
) -> int | None:
    if close:
        return devnull()
    if pipe is None:
        return None
    read, write = pipe()
    opened.append(write)
    ends[name] = read
    return write
