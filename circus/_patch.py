"""Names that programs written for circus 0.19 import from here; importing it changes nothing in Python any more."""

from __future__ import annotations

from threading import RLock, Thread, Timer, get_ident

__all__ = ["RLock", "Thread", "Timer", "get_ident"]
