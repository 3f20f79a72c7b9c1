"""The loop of a plugin, and of an arbiter that blocks: asyncio's, and also what programs of circus 0.19 called on tornado's.

Owns the translation of those calls. Invariant: whatever name a callback was handed over with, it runs in the thread of
the loop, and what it raises is logged and ends nothing.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import inspect
import os
import time
from collections.abc import Callable
from typing import Any, ClassVar

Callback = Callable[..., Any]


class TornadoLoop(asyncio.SelectorEventLoop):
    """asyncio's loop with the methods of tornado's IOLoop that plugins and programs use."""

    NONE: ClassVar[int] = 0
    READ: ClassVar[int] = 0x001
    WRITE: ClassVar[int] = 0x004
    ERROR: ClassVar[int] = 0x018

    @property
    def asyncio_loop(self) -> TornadoLoop:
        return self

    def start(self) -> None:
        self.run_forever()

    def make_current(self) -> None:
        asyncio.set_event_loop(self)

    def add_callback(self, callback: Callback, *args: Any, **kwargs: Any) -> None:
        """Run it soon; also from another thread or a signal handler. Coroutine functions are welcome."""
        self.call_soon_threadsafe(self._run_callback, functools.partial(callback, *args, **kwargs))

    add_callback_from_signal = add_callback
    spawn_callback = add_callback

    def add_timeout(
        self, deadline: float | dt.timedelta, callback: Callback, *args: Any, **kwargs: Any
    ) -> asyncio.TimerHandle:
        """Run it at a time (of the wall clock or of `self.time()`), or after a timedelta."""
        if isinstance(deadline, dt.timedelta):
            delay = deadline.total_seconds()
        else:
            # IOLoop.time() was the wall clock, ours is not; the two are years apart, so what was meant is the nearer.
            delay = min(deadline - time.time(), deadline - self.time(), key=abs)
        return self.call_later(max(0.0, delay), self._run_callback, functools.partial(callback, *args, **kwargs))

    def remove_timeout(self, timeout: asyncio.TimerHandle) -> None:
        timeout.cancel()

    def add_handler(self, fd: Any, handler: Callback, events: int) -> None:
        """Call `handler(fd, events)` whenever the descriptor, or the object that has one, is ready."""
        if events & self.READ:
            self.add_reader(fd, handler, fd, self.READ)
        if events & self.WRITE:
            self.add_writer(fd, handler, fd, self.WRITE)

    def remove_handler(self, fd: Any) -> None:
        self.remove_reader(fd)
        self.remove_writer(fd)

    @staticmethod
    def close_fd(fd: Any) -> None:
        os.close(fd) if isinstance(fd, int) else fd.close()

    def _run_callback(self, callback: Callback) -> None:
        result = callback()
        if inspect.isawaitable(result):
            asyncio.ensure_future(_awaited(result), loop=self).add_done_callback(self._report)

    def _report(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.call_exception_handler({"message": "a callback failed", "exception": error, "task": task})


async def _awaited(awaitable: Any) -> None:
    await awaitable
