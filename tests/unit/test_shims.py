"""What programs of circus 0.19 used with tornado, on asyncio."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from circus import shims
from tests.helpers.waiting import DEADLINE


async def test_a_sleep_is_a_future() -> None:
    future = shims.tornado_sleep(0)
    assert isinstance(future, asyncio.Future)
    await asyncio.wait_for(future, DEADLINE)
    shims.tornado_sleep(0).cancel()
    await shims.tornado_sleep(0)


async def test_a_method_is_not_refused_while_another_runs() -> None:
    class Kitchen:
        arbiter = None

        @shims.synchronized("cook")
        async def cook(self, dish: str) -> str:
            await asyncio.sleep(0)
            return dish

    assert await asyncio.gather(Kitchen().cook("soup"), Kitchen().cook("pie")) == ["soup", "pie"]


async def test_what_comes_of_a_future_is_transformed() -> None:
    upstream: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future, called = shims.TransformableFuture(), asyncio.Event()
    with pytest.raises(RuntimeError, match="not set"):
        future.result()
    future.set_upstream_future(upstream)
    future.set_transform_function(lambda value: {"number": value})
    future.add_done_callback(lambda _: called.set())
    assert not future.done()
    upstream.set_result(3)
    assert await future == {"number": 3}
    assert (future.done(), future.result(), future.exception()) == (True, {"number": 3}, None)
    await asyncio.wait_for(called.wait(), DEADLINE)


async def test_a_failure_comes_through_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def failing() -> None:
        raise ValueError("on purpose")

    future = shims.TransformableFuture()
    future.set_upstream_future(failing())
    with pytest.raises(ValueError, match="on purpose"):
        await future
    assert isinstance(shims.check_future_exception_and_log(future), ValueError)
    assert "on purpose" in caplog.text


def test_the_number_of_descriptors_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shims.get_maxfd() > 0
    monkeypatch.setattr(shims.resource, "getrlimit", lambda _: (1, shims.resource.RLIM_INFINITY))
    assert shims.get_maxfd() == shims.MAXFD


def test_calls_are_logged_where_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Kitchen:
        @shims.debuglog
        def cook(self, dish: Any) -> Any:
            return dish

    caplog.set_level("DEBUG", logger="circus")
    assert Kitchen().cook("soup") == "soup"
    assert caplog.text == ""
    monkeypatch.setenv("DEBUG", "1")
    assert Kitchen().cook("pie") == "pie"
    assert "Kitchen.cook" in caplog.text
