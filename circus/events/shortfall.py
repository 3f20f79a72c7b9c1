"""What could not be told is told: samples that were skipped and messages that were dropped become records.

Knows cumulative counts and nothing of where they come from. Invariant: whatever was counted is in one of the records,
at most `SECONDS` after it, and in no two of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from circus.events.bus import Bus
from circus.wire.events import Cause

SECONDS: Final = 5.0

Counts = Callable[[], Mapping[str, int]]
"""Cumulative counts, all keys in every answer."""


class Shortfall:
    """Looks at counts again and again, and makes a record of what was added since the last one.

    Args:
        loop: the running loop.
        bus: where records are made.
        counts: what is counted, by the name of its record.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, bus: Bus, counts: Mapping[str, Counts]) -> None:
        self._loop, self._bus, self._counts = loop, bus, counts
        self._told = {name: dict(read()) for name, read in counts.items()}
        self._timer = loop.call_later(SECONDS, self._again)

    def _again(self) -> None:
        self._timer = self._loop.call_later(SECONDS, self._again)
        self.look()

    def look(self) -> None:
        """Tell what was added."""
        for name, read in self._counts.items():
            now, before = dict(read()), self._told[name]
            added = {key: count - before[key] for key, count in now.items()}
            if any(added.values()):
                self._told[name] = now
                self._bus.record(name, None, Cause(kind="timer", name=name), added)

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()
