"""Who is told that a process uses too much, and when."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from circus import memory_guard
from circus.memory_guard import MemoryGuard
from circus.runtime import memory_use
from circus.spec.watcher import WatcherSpec


@dataclass
class Limited:
    spec: WatcherSpec
    processes: dict = field(default_factory=dict)
    told: list = field(default_factory=list)

    @property
    def name(self):
        return self.spec.name

    def memory_exceeded(self, process, used):
        self.told.append((process.pid, used))


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def used(monkeypatch):
    told: dict[int, int | None] = {}
    monkeypatch.setattr(memory_use, "resident", told.get)
    monkeypatch.setattr(memory_use, "resident_of_tree", lambda pid: (told.get(pid) or 0) * 10)
    return told


def limited(**options):
    process = SimpleNamespace(pid=7, generation=1, wid=1)
    spec = WatcherSpec(name="web", cmd="program", **({"memory_limit": 100, "memory_limit_after": 4.0} | options))
    return Limited(spec, {7: process})


async def look(guard):
    """One whole round, as the timer would make it."""
    guard._look()
    while guard._round is not None:  # noqa: ASYNC110 -- the state of a timer
        await asyncio.sleep(memory_guard._SLICE_SECONDS)
    guard.close()


async def test_a_limit_has_to_be_passed_for_a_while(used):
    watcher, clock = limited(), Clock()
    guard = MemoryGuard(asyncio.get_running_loop(), clock, lambda: [watcher])
    used[7] = 101
    for clock.now in (0.0, 2.0):
        await look(guard)
    assert watcher.told == []
    clock.now = 4.0
    await look(guard)
    assert watcher.told == [(7, 101)]


async def test_the_while_begins_anew_when_the_process_was_below(used):
    watcher, clock = limited(), Clock()
    guard = MemoryGuard(asyncio.get_running_loop(), clock, lambda: [watcher])
    for clock.now, used[7] in ((0.0, 101), (2.0, 100), (4.0, 101), (6.0, 101)):
        await look(guard)
    assert watcher.told == []


async def test_the_process_that_follows_has_a_while_of_its_own(used):
    watcher, clock = limited(), Clock()
    guard = MemoryGuard(asyncio.get_running_loop(), clock, lambda: [watcher])
    used[7] = 101
    await look(guard)
    watcher.processes[7].generation = 2
    clock.now = 4.0
    await look(guard)
    assert watcher.told == []


async def test_the_tree_is_measured_where_it_is_meant(used):
    watcher = limited(memory_limit_of="tree", memory_limit_after=0.0)
    guard = MemoryGuard(asyncio.get_running_loop(), Clock(), lambda: [watcher])
    used[7] = 11
    await look(guard)
    assert watcher.told == [(7, 110)]


async def test_nobody_is_told_of_a_process_that_is_gone(used):
    watcher = limited(memory_limit_after=0.0)
    guard = MemoryGuard(asyncio.get_running_loop(), Clock(), lambda: [watcher])
    used[7] = None
    await look(guard)
    assert watcher.told == []


async def test_without_a_limit_nothing_is_looked_at_again():
    guard = MemoryGuard(asyncio.get_running_loop(), Clock(), lambda: [limited(memory_limit=0)])
    guard.wake()
    assert guard._timer is not None
    guard.close()
    guard._look()
    assert guard._timer is None
