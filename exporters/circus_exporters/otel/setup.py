"""Traces and metrics of one exporter, from records and snapshots to the collector.

Owns how the parts of this package are put together. It refuses to know the feed: it is told each record once and in
order. Invariant: whatever the collector does, nobody here waits for it but the deliveries themselves.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from opentelemetry.sdk.resources import Resource

from circus.wire.events import Record
from circus.wire.snapshot import Telemetry
from circus_exporters.otel import semantics as name
from circus_exporters.otel.delivery import MetricDelivery, SpanDelivery
from circus_exporters.otel.encode import resource, trace_request
from circus_exporters.otel.metrics import metrics_request
from circus_exporters.otel.options import OtlpOptions
from circus_exporters.otel.resume import Resume
from circus_exporters.otel.sampling import sampler
from circus_exporters.otel.spans import Value
from circus_exporters.otel.traces import TraceFold
from circus_exporters.otel.transport import transport
from circus_exporters.state import Deliveries, FleetState, Listener

CLOSE_SECONDS = 3.0


async def check(options: OtlpOptions) -> None:
    """CircusError tells what is missing for these options."""
    for target in (options.traces, options.metrics):
        if target is not None:
            await transport(target).close()


class OtlpExport(Listener):
    """What `[exporter:otlp]` asks for. `refresh` brings the state up to date and says whether it could.

    Raises CircusError when something that the options ask for is not installed or cannot be used.
    """

    def __init__(self, state: FleetState, options: OtlpOptions, refresh: Callable[[], Awaitable[bool]]) -> None:
        self._state = state
        self._options = options
        self._refresh = refresh
        self._fold = TraceFold()
        self._wants = sampler(options.sampler, options.ratio)
        # What every program with this SDK says of itself: the variables, and whose SDK it is.
        self._described = cast("Mapping[str, Value]", Resource.create(dict(options.resource)).attributes)
        self._resume: Resume | None = None
        self._resume_until = 0
        state.deliveries = Deliveries()
        self.spans: SpanDelivery | None = None
        self.metrics: MetricDelivery | None = None
        if options.traces is not None:
            self.spans = SpanDelivery(
                transport(options.traces), lambda spans: trace_request(self._of(), spans),
                options.traces.shown, state.deliveries, max_queue=options.max_queue, batch=options.batch, delay=options.delay,
            )  # fmt: skip
            state.listeners.append(self)
        if options.metrics is not None:
            self.metrics = MetricDelivery(transport(options.metrics), options.metrics.shown, state.deliveries)

    def _of(self) -> Mapping[str, Value]:
        """Whom all of it is about."""
        attributes: dict[str, Value] = {name.HOST_NAME: socket.gethostname(), **self._described}
        telemetry = self._state.telemetry
        if telemetry is not None:
            attributes[name.SERVICE_VERSION] = telemetry.version
            attributes[name.SERVICE_INSTANCE] = telemetry.boot
        attributes[name.SERVICE_NAME] = (
            self._options.service_name or self._options.resource.get(name.SERVICE_NAME) or "circus"
        )
        return attributes

    # What the feed tells

    def attached(self, telemetry: Telemetry, other: bool) -> None:
        """A daemon answers; records up to that seq come from its journal."""
        if other and self.spans is not None:
            self._resume, self._resume_until = Resume(os.getpid(), time.time()), telemetry.seq

    def on_record(self, record: Record) -> None:
        assert self.spans is not None
        spans = [span for span in self._fold.fold(record) if self._wants(span)]
        if self._resume is not None:
            if record.seq <= self._resume_until:
                self._resume.fold(record, spans)
                spans = []
            if record.seq >= self._resume_until:
                spans = self._resume.untold(self._fold.open_traces) + spans
                self._resume = None
        if spans:
            self.spans.add(spans)

    # Its life

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self.spans is not None:
                group.create_task(self.spans.run())
            if self.metrics is not None:
                group.create_task(self._send_metrics(self.metrics))

    async def _send_metrics(self, delivery: MetricDelivery) -> None:
        while True:
            await asyncio.sleep(self._options.metrics_interval)
            await self._send_metrics_once(delivery)

    async def _send_metrics_once(self, delivery: MetricDelivery) -> None:
        if await self._refresh():
            await delivery.send(metrics_request(resource(self._of()), self._state, time.monotonic()))

    async def close(self) -> None:
        """Deliver what waits, for a moment."""
        if self.spans is not None:
            if not self._state.attached() or self._state.boot != self._fold.boot:
                # Nobody will tell the rest; while the daemon lives a successor does.
                self.spans.add(span for span in self._fold.abandon("the daemon ended") if self._wants(span))
            await self.spans.close(CLOSE_SECONDS)
        if self.metrics is not None:
            await self.metrics.close()
