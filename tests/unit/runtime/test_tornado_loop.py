"""The calls of tornado's loop that plugins of circus 0.19 make, on ours."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from circus.runtime.tornado_loop import TornadoLoop


@pytest.fixture
def loop() -> Iterator[TornadoLoop]:
    made = TornadoLoop()
    yield made
    made.close()


def test_callbacks_run_in_order_with_their_arguments(loop: TornadoLoop) -> None:
    heard: list[Any] = []

    async def later(what: str) -> None:
        await asyncio.sleep(0)
        heard.append(what)
        loop.stop()

    loop.add_callback(heard.append, 1)
    loop.spawn_callback(lambda *, key: heard.append(key), key=2)
    loop.add_callback_from_signal(later, "coroutine")
    loop.start()
    assert heard == [1, 2, "coroutine"]


@pytest.mark.parametrize(
    "deadline", [lambda loop: time.time(), lambda loop: loop.time(), lambda loop: dt.timedelta(seconds=0)]
)
def test_a_timeout_comes_whatever_clock_was_meant(loop: TornadoLoop, deadline: Any) -> None:
    handle = loop.add_timeout(deadline(loop), loop.stop)
    assert handle.when() <= loop.time() + 1
    loop.start()


def test_a_removed_timeout_does_not_come(loop: TornadoLoop) -> None:
    heard: list[int] = []
    loop.remove_timeout(loop.add_timeout(loop.time(), heard.append, 1))
    loop.call_later(0, loop.stop)
    loop.start()
    assert heard == []


def test_a_handler_is_called_while_its_descriptor_is_ready(loop: TornadoLoop) -> None:
    ours, theirs = os.pipe()
    heard: list[tuple[int, int, bytes]] = []

    def ready(fd: int, events: int) -> None:
        heard.append((fd, events, os.read(fd, 10)))
        loop.remove_handler(fd)
        loop.stop()

    loop.add_handler(ours, ready, loop.READ)
    os.write(theirs, b"hello")
    loop.start()
    assert heard == [(ours, loop.READ, b"hello")]
    for fd in (ours, theirs):
        loop.close_fd(fd)


def test_what_a_coroutine_raises_is_reported_and_ends_nothing(loop: TornadoLoop) -> None:
    told: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: (told.append(context), loop.stop()))

    async def failing() -> None:
        raise ValueError("no")

    loop.add_callback(failing)
    loop.start()
    assert str(told[0]["exception"]) == "no"


def test_it_can_be_made_the_one_in_force(loop: TornadoLoop) -> None:
    loop.make_current()
    try:
        assert asyncio.get_event_loop() is loop is loop.asyncio_loop
    finally:
        asyncio.set_event_loop(None)
