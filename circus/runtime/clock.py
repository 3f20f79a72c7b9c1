"""The real clock behind `ports.Clock`, and chance."""

from __future__ import annotations

import os
import time


class SystemClock:
    """Monotonic seconds for decisions, Unix seconds for records."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


_BITS = 53  # what a float can tell apart below 1


def chance() -> float:
    """A number in [0, 1), from the system each time: the generators of `random` are 0.2 MB that jitter does not need."""
    return (int.from_bytes(os.urandom(7), "little") >> 3) / (1 << _BITS)
