"""Forks are paced: one in a turn of the loop, in order, and the first of a turn at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from circus.runtime.loop import HEAD_START_SECONDS, Pending, SpawnQueue


async def test_the_first_spawn_of_a_turn_is_made_at_once_and_the_others_one_by_one() -> None:
    made: list[int] = []
    queue = SpawnQueue(asyncio.get_running_loop())
    for number in range(4):
        queue.submit(lambda number=number: made.append(number))
    seen = [list(made)]
    while len(queue):
        await asyncio.sleep(0)
        seen.append(list(made))
    assert seen == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]


async def test_two_turns_later_the_next_one_is_made_at_once_again() -> None:
    made: list[str] = []
    queue = SpawnQueue(asyncio.get_running_loop())
    queue.submit(lambda: made.append("one"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    queue.submit(lambda: made.append("two"))
    assert made == ["one", "two"]


async def test_what_a_spawn_submits_itself_waits_for_the_next_turn() -> None:
    made: list[str] = []
    queue = SpawnQueue(asyncio.get_running_loop())

    def first() -> None:
        queue.submit(lambda: made.append("second"))
        made.append("first")

    queue.submit(first)
    assert made == ["first"]
    await asyncio.sleep(0)
    assert made == ["first", "second"]


async def test_what_is_left_of_a_spawn_waits_for_the_head_start_of_the_process() -> None:
    done: list[str] = []
    queue = SpawnQueue(asyncio.get_running_loop())

    def spawn() -> Callable[[], None]:
        done.append("spawned")
        return lambda: done.append("told")

    queue.submit(spawn)
    queue.afterwards(lambda: done.append("more"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert done == ["spawned"]
    assert queue.resting
    turns = 0
    while queue.resting:
        turns += 1
        await asyncio.sleep(HEAD_START_SECONDS)
    assert turns > 0
    assert done == ["spawned", "told", "more"]


async def test_who_cannot_wait_settles_what_is_left_and_it_is_done_once() -> None:
    done: list[str] = []
    queue = SpawnQueue(asyncio.get_running_loop())
    queue.submit(lambda: lambda: done.append("told"))
    await asyncio.sleep(0)
    queue.settle()
    assert done == ["told"]
    await asyncio.sleep(2 * HEAD_START_SECONDS)
    assert done == ["told"]


async def test_of_many_spawns_each_is_told_before_the_next_is_made() -> None:
    done: list[str] = []
    queue = SpawnQueue(asyncio.get_running_loop())

    def spawn(number: int) -> Callable[[], None]:
        done.append(f"spawned {number}")
        return lambda: done.append(f"told {number}")

    for number in range(3):
        queue.submit(lambda number=number: spawn(number))
        assert queue.resting is (number == 0)
    for _ in range(4):
        await asyncio.sleep(0)
    queue.settle()
    assert done == ["spawned 0", "told 0", "spawned 1", "told 1", "spawned 2", "told 2"]


def putting_back(performed: list[int]) -> Pending[int]:
    """Effects that are noted; 1 is put back when nothing was performed before it, which is noted as 0."""

    def perform(_: object, effect: int) -> None:
        if effect == 1 and not performed:
            performed.append(0)
            pending.put_back(effect)
        else:
            performed.append(effect)

    pending: Pending[int] = Pending({int: perform}, None)
    return pending


def test_what_is_put_back_waits_with_all_after_it() -> None:
    performed: list[int] = []
    pending = putting_back(performed)
    pending.perform([1, 2])
    assert performed == [0]
    pending.resume()
    assert performed == [0, 1, 2]
    pending.resume()
    assert performed == [0, 1, 2]


def test_more_to_perform_ends_the_wait_of_what_was_put_back() -> None:
    performed: list[int] = []
    pending = putting_back(performed)
    pending.perform([1])
    pending.perform([2])
    assert performed == [0, 1, 2]


def pending_of(performed: list[int], seconds: float) -> Pending[int]:
    """Effects that are noted, each of which takes so long."""

    def perform(_: object, effect: int) -> None:
        performed.append(effect)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass

    return Pending({int: perform}, None)


async def test_few_effects_are_performed_at_once_however_long_they_take() -> None:
    performed: list[int] = []
    pending = pending_of(performed, 0.001)
    pending.loop = asyncio.get_running_loop()
    pending.perform(range(20))
    assert performed == list(range(20))


async def test_many_effects_leave_the_loop_its_turns_and_keep_their_order() -> None:
    performed: list[int] = []
    pending = pending_of(performed, 0.0005)
    pending.loop = asyncio.get_running_loop()
    pending.perform(range(200))
    pending.perform([200])
    assert 0 < len(performed) < 200
    turns = 0
    while len(performed) < 201:
        turns += 1
        await asyncio.sleep(0)
    assert turns > 1
    assert performed == list(range(201))


def test_without_a_loop_all_are_performed_at_once() -> None:
    performed: list[int] = []
    pending_of(performed, 0.0005).perform(range(100))
    assert performed == list(range(100))


def test_what_follows_from_an_effect_is_performed_after_what_was_there() -> None:
    performed: list[int] = []

    def perform(_: object, effect: int) -> None:
        performed.append(effect)
        if effect == 1:
            pending.perform([3])

    pending: Pending[int] = Pending({int: perform}, None)
    pending.perform([1, 2])
    assert performed == [1, 2, 3]


def test_an_effect_that_fails_takes_nothing_from_the_next_ones() -> None:
    performed: list[int] = []

    def perform(_: object, effect: int) -> None:
        if effect == 1:
            raise ValueError
        performed.append(effect)

    pending: Pending[int] = Pending({int: perform}, None)
    with pytest.raises(ValueError):
        pending.perform([1, 2])
    pending.perform([3])
    assert performed == [2, 3]
