"""The daemon's way with its loop: forks paced so that nothing else waits long, and garbage collection out of the way."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Callable

PER_TURN = 1
"""Forks in one turn of the loop; a fork blocks for half a millisecond, and what became due meanwhile comes between."""


class SpawnQueue:
    """Runs the spawns of all watchers in order, a few per turn of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: deque[Callable[[], None]] = deque()
        self._scheduled = False
        self._freeze_after = 0

    def __len__(self) -> int:
        return len(self._queue)

    def submit(self, spawn: Callable[[], None]) -> None:
        """Run `spawn` soon, after those before it."""
        self._queue.append(spawn)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        for _ in range(PER_TURN):
            if not self._queue:
                break
            spawn = self._queue.popleft()
            self._freeze_after += 1
            spawn()
        if self._queue:
            self._scheduled = True
            self._loop.call_soon(self._turn)
        elif self._freeze_after >= 100:
            # Many long-lived objects came with many processes; a full collection over them would stall the loop.
            self._freeze_after = 0
            gc.freeze()

    def clear(self) -> None:
        """Forget what has not run."""
        self._queue.clear()
