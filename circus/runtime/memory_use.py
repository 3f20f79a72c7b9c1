"""How much memory a process uses now, by one of three measures; from /proc where there is one, else from psutil.

rss is what it has in RAM, uss what would be free without it (the kernel walks all its pages for that), tree the rss of
it and all its descendants. None for a process that is gone or may not be looked at.
"""

from __future__ import annotations

import os

from circus.runtime import tree

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> int | None:
    """Bytes in RAM."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split(b" ", 2)[1]) * _PAGE
    except FileNotFoundError:
        return None if os.path.exists("/proc/self/statm") else _psutil(pid, "rss")
    except (OSError, IndexError):
        return None


def resident_of_tree(pid: int) -> int | None:
    """Bytes in RAM of it and its descendants; what they share is counted for each."""
    own = resident(pid)
    if own is None:
        return None
    return own + sum(resident(each) or 0 for each in tree.children(pid, recursive=True))


def unique(pid: int) -> int | None:
    """Bytes that nobody else uses; may take milliseconds."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None if os.path.exists("/proc/self/smaps_rollup") else _psutil(pid, "uss")
    except OSError:
        return None
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith((b"Private_Clean:", b"Private_Dirty:")))


def _psutil(pid: int, measure: str) -> int | None:
    import psutil

    try:
        process = psutil.Process(pid)
        told = process.memory_info() if measure == "rss" else process.memory_full_info()
        return int(getattr(told, measure))
    except (psutil.Error, AttributeError):
        return None
