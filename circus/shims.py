"""What circus 0.19 had for tornado's coroutines, on asyncio, and for daemons: for programs written for it.

Nothing in Circus uses it. Invariant: whatever future is returned can be awaited, in asyncio's coroutines and tornado's.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
import resource
from collections.abc import Callable, Generator
from typing import Any, TypeVar

logger = logging.getLogger("circus")

F = TypeVar("F", bound=Callable[..., Any])


def tornado_sleep(duration: float) -> asyncio.Future[None]:
    """A future that is done in so many seconds; in the running loop."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.call_later(duration, lambda: None if future.done() else future.set_result(None))
    return future


def synchronized(name: str) -> Callable[[F], F]:
    """Leaves a method as it is: commands queue, so that nothing has to be refused because something else runs."""
    del name

    def decorated(method: F) -> F:
        return method

    return decorated


class TransformableFuture:
    """What comes of another future, passed through a function; may be returned by a command, awaited, or called back."""

    def __init__(self) -> None:
        self._upstream: Any = None
        self._transform: Callable[[Any], Any] = _unchanged

    def set_upstream_future(self, upstream_future: Any) -> None:
        """Say where the result comes from: a future or a coroutine."""
        coroutine = inspect.iscoroutine(upstream_future)
        self._upstream = asyncio.ensure_future(upstream_future) if coroutine else upstream_future

    def set_transform_function(self, fn: Callable[[Any], Any]) -> None:
        """Say what is made of it."""
        self._transform = fn

    def __await__(self) -> Generator[Any, None, Any]:
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        return self._transform(await self._known())

    def _known(self) -> Any:
        if self._upstream is None:
            raise RuntimeError("upstream_future is not set")
        return self._upstream

    def done(self) -> bool:
        """Whether the other future is done."""
        return bool(self._known().done())

    def result(self, timeout: float | None = None) -> Any:
        """What came of it; the other future must be done."""
        del timeout
        return self._transform(self._known().result())

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The error of the other future."""
        del timeout
        error: BaseException | None = self._known().exception()
        return error

    def add_done_callback(self, fn: Callable[[TransformableFuture], object]) -> None:
        """Call a function with this future once the other is done."""
        self._known().add_done_callback(lambda _: fn(self))


def check_future_exception_and_log(future: Any) -> BaseException | None:
    """The error of a future that is done, logged; None when it has none."""
    error: BaseException | None = future.exception()
    if error is not None:
        logger.error("exception %s caught", error, exc_info=error)
    return error


def debuglog(func: F) -> F:
    """Log the calls of a method where the environment has DEBUG."""

    @functools.wraps(func)
    def logged(self: Any, *args: Any, **kwargs: Any) -> Any:
        if "DEBUG" not in os.environ:
            return func(self, *args, **kwargs)
        what = f"{type(self).__name__}.{func.__name__}"
        logger.debug("%r starts", what)
        try:
            return func(self, *args, **kwargs)
        finally:
            logger.debug("%r ends", what)

    return logged  # type: ignore[return-value]  # wraps keeps the signature, which the checker cannot know


MAXFD = 1024
REDIRECT_TO = os.devnull


def get_maxfd() -> int:
    """How many descriptors a program may have; 1024 where there is no limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return MAXFD if hard == resource.RLIM_INFINITY else hard


def daemonize() -> None:
    """Go on in the background, in a session of its own, away from the terminal; who called it has ended."""
    from circus.runtime.daemonize import daemonize as begin

    begin().ready()


def _unchanged(value: Any) -> Any:
    return value
