"""From finished spans to a collector: a bounded queue, batches, attempts, and true counts.

Owns what waits and what became of it. It refuses to know records and protobuf. Invariants: nobody who hands something over
waits; each span ends in exactly one count (delivered, or dropped by reason), or still waits; a span counts as delivered when
the collector has said so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from google.protobuf.message import Message

from circus_exporters import catalogue
from circus_exporters.attempts import FIRST_PAUSE, Teller, insist
from circus_exporters.otel.spans import Span
from circus_exporters.otel.transport import Transport
from circus_exporters.state import Deliveries

logger = logging.getLogger("circus_exporters.otel")


class SpanDelivery:
    """Spans on their way. `encode` makes a request of a batch; `delay` is how long the first span of a batch waits for
    others, in seconds.
    """

    def __init__(
        self,
        transport: Transport,
        encode: Callable[[Sequence[Span]], Message],
        address: str,
        counts: Deliveries,
        *,
        max_queue: int,
        batch: int,
        delay: float,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._counts = counts
        counts.spans_dropped = dict.fromkeys(catalogue.SPAN_DROPS, 0)
        self._transport = transport
        self._encode = encode
        self._teller = Teller(logger, "spans", address)
        self._address = address
        self._max_queue = max_queue
        self._batch_size = batch
        self._delay = delay
        self._first_pause = first_pause
        self._queue: deque[Span] = deque()
        self._sending: list[Span] = []
        self._some = asyncio.Event()
        self._full = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Spans that have not ended in a count."""
        return len(self._queue) + len(self._sending)

    def add(self, spans: Iterable[Span]) -> None:
        """Take spans; when there is no room the oldest go, because the latest are what somebody looks for."""
        self._queue.extend(spans)
        over = len(self._queue) - self._max_queue
        for _ in range(over):
            self._queue.popleft()
        if over > 0:
            if not self._counts.spans_dropped["queue_full"]:
                logger.warning("more than %d spans wait for %s; the oldest are dropped", self._max_queue, self._address)
            self._counts.spans_dropped["queue_full"] += over
        self._counts.spans_waiting = self.waiting
        if self._queue:
            self._some.set()
            if len(self._queue) >= self._batch_size:
                self._full.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self._some.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), self._delay)
            while self._queue or self._sending:
                await self._deliver()
                if len(self._queue) < self._batch_size:
                    break
            if not self._queue:
                self._some.clear()
            self._full.clear()

    async def close(self, limit: float) -> None:
        """Deliver what waits, for at most `limit` seconds; the rest is counted as left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while self.waiting:
                    await self._deliver(patient=False)
        left = self.waiting
        if left:
            logger.warning("leaving with %d spans that %s did not take", left, self._address)
            self._counts.spans_dropped["left"] += left
            self._queue.clear()
            self._sending = []
            self._counts.spans_waiting = 0
        await self._transport.close()

    async def _deliver(self, *, patient: bool = True) -> None:
        """One batch, as often as it takes. A cancellation leaves it among what waits."""
        if not self._sending:
            self._sending = [self._queue.popleft() for _ in range(min(self._batch_size, len(self._queue)))]
        request = self._encode(self._sending)
        outcome = await insist(
            lambda: self._transport.send(request), self._teller.tell, first_pause=self._first_pause, patient=patient
        )
        number, self._sending = len(self._sending), []
        if outcome.problem is not None:
            self._counts.spans_dropped["refused"] += number
        else:
            rejected = min(outcome.rejected, number)
            self._counts.spans_dropped["rejected"] += rejected
            self._counts.spans_exported += number - rejected
        self._counts.spans_waiting = self.waiting


class MetricDelivery:
    """Metrics on their way, one attempt each: the next one says more, and all totals are cumulative."""

    def __init__(self, transport: Transport, address: str, counts: Deliveries) -> None:
        self._counts = counts
        counts.metric_exports = dict.fromkeys(catalogue.METRIC_EXPORT_OUTCOMES, 0)
        self._transport = transport
        self._teller = Teller(logger, "metrics", address)

    async def send(self, request: Message) -> None:
        outcome = await self._transport.send(request)
        self._teller.tell(outcome)
        self._counts.metric_exports["success" if outcome.problem is None else "failure"] += 1

    async def close(self) -> None:
        await self._transport.close()
