"""What streams refused, told from time to time and not for each chunk.

Owns the sums since the last telling. Invariant: everything that was added is told once, at the latest by `flush`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

# The first loss is told at once; while more are lost, no more often than this.
PAUSE_SECONDS = 10.0


class Losses:
    """Adds up what was lost of each output; `tell` gets the data of a record."""

    def __init__(self, tell: Callable[[Mapping[str, Any]], None]) -> None:
        self._tell = tell
        self._sums: dict[str, tuple[int, int, str]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = float("-inf")

    def add(self, name: str, size: int, lines: int, reason: str) -> None:
        """So many bytes and lines of stdout or stderr could not be written, for that reason."""
        before = self._sums.get(name, (0, 0, ""))
        self._sums[name] = (before[0] + size, before[1] + lines, reason)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._told_at + PAUSE_SECONDS), self._due, loop)

    def flush(self) -> None:
        """Tell what was not told yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        sums, self._sums = self._sums, {}
        for name, (size, lines, reason) in sums.items():
            self._tell({"stream": name, "bytes": size, "lines": lines, "reason": reason})

    def _due(self, loop: asyncio.AbstractEventLoop) -> None:
        self._told_at = loop.time()
        self.flush()
