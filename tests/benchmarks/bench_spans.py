"""Lifecycle records to spans, and spans to a request of OTLP: what a flood of 10,000 records costs the exporter."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence

from circus.spec.watcher import WatcherSpec
from circus.wire.events import Record
from circus_exporters.otel.encode import trace_request
from circus_exporters.otel.spans import Span
from circus_exporters.otel.traces import TraceFold
from tests.benchmarks.report import Row, median
from tests.property.test_traces import RecordingWorld

RECORDS = 10_000
BATCH = 512
ROUNDS = 5


def _records() -> list[Record]:
    """Of reloads of ten workers, as the daemon makes them."""
    world = RecordingWorld(WatcherSpec(name="web", cmd="program", numprocesses=10))
    world.submit("start")
    world.run(1.0)
    while world.bus.seq < RECORDS:
        world.submit("reload")
        world.run(60.0)
    return world.recorded()[:RECORDS]


def _folded(records: Sequence[Record]) -> list[Span]:
    fold = TraceFold()
    return [span for record in records for span in fold.fold(record)]


def _encoded(spans: Sequence[Span]) -> None:
    of = {"service.name": "circus"}
    for first in range(0, len(spans), BATCH):
        trace_request(of, spans[first : first + BATCH]).SerializeToString()


def _seconds(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return median(taken)


def run() -> Iterator[Row]:
    records = _records()
    spans = _folded(records)
    folding, encoding = _seconds(lambda: _folded(records)), _seconds(lambda: _encoded(spans))
    yield Row(what=f"{RECORDS} records to {len(spans)} spans", measured=folding * 1000, unit="ms",
              note=f"{len(records) / folding:,.0f} records a second")  # fmt: skip
    yield Row(what="those spans to requests", measured=encoding * 1000, unit="ms",
              note=f"{len(spans) / encoding:,.0f} spans a second")  # fmt: skip
    tracemalloc.start()
    kept = _folded(records)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    yield Row(what="memory of one span that waits", measured=size / len(kept), unit="bytes")
