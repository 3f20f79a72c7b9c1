"""Where a process comes from: a few points of its past, from which speeds are told.

Owns the thinning out of points. Invariant: a trail is of one process; the next one in the slot begins its own.
"""

from __future__ import annotations

from array import array
from typing import Final

POINTS: Final = 20
LASTING: Final = 3
"""So many points have to be high: an eighth of the window or so."""
WHOLE: Final = 0.9
"""A window counts as full from this share of it on: points do not fall on its edges."""


class Trail:
    """Values over the last `span` seconds, about `POINTS` of them: half a kilobyte for each process."""

    __slots__ = ("_identity", "_points", "_span", "growth")

    def __init__(self, span: float) -> None:
        self._span = span
        self._identity: object = None
        self._points = array("d")  # time, value, time, value, ...
        self.growth: float | None = None
        """By how much the value grew since the beginning of the window, None until that is full.

        It is the least of the last few points that counts: a request that needs much memory for a moment is no growth.
        """

    @property
    def first(self) -> float:
        """The value at the beginning of the window."""
        return self._points[1]

    def add(self, identity: object, now: float, value: float) -> None:
        """Take a value, of whom; those that come too close after the one before are not kept."""
        points = self._points
        if identity != self._identity:
            del points[:]
            self.growth = None
            self._identity = identity
        elif points and now - points[-2] < self._span / POINTS:
            return
        points.append(now)
        points.append(value)
        while len(points) > 4 and points[2] <= now - self._span:
            del points[:2]
        if len(points) > 4 and now - points[0] >= self._span * WHOLE:
            self.growth = min(points[-2 * LASTING + 1 :: 2]) - points[1]

    def rate(self, now: float, value: float) -> float | None:
        """How fast a total grew per second from the beginning of the window to this value, None until it is full."""
        if not self._points:
            return None
        seconds = now - self._points[0]
        return (value - self._points[1]) / seconds if seconds >= self._span * WHOLE else None
