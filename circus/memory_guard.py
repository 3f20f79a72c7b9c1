"""Looks after `memory_limit`: tells a watcher which of its processes has used too much for too long.

Measures only the processes of watchers that have a limit, now and then, in slices that leave the loop free. What
follows is the watcher's. Invariant: while no watcher has a limit, no timer runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from circus.runtime import memory_use
from circus.spec.watcher import WatcherSpec

if TYPE_CHECKING:
    from circus.ports import Clock, ProcessLike

EVERY_SECONDS: Final = 2.0
_SLICE_SECONDS: Final = 0.001


class Limited(Protocol):
    """A watcher as the guard sees it."""

    @property
    def name(self) -> str: ...
    @property
    def spec(self) -> WatcherSpec: ...
    @property
    def processes(self) -> Mapping[int, ProcessLike]: ...
    def memory_exceeded(self, process: ProcessLike, used: int) -> None: ...


class MemoryGuard:
    """For all watchers of an arbiter.

    Args:
        loop: where it measures.
        clock: for how long a limit has been passed.
        watchers: all that there are now.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, watchers: Callable[[], Iterable[Limited]]
    ) -> None:
        self._loop, self._clock, self._watchers = loop, clock, watchers
        self._since: dict[tuple[str, int, int], float] = {}
        self._asked: set[int] = set()
        self._round: Iterator[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """There is a watcher with a limit, or there soon will be."""
        if self._timer is None:
            self._timer = self._loop.call_later(EVERY_SECONDS, self._look)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        if self._round is None:
            self._round = self._measure()
        for _ in self._round:
            self._timer = self._loop.call_later(_SLICE_SECONDS, self._look)
            return
        self._round = self._timer = None
        if any(watcher.spec.memory_limit for watcher in self._watchers()):
            self.wake()

    def _measure(self) -> Iterator[None]:
        seen: set[tuple[str, int, int]] = set()
        began = self._clock.monotonic()
        for watcher in [each for each in self._watchers() if each.spec.memory_limit]:
            for process in list(watcher.processes.values()):
                seen.add(_key(watcher, process))
                self._ask(watcher, process)
                if self._clock.monotonic() - began >= _SLICE_SECONDS:
                    yield
                    began = self._clock.monotonic()
        self._since = {key: since for key, since in self._since.items() if key in seen}

    def _ask(self, watcher: Limited, process: ProcessLike) -> None:
        measure = watcher.spec.memory_limit_of
        if measure == "uss":
            # The kernel walks all pages: not in the loop, and one question at a time for each process.
            if process.pid not in self._asked:
                self._asked.add(process.pid)
                asked = self._loop.run_in_executor(None, memory_use.unique, process.pid)
                asked.add_done_callback(lambda done: self._answered(watcher, process, done.result()))
            return
        used = memory_use.resident_of_tree if measure == "tree" else memory_use.resident
        self._judge(watcher, process, used(process.pid))

    def _answered(self, watcher: Limited, process: ProcessLike, used: int | None) -> None:
        self._asked.discard(process.pid)
        self._judge(watcher, process, used)

    def _judge(self, watcher: Limited, process: ProcessLike, used: int | None) -> None:
        spec, key, now = watcher.spec, _key(watcher, process), self._clock.monotonic()
        if used is None or used <= spec.memory_limit:
            self._since.pop(key, None)
        elif now - self._since.setdefault(key, now) >= spec.memory_limit_after:
            watcher.memory_exceeded(process, used)


def _key(watcher: Limited, process: ProcessLike) -> tuple[str, int, int]:
    return watcher.name, process.pid, process.generation
