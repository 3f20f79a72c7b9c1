"""How far the processes of watchers that are gone were counted, so that one of the same name is counted on from there.

What tells one process of a boot from another (the mark in its environment, its cgroup, its records) is its watcher's
name, its slot and its generation. Invariant: no two processes of one name have the same generation in one boot. Memory is
bounded: of names that have not been seen for long only the highest number is kept, and new ones begin above it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MOST_NAMES: Final = 1_000


class Generations:
    """The last generation of each watcher that was removed.

    Args:
        last: what is known already, the longest known first.
        floor: no other name had a higher one.
    """

    def __init__(self, last: Iterable[tuple[str, int]] = (), floor: int = 0) -> None:
        self.last = dict(last)
        self.floor = floor

    def before(self, watcher: str) -> int:
        """After which a watcher of that name, which comes now, is to be counted on; 0 for one that is new."""
        return self.last.get(watcher, self.floor)

    def keep(self, watcher: str, generation: int) -> None:
        """A watcher goes that has come so far."""
        known = max(generation, self.last.pop(watcher, 0))
        if known:
            self.last[watcher] = known
        if len(self.last) > MOST_NAMES:
            oldest = next(iter(self.last))
            self.floor = max(self.floor, self.last.pop(oldest))
