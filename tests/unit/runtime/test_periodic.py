"""What is done periodically: every period, never twice at a time, and whatever the last call did."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from circus.exc import CircusError
from circus.runtime.periodic import PeriodicCallback


async def rounds(count: int, done: Callable[[int], Any]) -> int:
    """How many calls there were when `count` of them had come; `done` is what each does."""
    calls = 0
    enough = asyncio.Event()

    def call() -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            enough.set()
        return done(calls)

    periodic = PeriodicCallback(call, 1)
    periodic.start()
    periodic.start()  # is harmless
    assert periodic.is_running()
    async with asyncio.timeout(20):
        await enough.wait()
    periodic.stop()
    assert not periodic.is_running()
    await asyncio.sleep(0.01)
    return calls


async def test_it_goes_on_until_it_is_stopped() -> None:
    assert await rounds(3, lambda _: None) == 3


async def test_a_failure_does_not_cost_the_next_call(caplog: pytest.LogCaptureFixture) -> None:
    def failing(number: int) -> None:
        raise ValueError("mine") if number == 1 else CircusError("of the house")

    with caplog.at_level(logging.ERROR, logger="circus"):
        await rounds(3, failing)
    first, second = caplog.records[:2]
    assert first.exc_info is not None
    assert second.getMessage().endswith("failed: of the house")
    assert not second.exc_info


async def test_coroutines_are_awaited_and_never_overlap() -> None:
    running = 0
    most = 0

    async def slow(_: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1

    await rounds(3, slow)
    assert most == 1


async def test_a_coroutine_that_fails_does_not_cost_the_next_call() -> None:
    async def failing(_: int) -> None:
        raise CircusError("no")

    await rounds(3, failing)


def test_a_period_must_take_time() -> None:
    with pytest.raises(ValueError, match="callback_time"):
        PeriodicCallback(print, 0)
