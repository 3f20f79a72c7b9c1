"""The daemon's way with its loop: forks and effects paced so that nothing else waits long, garbage collection out of the way."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, TypeVar

Effect = TypeVar("Effect")

_FEW: Final = 64
"""So many effects are performed in one go, however long they take."""

_SLICE_SECONDS: Final = 0.002
"""Of more than these the rest waits for the loop's next turn when so much time has passed."""


class Pending(Generic[Effect]):
    """Effects that are performed in order; of many (a thousand processes to signal) the last come some turns later.

    Args:
        performers: what to call for an effect, by its type.

    Attributes:
        effects: which have not been performed.
        loop: whose turns come between; without one all are performed at once.
    """

    def __init__(self, performers: dict[type, Callable[[Any], None]]) -> None:
        self.effects: deque[Effect] = deque()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.performers = performers
        self._busy = False

    def perform(self, effects: Iterable[Effect]) -> None:
        """Perform these after those before them; while others are performed they are only noted."""
        self.effects.extend(effects)
        if not self._busy:
            self._busy = True
            self._go_on()

    def _go_on(self) -> None:
        effects, performers, monotonic = self.effects, self.performers, time.monotonic
        over = monotonic() + _SLICE_SECONDS
        later = False
        try:
            while effects and not later:
                effect = effects.popleft()
                performers[type(effect)](effect)
                later = len(effects) > _FEW and monotonic() >= over and self.loop is not None
        finally:
            self._busy = later
        if later and self.loop is not None:
            self.loop.call_soon(self._go_on)


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
