"""Signal names and numbers of this system."""

from __future__ import annotations

import signal
from typing import Final


def _names() -> dict[int, str]:
    names = {int(sig): sig.name for sig in signal.Signals}
    low, high = getattr(signal, "SIGRTMIN", None), getattr(signal, "SIGRTMAX", None)
    if low is not None and high is not None:
        for number in range(int(low) + 1, int(high)):
            names.setdefault(number, f"SIGRTMIN+{number - int(low)}")
    return names


NAMES: Final[dict[int, str]] = _names()
"""Number -> name, real-time signals as `SIGRTMIN+n`."""


def name(signum: int) -> str:
    """The name of a signal; its number as text when the system has none."""
    return NAMES.get(signum, str(signum))
