"""The daemon's way with its loop: forks and effects paced so that nothing else waits long, garbage collection out of the way."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Final, Generic, TypeVar

Effect = TypeVar("Effect")

_FEW: Final = 64
"""So many effects are performed in one go, however long they take."""

_SLICE_SECONDS: Final = 0.002
"""Of more than these the rest waits for the loop's next turn when so much time has passed."""

HEAD_START_SECONDS: Final = 0.002
"""Linux leaves a new process on the CPU of its parent, and it runs when that sleeps: whatever the daemon does after a
spawn, its telling included, comes on top of the start of the program, also where another CPU has nothing to do."""

_NOTHING: Final[deque[Any]] = deque()
"""Nothing is ever in it. Each deque has 0.7 kB, and most watchers have nothing to do at any moment."""


class Pending(Generic[Effect]):
    """Effects that are performed in order; of many (a thousand processes to signal) the last come some turns later.

    Args:
        performers: what to call with the owner and an effect, by its type.
        owner: whose effects they are; the table is the same for all of its kind.

    Attributes:
        effects: which have not been performed; beside those that are being performed, some that wait (`put_back`).
        loop: whose turns come between; without one all are performed at once.
    """

    def __init__(self, performers: Mapping[type, Callable[[Any, Any], None]], owner: object) -> None:
        self.effects: deque[Effect] = _NOTHING
        self.loop: asyncio.AbstractEventLoop | None = None
        self._performers, self._owner = performers, owner
        self._busy = self._waits = False

    def put_back(self, effect: Effect) -> None:
        """From its performer: this effect and those after it wait for `resume`, or until more are to be performed."""
        self.effects.appendleft(effect)
        self._waits = True

    def resume(self) -> None:
        """Perform what was put back, if that has not been done."""
        self.perform(())

    def perform(self, effects: Iterable[Effect]) -> None:
        """Perform these after those before them; while others are performed they are only noted."""
        if self.effects is _NOTHING:
            self.effects = deque()
        self.effects.extend(effects)
        if not self._busy:
            self._busy = True
            self._go_on()

    def _go_on(self) -> None:
        effects, performers, owner, monotonic = self.effects, self._performers, self._owner, time.monotonic
        over = monotonic() + _SLICE_SECONDS
        later = self._waits = False
        try:
            while effects and not (later or self._waits):
                effect = effects.popleft()
                performers[type(effect)](owner, effect)
                later = len(effects) > _FEW and monotonic() >= over and self.loop is not None
        finally:
            self._busy = later
            if not effects:
                self.effects = _NOTHING
        if later and self.loop is not None:
            self.loop.call_soon(self._go_on)


class SpawnQueue:
    """Runs the spawns of all watchers in order, one per turn of the loop: a fork blocks for half a millisecond, and what
    became due meanwhile comes between.

    A spawn returns what is left to do about it, if anything. That waits for the next spawn, for `settle`, or until the
    new process had its head start.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: deque[Callable[[], Callable[[], None] | None]] = deque()
        self._rests: deque[Callable[[], None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._scheduled = False
        self._freeze_after = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def resting(self) -> bool:
        """Whether a process has its head start, and no other is to be spawned."""
        return bool(self._rests) and not self._queue

    def submit(self, spawn: Callable[[], Callable[[], None] | None]) -> None:
        """Run `spawn` after those before it: at once when it is the first of this turn, so that one death among many
        processes does not wait for the loop to come round.
        """
        self._queue.append(spawn)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)
            self._spawn_next()

    def afterwards(self, rest: Callable[[], None]) -> None:
        """Add to what is left to do about the last spawn."""
        self._rests.append(rest)

    def settle(self) -> None:
        """Do what is left of the spawns that were made; whoever changes or looks at what they were for comes after it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._rests:
            self._rests.popleft()()

    def _spawn_next(self) -> None:
        spawn = self._queue.popleft()
        self._freeze_after += 1
        rest = spawn()
        if rest is not None:
            self._rests.append(rest)

    def _turn(self) -> None:
        self._scheduled = bool(self._queue)
        if self._scheduled:
            self._loop.call_soon(self._turn)
            self.settle()
            if self._queue:
                self._spawn_next()
            return
        if self._rests and self._timer is None:
            self._timer = self._loop.call_later(HEAD_START_SECONDS, self.settle)
        if self._freeze_after >= 100:
            # Many long-lived objects came with many processes; a full collection over them would stall the loop.
            self._freeze_after = 0
            gc.freeze()


class Done(Future[bool | None]):
    """What is returned where there is nothing to wait for: a future that is done, to be awaited or asked."""

    def __init__(self, result: bool | None = None) -> None:
        super().__init__()
        self.set_result(result)

    def __await__(self) -> Generator[None, None, bool | None]:
        yield from ()
        return self.result()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop of this thread that runs, None where none does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run that in a loop of its own, which takes the calls of tornado's too, until it is done."""
    from circus.runtime.tornado_loop import TornadoLoop

    with asyncio.Runner(loop_factory=TornadoLoop) as runner:
        runner.run(main)
