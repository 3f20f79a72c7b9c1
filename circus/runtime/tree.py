"""Who descends from a process: read from /proc where there is one, else from psutil.

Never scans the whole process table on Linux: the kernel keeps each thread's list of children.
"""

from __future__ import annotations

import os


def children(pid: int, *, recursive: bool = False) -> list[int]:
    """The pids of the living children, and of theirs when `recursive`; empty for a process that is gone."""
    found = _direct(pid)
    if recursive:
        for child in found:
            found.extend(_direct(child))
    return found


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
