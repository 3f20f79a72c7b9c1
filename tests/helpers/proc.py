"""What /proc says, for tests that do not want to believe the code under test."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import signal
from dataclasses import dataclass

TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """Some fields of /proc/PID/stat; `start` is in ticks since boot and tells two lives of one pid apart."""

    pid: int
    comm: str
    state: str
    ppid: int
    pgid: int
    sid: int
    cpu_seconds: float
    start: int


def stat(pid: int) -> Stat | None:
    """The process's stat, or None when there is no such process."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    comm, _, rest = text.partition(b"(")[2].rpartition(b")")
    fields = rest.split()
    return Stat(
        pid=pid,
        comm=comm.decode(errors="replace"),
        state=fields[0].decode(),
        ppid=int(fields[1]),
        pgid=int(fields[2]),
        sid=int(fields[3]),
        cpu_seconds=(int(fields[11]) + int(fields[12])) / TICKS,
        start=int(fields[19]),
    )


def alive(pid: int) -> bool:
    """True while the process exists and is no zombie."""
    found = stat(pid)
    return found is not None and found.state not in "ZX"


def children(pid: int | None = None) -> set[int]:
    """The direct children of a process (of this one without an argument), zombies included."""
    wanted = os.getpid() if pid is None else pid
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (told := stat(int(entry))) is not None and told.ppid == wanted:
            found.add(told.pid)
    return found


def own_children() -> set[int]:
    """The same for this process, without reading all of /proc; a child is listed as soon as it is adopted."""
    found: set[int] = set()
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.update(map(int, pathlib.Path(f"/proc/self/task/{thread}/children").read_text().split()))
    return found


def descendants(pid: int) -> set[int]:
    """All processes below `pid`, by parenthood."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (told := stat(int(entry))) is not None:
            parents.setdefault(told.ppid, []).append(told.pid)
    found: set[int] = set()
    todo = [pid]
    while todo:
        below = parents.get(todo.pop(), [])
        found.update(below)
        todo.extend(below)
    return found


def become_subreaper() -> None:
    """From now on an orphan below this process becomes its child, so that nothing can get away unseen."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def describe(pid: int) -> str:
    """`PID command line`, for messages."""
    with contextlib.suppress(OSError):
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
        told = stat(pid)
        state = told.state if told else "?"
        return f"{pid} ({state}) {words.decode(errors='replace')}"
    return f"{pid} (gone)"


def end(pid: int) -> None:
    """SIGKILL to a child of ours and to all below it, and wait for the child."""
    for victim in [pid, *descendants(pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def open_fds(pid: int | None = None, *, thread: int | None = None) -> dict[int, str]:
    """The open file descriptors of a process (of this one without an argument) and where they lead; those of a thread
    where it has a table of its own.
    """
    directory = f"/proc/{'self' if pid is None else pid}{'' if thread is None else f'/task/{thread}'}/fd"
    found = {}
    for name in os.listdir(directory):
        with contextlib.suppress(OSError):
            found[int(name)] = os.readlink(f"{directory}/{name}")
    return found


def pidfds(pid: int) -> int:
    """How many handles on processes a process holds, in whichever table of descriptors."""
    threads = [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    return max(sum("pidfd" in to for to in open_fds(pid, thread=thread).values()) for thread in threads)
