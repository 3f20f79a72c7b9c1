"""The children of one process, as programs of circus 0.19 ask for them.

Knows nothing but a pid. Invariant: only a living child is signalled.
"""

from __future__ import annotations

import os

from circus.runtime import tree


class Offspring:
    """Something with a `pid`, 0 before it was started."""

    __slots__ = ()

    pid: int

    def children(self, recursive: bool = False) -> list[int]:
        """The pids of its living children, and of theirs when `recursive`."""
        return tree.children(self.pid, recursive=recursive) if self.pid else []

    def is_child(self, pid: int) -> bool:
        """Whether that is a living child of it."""
        return pid in self.children()

    def send_signal_child(self, pid: int, signum: int) -> None:
        """Signal a child; ProcessLookupError when it has none of that pid."""
        if not self.is_child(pid):
            raise ProcessLookupError(pid)
        os.kill(pid, signum)

    def send_signal_children(self, signum: int, recursive: bool = False) -> None:
        """Signal all children, and theirs when `recursive`; those that are gone by then are passed over."""
        for pid in self.children(recursive):
            try:
                os.kill(pid, signum)
            except ProcessLookupError:
                continue
