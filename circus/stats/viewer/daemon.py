"""The daemon as circus-top shows it: its own use, how late its loop comes, and what it had to skip.

Owns what is said about the daemon itself and its sockets; refuses to know its watchers. Invariant: lateness is told of
the last minute, not of the daemon's whole life.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from circus.stats.viewer.usage import Rate
from circus.wire.samples import DaemonSample, Histogram

WINDOW_SECONDS: Final = 60.0


@dataclass(slots=True)
class Lateness:
    """How late the loop was: the mean and a bound that 99 of 100 turns keep (infinite when the histogram ends below)."""

    mean_seconds: float
    p99_seconds: float


@dataclass(slots=True, kw_only=True)
class Daemon:
    """What the last `sample.-` said."""

    boot: str
    sample: DaemonSample
    rate: Rate = field(default_factory=Rate)
    lateness: Lateness | None = None
    _lags: deque[tuple[float, list[int], float]] = field(default_factory=deque)

    def take(self, sample: DaemonSample) -> None:
        """A newer sample of the same daemon."""
        self.sample = sample
        self.rate.take(sample.cpu_user_seconds + sample.cpu_system_seconds, sample.time)
        lags, lag = self._lags, sample.loop_lag
        lags.append((sample.time, list(lag.counts), lag.sum))
        while len(lags) > 1 and lags[0][0] < sample.time - WINDOW_SECONDS:
            lags.popleft()
        _, counts, whole = lags[0]
        if len(lags) > 1 and len(counts) == len(lag.counts):
            recent = Histogram(
                lag.bounds, [new - old for new, old in zip(lag.counts, counts, strict=True)], lag.sum - whole
            )
        else:
            recent = lag
        self.lateness = lateness(recent) or self.lateness


def lateness(lag: Histogram) -> Lateness | None:
    """Mean and 99th percentile of a histogram; None when it is empty."""
    count = sum(lag.counts)
    if count <= 0:
        return None
    below, needed = 0, 0.99 * count
    for bound, n in zip([*lag.bounds, math.inf], lag.counts, strict=True):
        below += n
        if below >= needed:
            return Lateness(lag.sum / count, bound)
    return None
