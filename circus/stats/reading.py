"""What a reader of one process can be asked.

Owns the protocols, for the type checker alone: nothing imports them when it runs, as with `ports`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from circus.ports import ProcessReader
from circus.stats.readers import Description, MemoryReading, SlowReading
from circus.wire.samples import TreeSample


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
