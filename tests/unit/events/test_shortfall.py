"""Losses become records, each of them once."""

from __future__ import annotations

import asyncio
import json

from circus.events import shortfall
from circus.events.bus import Bus
from circus.events.shortfall import Shortfall
from circus.runtime.clock import SystemClock


def told(bus: Bus) -> list[tuple[str, dict[str, int]]]:
    records = [json.loads(body) for body in bus.journal.replay()[0]]
    return [(record["record"], record["data"]) for record in records]


async def test_what_was_added_is_told_once():
    bus, counts, steady = Bus(SystemClock()), {"a": 5, "b": 0}, {"c": 3}
    lost = Shortfall(
        asyncio.get_running_loop(), bus, {"message.dropped": lambda: counts, "sample.skipped": lambda: steady}
    )
    lost.look()
    assert told(bus) == []  # what was there before is of another life
    counts["a"] += 2
    lost.look()
    lost.look()
    counts["b"] += 1
    lost.look()
    lost.close()
    assert told(bus) == [("message.dropped", {"a": 2, "b": 0}), ("message.dropped", {"a": 0, "b": 1})]


async def test_it_looks_by_itself(monkeypatch):
    monkeypatch.setattr(shortfall, "SECONDS", 0.0)
    looked, read = asyncio.Event(), []

    def counts():
        read.append(len(read))
        if len(read) == 4:
            looked.set()
        return {"a": len(read)}

    bus = Bus(SystemClock())
    lost = Shortfall(asyncio.get_running_loop(), bus, {"message.dropped": counts})
    await looked.wait()
    lost.close()
    assert told(bus) == [("message.dropped", {"a": 1})] * 3
