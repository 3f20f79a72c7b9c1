"""How long a slot waits before its next process: immediate at first, then doubling up to a limit.

The first three restarts after a death are immediate; after them `backoff` doubles to `backoff_max`, each with
`backoff_jitter` of randomness. A life of `stable_after` seconds clears the count. Pure: randomness is handed in.
"""

from __future__ import annotations

from typing import Final

IMMEDIATE: Final = 3

LEAST: Final = 0.1
"""Seconds between failures to spawn once they are not immediate any more: each is a line in the log, and `backoff = 0`
must not fill a disk with them."""


def delay(failures: int, *, backoff: float, backoff_max: float, jitter: float, random: float) -> float:
    """Seconds to wait after the `failures`-th failure in a row; `random` in [0, 1)."""
    if failures <= IMMEDIATE or backoff <= 0:
        return 0.0
    # 2 ** 30 half-seconds is beyond any backoff_max; the cap keeps a count of millions from overflowing a float.
    wait = backoff * 2.0 ** min(failures - IMMEDIATE - 1, 30)
    limit = max(backoff_max, backoff)
    return min(min(wait, limit) * (1 + jitter * (2 * random - 1)), limit)


def spent(spawn_failures: int, max_retry: int) -> bool:
    """True when a slot has used up its attempts to spawn; -1 never gives up."""
    return max_retry >= 0 and spawn_failures >= max(max_retry, 1)
