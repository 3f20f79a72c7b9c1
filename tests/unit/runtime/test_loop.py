"""Forks are paced: one in a turn of the loop, in order, and the first of a turn at once."""

from __future__ import annotations

import asyncio
import time

import pytest

from circus.runtime.loop import Pending, SpawnQueue


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


async def test_a_cleared_queue_makes_nothing_more() -> None:
    made: list[int] = []
    queue = SpawnQueue(asyncio.get_running_loop())
    for number in range(3):
        queue.submit(lambda number=number: made.append(number))
    queue.clear()
    for _ in range(4):
        await asyncio.sleep(0)
    assert made == [0]


def pending_of(performed: list[int], seconds: float) -> Pending[int]:
    """Effects that are noted, each of which takes so long."""

    def perform(effect: int) -> None:
        performed.append(effect)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass

    return Pending({int: perform})


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

    def perform(effect: int) -> None:
        performed.append(effect)
        if effect == 1:
            pending.perform([3])

    pending: Pending[int] = Pending({int: perform})
    pending.perform([1, 2])
    assert performed == [1, 2, 3]


def test_an_effect_that_fails_takes_nothing_from_the_next_ones() -> None:
    performed: list[int] = []

    def perform(effect: int) -> None:
        if effect == 1:
            raise ValueError
        performed.append(effect)

    pending: Pending[int] = Pending({int: perform})
    with pytest.raises(ValueError):
        pending.perform([1, 2])
    pending.perform([3])
    assert performed == [2, 3]
