"""Arbiters inside a test: made as a program makes them, on unix sockets in a short directory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from circus import get_arbiter
from circus.arbiter import Arbiter
from circus.watcher import Watcher
from tests.helpers.waiting import DEADLINE

SLEEPER = {"name": "web", "cmd": "sleep 1000", "graceful_timeout": 5}


def endpoints(directory: str) -> dict[str, str]:
    return {
        "controller": f"ipc://{directory}/control",
        "pubsub_endpoint": f"ipc://{directory}/events",
        "stats_endpoint": f"ipc://{directory}/stats",
    }


def made(directory: str, *watchers: dict[str, Any], **options: Any) -> Arbiter:
    return get_arbiter(list(watchers), **endpoints(directory), **options)


def constructed(directory: str, *watchers: Watcher, kind: type[Arbiter] = Arbiter, **options: Any) -> Arbiter:
    """By the constructor of circus 0.19."""
    return kind(
        list(watchers),
        f"ipc://{directory}/control",
        f"ipc://{directory}/events",
        stats_endpoint=f"ipc://{directory}/stats",
        **options,
    )


async def until(condition: Callable[[], Any]) -> Any:
    """What the condition gives once it is true; it is asked again and again, with turns of the loop between."""
    async with asyncio.timeout(DEADLINE):
        while not (found := condition()):  # noqa: ASYNC110 -- what is waited for is a state, seen from outside
            await asyncio.sleep(0.01)
        return found
