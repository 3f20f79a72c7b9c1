"""The real clock behind `ports.Clock`."""

from __future__ import annotations

import time


class SystemClock:
    """Monotonic seconds for decisions, Unix seconds for records."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)
