"""Who descends from a process, and who a process is: read from /proc where there is one, else from psutil.

Never scans the whole process table on Linux unless asked for a mark: the kernel keeps each thread's list of children.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Final

import msgspec

_ROUNDS: Final = 20
"""How often processes are listed again because one has ended before it was looked at."""


class Facts(msgspec.Struct, frozen=True):
    """What identifies a process and whom it belongs to. `started` in units of the system's own, to be compared only."""

    name: str
    state: str
    parent: int
    group: int
    session: int
    started: float

    @property
    def dead(self) -> bool:
        """It has ended, and only its status is still there."""
        return self.state in ("Z", "X", "x")


def children(pid: int, *, recursive: bool = False) -> list[int]:
    """The pids of the living children, and of theirs when `recursive`; empty for a process that is gone."""
    found = _direct(pid)
    if recursive:
        for child in found:
            found.extend(_direct(child))
    return found


def facts(pid: int) -> Facts | None:
    """Who a process is; None for one that is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except FileNotFoundError:
        return None if os.path.exists("/proc/self/stat") else _facts_from_psutil(pid)
    except OSError:
        return None
    # The name may hold blanks and brackets; what follows its last bracket is regular.
    opening, closing = text.index(b"("), text.rindex(b")")
    rest = text[closing + 2 :].split(b" ", 20)
    return Facts(text[opening + 1 : closing].decode(errors="replace"), rest[0].decode(), int(rest[1]), int(rest[2]),
                 int(rest[3]), float(rest[19]))  # fmt: skip


def has_in_environment(pid: int, entry: bytes) -> bool:
    """Whether a process was started with that `NAME=value`; False where that may not be known."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return entry in file.read().split(b"\0")
    except OSError:
        return False


def with_environment(name: bytes) -> dict[bytes, list[int]]:
    """All processes of the system with that variable, by its value; empty where there is no /proc. Costs 20 ms for 1,000."""
    found: dict[bytes, list[int]] = {}
    read: set[str] = set()
    for _ in range(_ROUNDS):
        missed = False
        try:
            pids = {each for each in os.listdir("/proc") if each.isdigit()} - read
        except OSError:
            break
        for pid in pids:
            text = b""
            with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
                text = file.read()
            # It has ended since the list was made, perhaps, and may have forked one that is not on it.
            missed = missed or not text
            if name in text:
                for entry in text.split(b"\0"):
                    key, _, value = entry.partition(b"=")
                    if key == name:
                        found.setdefault(value, []).append(int(pid))
        read |= pids
        if not missed:
            break
    return found


def become_subreaper() -> bool:
    """Let orphans of our processes become our children; False where the system knows no such thing."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        import ctypes

        return bool(ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0)  # PR_SET_CHILD_SUBREAPER
    except (ImportError, OSError, AttributeError):
        return False


def _direct(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return [] if os.path.exists("/proc/self/task") else _from_psutil(pid)
    except OSError:
        return []
    found: list[int] = []
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found.extend(map(int, file.read().split()))
        except OSError:
            continue
    return found


def _from_psutil(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []


def _facts_from_psutil(pid: int) -> Facts | None:
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            state = "Z" if process.status() == psutil.STATUS_ZOMBIE else "S"
            return Facts(process.name(), state, process.ppid(), os.getpgid(pid), os.getsid(pid), process.create_time())
    except (psutil.Error, OSError):
        return None
