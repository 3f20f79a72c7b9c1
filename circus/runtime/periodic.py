"""What is done again and again in the loop.

Owns the timer. Invariant: a call that takes longer than the period, or fails, is followed by the next one all the same,
and two calls of one timer never overlap.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any

from circus.exc import CircusError

logger = logging.getLogger("circus")


class PeriodicCallback:
    """Call something every `callback_time` milliseconds; what it returns is awaited where that can be.

    `loop` is the one in force by default. `jitter` is of tornado's and does nothing.
    """

    def __init__(
        self,
        callback: Callable[[], Any],
        callback_time: float,
        jitter: float = 0,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        del jitter
        if callback_time <= 0:
            raise ValueError("callback_time must be above 0")
        self.callback = callback
        self.callback_time = callback_time
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._next = 0.0
        self._running = False

    def start(self) -> None:
        """The first call comes after one period."""
        if self._running:
            return
        self._running = True
        self._loop = self._loop or asyncio.get_event_loop()
        self._next = self._loop.time()
        self._schedule()

    def stop(self) -> None:
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def is_running(self) -> bool:
        return self._running

    def _schedule(self) -> None:
        if not self._running:
            return
        assert self._loop is not None
        period = self.callback_time / 1000
        # Periods that went by meanwhile are left out, not made up for.
        self._next += period * (1 + max(0.0, (self._loop.time() - self._next) // period))
        self._timer = self._loop.call_at(self._next, self._tick)

    def _tick(self) -> None:
        assert self._loop is not None
        self._timer = None
        try:
            result = self.callback()
        except Exception as error:
            self._failed(error)
        else:
            if inspect.isawaitable(result):
                self._task = self._loop.create_task(self._finish(result))
                return
        self._schedule()

    async def _finish(self, result: Any) -> None:
        try:
            await result
        except Exception as error:
            self._failed(error)
        self._schedule()

    def _failed(self, error: Exception) -> None:
        """One failure must not cost the calls to come."""
        story = None if isinstance(error, CircusError) else error  # the sentence of ours says it all
        what = getattr(self.callback, "__qualname__", self.callback)
        logger.error("%s failed: %s", what, error, exc_info=story)
