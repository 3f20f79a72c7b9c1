"""Each span that is handed over ends in one count, whatever the collector does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from circus_exporters.otel.spans import Span
from circus_exporters.state import Deliveries

pytest.importorskip("opentelemetry.proto")

from circus_exporters.attempts import Outcome
from circus_exporters.otel.delivery import SpanDelivery

AGAIN = Outcome(problem="away", again=True)


def spans(number: int, first: int = 0) -> list[Span]:
    return [
        Span(trace="ab" * 16, span=f"{first + each:016x}", parent=None, name="x", start=0.0, end=1.0)
        for each in range(number)
    ]


class Collector:
    """Answers as it is told, and takes everything afterwards. A request is the ids of its spans."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.got: list[list[str]] = []
        self.asked = 0
        self.taken = asyncio.Event()

    async def send(self, request: Any) -> Outcome:
        self.asked += 1
        await asyncio.sleep(0)
        outcome = self.outcomes.pop(0) if self.outcomes else Outcome()
        if outcome.problem is None:
            self.got.append(request)
            self.taken.set()
        return outcome

    async def close(self) -> None:
        pass


def encode(batch: Sequence[Span]) -> Any:
    return [span.span for span in batch]


@asynccontextmanager
async def delivering(collector: Collector, counts: Deliveries, **limits: Any):
    given = {"max_queue": 100, "batch": 10, "delay": 0.0, "first_pause": 0.001} | limits
    delivery = SpanDelivery(collector, encode, "http://collector", counts, **given)
    task = asyncio.create_task(delivery.run())
    try:
        yield delivery
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 -- counts, not events, are what is tested
            await asyncio.sleep(0.001)


async def test_what_the_collector_took_is_counted() -> None:
    collector, counts = Collector(), Deliveries()
    async with delivering(collector, counts) as delivery:
        delivery.add(spans(25))
        assert counts.spans_waiting == 25
        await until(lambda: counts.spans_exported == 25)
    assert [len(batch) for batch in collector.got] == [10, 10, 5]
    assert counts.spans_waiting == 0


async def test_a_collector_that_is_away_gets_them_later_and_once() -> None:
    collector, counts = Collector(AGAIN, AGAIN, AGAIN), Deliveries()
    async with delivering(collector, counts) as delivery:
        delivery.add(spans(3))
        await until(lambda: counts.spans_exported == 3)
    assert collector.asked == 4
    assert collector.got == [[span.span for span in spans(3)]]
    assert sum(counts.spans_dropped.values()) == 0


async def test_what_it_refuses_is_given_up_and_the_next_goes_on() -> None:
    collector, counts = Collector(Outcome(problem="400")), Deliveries()
    async with delivering(collector, counts) as delivery:
        delivery.add(spans(3))
        await until(lambda: counts.spans_dropped["refused"] == 3)
        delivery.add(spans(2, first=3))
        await until(lambda: counts.spans_exported == 2)


async def test_a_part_that_it_rejects_is_not_delivered() -> None:
    collector, counts = Collector(Outcome(rejected=2)), Deliveries()
    async with delivering(collector, counts) as delivery:
        delivery.add(spans(5))
        await until(lambda: counts.spans_exported == 3)
    assert counts.spans_dropped["rejected"] == 2


async def test_too_many_drop_the_oldest() -> None:
    collector, counts = Collector(*[AGAIN] * 1000), Deliveries()
    async with delivering(collector, counts, max_queue=10, first_pause=0.01) as delivery:
        delivery.add(spans(30))
        assert counts.spans_dropped["queue_full"] == 20
        assert counts.spans_waiting == 10
        collector.outcomes.clear()
        await until(lambda: counts.spans_exported == 10)
    assert collector.got[0][0] == spans(30)[20].span


async def test_on_leaving_what_waits_is_delivered_or_counted() -> None:
    collector, counts = Collector(), Deliveries()
    async with delivering(collector, counts, delay=1000.0) as delivery:
        delivery.add(spans(3))
    await delivery.close(10.0)
    assert (counts.spans_exported, counts.spans_waiting) == (3, 0)

    away, counts = Collector(*[AGAIN] * 10_000), Deliveries()
    async with delivering(away, counts, delay=1000.0) as delivery:
        delivery.add(spans(3))
    await delivery.close(0.01)
    assert (counts.spans_dropped["left"], counts.spans_exported, counts.spans_waiting) == (3, 0, 0)
