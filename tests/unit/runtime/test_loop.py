"""Forks are paced: one in a turn of the loop, in order, and the first of a turn at once."""

from __future__ import annotations

import asyncio

from circus.runtime.loop import SpawnQueue


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
