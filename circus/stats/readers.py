"""What a reader of one process can be asked, and which kind of reader this machine gets.

Owns the shapes that readers answer with and the choice between them; refuses to know who asks and how often. Invariant:
both kinds mean the same by every field, so that a sample does not show which of them was used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from typing import Final, NamedTuple, Protocol

from circus.exc import CircusError
from circus.ports import ProcessReader
from circus.wire.samples import TreeSample

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


class Reader(ProcessReader, Protocol):
    """One process. All methods but `read` may raise ProcessLookupError once it is gone, and PermissionError."""

    @property
    def pid(self) -> int: ...
    @property
    def create_time(self) -> float:
        """Unix time of its start by the kernel's account; 0.0 before the first `read`."""
        ...

    def read_slow(self) -> SlowReading:
        """The slow tier; to be asked right after `read`."""
        ...

    def open_fds(self) -> int | None:
        """How many descriptors it has open, None where that cannot be known."""
        ...

    def tree(self) -> Generator[None, None, TreeSample | None]:
        """Reads it with all its descendants, as of the last `read`; yields after each, since there may be many."""
        ...

    def read_memory(self) -> MemoryReading | None:
        """Exact memory, None where it cannot be had; may take long and may be called from another thread."""
        ...

    def describe(self) -> Description:
        """Of the state at the last `read`."""
        ...

    def children(self) -> list[int]:
        """The pids of its living direct children."""
        ...


class ReaderFactory(Protocol):
    """Makes readers; one that is not to `keep` holds nothing open between two reads."""

    def __call__(self, pid: int, *, keep: bool = True) -> Reader: ...


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
