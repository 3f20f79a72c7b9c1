"""What a reader of one process answers with, and which kind of reader this machine gets.

Owns the shapes of the answers and the choice between them; refuses to know who asks and how often. Invariant:
both kinds mean the same by every field, so that a sample does not show which of them was used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from circus.exc import CircusError

if TYPE_CHECKING:
    from circus.stats.reading import ReaderFactory

NOT_AVAILABLE: Final = "N/A"
VARIABLE: Final = "CIRCUS_STATS_READER"


class SlowReading(NamedTuple):
    """What is read now and then; None for what the system does not tell, or does not tell us."""

    shared_bytes: int | None = None
    open_fds: int | None = None
    max_fds: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    peak_resident_bytes: int | None = None
    cpu_wait_seconds: float | None = None


class MemoryReading(NamedTuple):
    """Exact memory, which costs the kernel a walk over all pages of the process."""

    unique_bytes: int
    proportional_bytes: int
    swapped_bytes: int


class Description(NamedTuple):
    """What the info of circus 0.19 wants beyond numbers that are sampled.

    `cpu_seconds` is of all kinds together, children that were waited for included. `nice` is None for a zombie.
    """

    cmdline: str
    username: str
    nice: int | None
    cpu_seconds: float


def choose_readers(wanted: str | None = None) -> ReaderFactory:
    """The readers for this machine: kept /proc descriptors on Linux, psutil elsewhere.

    `wanted`, or the variable CIRCUS_STATS_READER, forces one of them (`procfs`, `psutil`).
    """
    name = wanted or os.environ.get(VARIABLE) or ("procfs" if _has_procfs() else "psutil")
    makers: dict[str, Callable[[], ReaderFactory]] = {"procfs": _procfs, "psutil": _psutil}
    if name not in makers:
        raise CircusError(f"{VARIABLE}={name}: there is no such reader; use procfs or psutil, or leave it unset")
    return makers[name]()


def _has_procfs() -> bool:
    return sys.platform == "linux" and os.access("/proc/self/statm", os.R_OK)


def _procfs() -> ReaderFactory:
    if not _has_procfs():
        raise CircusError(f"{VARIABLE}=procfs: this system has no /proc of Linux; use psutil, or leave it unset")
    from circus.stats.procfs import Procfs

    return Procfs()


def _psutil() -> ReaderFactory:
    from circus.stats.psutil_reader import PsutilReaders  # psutil is a megabyte that Linux does not need

    return PsutilReaders()
