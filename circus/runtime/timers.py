"""Named timers of one owner in the asyncio loop. A timer of the same key replaces the one before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable


class Timers:
    """Arms, replaces and cancels; the callback gets nothing, because it is told what it is for when armed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handles: dict[Hashable, asyncio.TimerHandle] = {}

    def arm(self, key: Hashable, delay: float, callback: Callable[[], None]) -> None:
        """Call back after `delay` seconds."""
        self.cancel(key)
        self._handles[key] = self._loop.call_later(delay, self._fire, key, callback)

    def _fire(self, key: Hashable, callback: Callable[[], None]) -> None:
        self._handles.pop(key, None)
        callback()

    def cancel(self, key: Hashable) -> None:
        """Forget a timer; none of that name is fine too."""
        handle = self._handles.pop(key, None)
        if handle is not None:
            handle.cancel()

    def clear(self) -> None:
        """Forget all."""
        for key in list(self._handles):
            self.cancel(key)
