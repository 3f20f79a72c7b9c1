"""How alerts stand that fire: what of it the daemon has not been told.

Owns what was told last. Refuses to know how a value comes about. Invariants: nobody but the daemon is told, so no notifier
hears of it; a value that moves all the time is told every few seconds and no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from circus.wire import alerts as wire
from circus_exporters.alerts.engine import Key
from circus_exporters.alerts.messages import Alert

EVERY_SECONDS: Final = 5.0
_SLACK_SECONDS: Final = 1.0
"""Less than this apart two ends are the same: they are counted from the time of each look."""


class _Told(NamedTuple):
    value: float | None
    ends: float | None
    at: float


class Stands:
    """`of` tells the last value of an alert, and the seconds that are left of it if it is only kept."""

    def __init__(self, of: Callable[[Key, float], tuple[float | None, float | None]]) -> None:
        self._of = of
        self._told: dict[int, _Told] = {}

    def news(self, alerts: Iterable[Alert], now: float, wall: float) -> list[wire.Stand]:
        """What the daemon is to be told now, at a monotonic and a Unix time."""
        found, told = [], {}
        for alert in alerts:
            if alert.seq is None:
                continue
            seen, left = self._of(alert.key, now)
            value = alert.value if seen is None else seen if math.isfinite(seen) else None
            ends = None if left is None else wall + left
            before = self._told.get(alert.seq, _Told(alert.value, None, -math.inf))
            turned = (ends is None) != (before.ends is None) or abs(
                (ends or 0.0) - (before.ends or 0.0)
            ) > _SLACK_SECONDS
            if turned or (value != before.value and now - before.at >= EVERY_SECONDS):
                found.append(wire.Stand(seq=alert.seq, value=value, ends=ends))
                before = _Told(value, ends, now)
            told[alert.seq] = before
        self._told = told
        return found
