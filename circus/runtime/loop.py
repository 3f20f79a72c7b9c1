"""The daemon's way with its loop: forks paced so that nothing else waits long, and garbage collection out of the way."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Callable


class SpawnQueue:
    """Runs the spawns of all watchers in order, one per turn of the loop: a fork blocks for half a millisecond, and what
    became due meanwhile comes between.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: deque[Callable[[], None]] = deque()
        self._scheduled = False
        self._freeze_after = 0

    def __len__(self) -> int:
        return len(self._queue)

    def submit(self, spawn: Callable[[], None]) -> None:
        """Run `spawn` after those before it: at once when it is the first of this turn, so that one death among many
        processes does not wait for the loop to come round.
        """
        self._queue.append(spawn)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)
            self._spawn_next()

    def _spawn_next(self) -> None:
        spawn = self._queue.popleft()
        self._freeze_after += 1
        spawn()

    def _turn(self) -> None:
        self._scheduled = bool(self._queue)
        if self._scheduled:
            self._loop.call_soon(self._turn)
            self._spawn_next()
        elif self._freeze_after >= 100:
            # Many long-lived objects came with many processes; a full collection over them would stall the loop.
            self._freeze_after = 0
            gc.freeze()

    def clear(self) -> None:
        """Forget what has not run."""
        self._queue.clear()
