"""A small HTTP application: every answer says which worker gave it and how many it has given."""

from __future__ import annotations

import itertools
import os
from collections.abc import Awaitable, Callable
from typing import Any

answers = itertools.count(1)


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """The ASGI application that uvicorn serves."""
    del receive
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    body = f"Hello from worker {os.getpid()}, this is its answer number {next(answers)}.\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
