"""How much may be told in a while: so much a second, and a burst at first.

Owns the arithmetic; refuses to know what is told. Invariant: over any time no more is granted than the burst and the
rate times that time.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Allowance:
    """Grants `rate` bytes a second, saved up to `burst` bytes; `clock` gives monotonic seconds."""

    __slots__ = ("_burst", "_clock", "_left", "_rate", "_then")

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left = burst
        self._then = clock()

    def take(self, size: int) -> bool:
        """Whether so many bytes are granted now; if so they are taken."""
        now = self._clock()
        self._left = min(self._left + (now - self._then) * self._rate, self._burst)
        self._then = now
        if size > self._left:
            return False
        self._left -= size
        return True
