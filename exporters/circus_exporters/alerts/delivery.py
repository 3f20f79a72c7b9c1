"""The way of alerts to one notifier: a bounded queue, a rate, attempts, and true counts.

Owns what waits and what became of it. It refuses to know how a notifier is spoken to. Invariants: nobody who hands something
over waits; each notice ends in exactly one count (delivered, or failed by reason) or still waits; order is kept; the end
of an alert is told only to who was told of its beginning.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

from circus.spec.alerts import NotifySpec
from circus_exporters import catalogue_alerts
from circus_exporters.alerts.engine import Key
from circus_exporters.alerts.messages import Notice
from circus_exporters.attempts import FIRST_PAUSE, Outcome, Teller, insist
from circus_exporters.state import Alerting

LONGEST_PAUSE: Final = 300.0

logger = logging.getLogger("circus_exporters.alerts")


class Sink(Protocol):
    """A way to tell somebody of alerts."""

    mixed: bool
    """Whether beginnings and ends may go together."""

    @property
    def shown(self) -> str:
        """Where it goes, for people; no secrets."""

    def check(self) -> None:
        """CircusError tells what will keep it from working."""

    async def deliver(self, notices: Sequence[Notice]) -> Outcome:
        """One attempt. Raises nothing but a cancellation."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A delivery is over, well (`problem` is None) or given up; or only an attempt at it is, and the next is made in
    `again` seconds.
    """

    spec: NotifySpec
    notices: Sequence[Notice]
    attempts: int
    seconds: float
    waiting: int
    problem: str | None = None
    reason: str | None = None
    again: float | None = None


class Bucket:
    """So many in a time, and a few at once after a pause. Times in seconds, on one clock."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, float(burst)
        self._left, self._at = float(burst), 0.0

    def take(self, now: float) -> float:
        """Take one, at once or by waiting so many seconds first."""
        self._left = min(self._left + (now - self._at) * self._rate, self._burst) - 1.0
        self._at = now
        return max(-self._left / self._rate, 0.0)


class Delivery:
    """What one notifier is to be told. `on_end` hears what became of each delivery, `on_retry` of each attempt at one that
    is tried again.
    """

    def __init__(
        self,
        spec: NotifySpec,
        sink: Sink,
        counts: Alerting,
        on_end: Callable[[Ended], None],
        *,
        on_retry: Callable[[Ended], None] | None = None,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self.spec = spec
        self.sink = sink
        self._counts = counts
        self._on_end, self._on_retry = on_end, on_retry
        self._first_pause = first_pause
        counts.delivered[spec.name] = counts.retried[spec.name] = counts.waiting[spec.name] = 0
        counts.failed[spec.name] = dict.fromkeys(catalogue_alerts.FAILURES, 0)
        self._teller = Teller(logger, "alerts", f"[notify:{spec.name}] ({sink.shown})")
        self._bucket = Bucket(spec.rate, spec.burst)
        self._queue: deque[Notice] = deque()
        self._sending: list[Notice] = []
        self._knows: dict[Key, float] = {}  # whom it was told of, or will be, and when last
        self._some = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Notices that have not ended in a count."""
        return len(self._queue) + len(self._sending)

    def knows(self, key: Key) -> bool:
        """Whether it was told that this alert fires, or waits to be told."""
        return key in self._knows

    def believe(self, key: Key) -> None:
        """It was told of this alert before we began."""
        self._knows[key] = monotonic()

    def add(self, notices: Iterable[Notice]) -> None:
        """Take notices; when there is no room the oldest are dropped, because the latest are what somebody looks for."""
        for notice in notices:
            key = notice.alert.key
            if notice.what == "firing":
                self._knows[key] = monotonic()
            elif notice.what == "resolved" and (self._knows.pop(key, None) is None or not self.spec.send_resolved):
                continue
            self._queue.append(notice)
        over = len(self._queue) - self.spec.queue
        if over > 0:
            dropped = [self._queue.popleft() for _ in range(over)]
            if not self._counts.failed[self.spec.name]["overflow"]:
                logger.warning("more than %d alerts wait for [notify:%s]; the oldest are dropped",
                               self.spec.queue, self.spec.name)  # fmt: skip
            self._end(dropped, Outcome(problem="too many waited", kind="overflow"), 0, 0.0)
        self._told()
        if self._queue:
            self._some.set()

    def due(self, now: float) -> list[Key]:
        """Of which alerts it should hear again, none of them waiting; their time begins anew."""
        if not self.spec.repeat_seconds or self.waiting:
            return []
        keys = [key for key, at in self._knows.items() if now - at >= self.spec.repeat_seconds]
        self._knows.update(dict.fromkeys(keys, now))
        return keys

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self._some.wait()
            while self._queue or self._sending:
                await self._deliver()
            self._some.clear()

    async def close(self, limit: float) -> None:
        """Deliver what waits, for at most `limit` seconds. What is left the next exporter finds untold and tells."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while self.waiting:
                    await self._deliver(patient=False)
        if self.waiting:
            logger.warning("leaving with %d alerts that [notify:%s] did not take", self.waiting, self.spec.name)
        await self.sink.close()

    async def _deliver(self, *, patient: bool = True) -> None:
        """One batch, as often as it takes. A cancellation leaves it among what waits."""
        attempts, begun = 0, monotonic()

        async def attempt() -> Outcome:
            nonlocal attempts
            await asyncio.sleep(self._bucket.take(monotonic()))
            if not self._sending:  # only now: while it waited for its turn more may have come
                self._sending = self._batch()
            attempts += 1
            return await self.sink.deliver(self._sending)

        def tell(outcome: Outcome) -> None:
            self._teller.tell(outcome)
            if outcome.problem is None:
                self._counts.problems.pop(self.spec.name, None)
            else:
                self._counts.problems[self.spec.name] = outcome.problem
                self._counts.retried[self.spec.name] += outcome.again
                if outcome.again and patient and self._on_retry is not None:
                    fresh = [notice for notice in self._sending if not notice.repeated]
                    self._on_retry(
                        Ended(spec=self.spec, notices=fresh, attempts=attempts, seconds=monotonic() - begun,
                              waiting=self.waiting, problem=outcome.problem, reason=outcome.kind, again=outcome.wait)
                    )  # fmt: skip

        outcome = await insist(
            attempt,
            tell,
            first_pause=self._first_pause,
            longest_pause=LONGEST_PAUSE,
            patient=patient,
            lasting=self.spec.retry_for_seconds,
        )
        done, self._sending = self._sending, []
        self._end(done, outcome, attempts, monotonic() - begun)
        self._told()

    def _batch(self) -> list[Notice]:
        """The next ones, in order: of one kind, unless it takes them mixed, and none twice about the same alert."""
        found: list[Notice] = []
        keys: set[Key] = set()
        while self._queue and len(found) < self.spec.batch:
            notice = self._queue[0]
            alike = (
                not found
                or notice.what == found[0].what
                or (self.sink.mixed and "test" not in (notice.what, found[0].what))
            )
            if not alike or notice.alert.key in keys:
                break
            keys.add(notice.alert.key)
            found.append(self._queue.popleft())
        return found

    def _end(self, notices: Sequence[Notice], outcome: Outcome, attempts: int, seconds: float) -> None:
        fresh = [notice for notice in notices if not notice.repeated]
        if outcome.problem is None:
            self._counts.delivered[self.spec.name] += len(fresh)
        else:
            fresh += self._never_told([notice.alert.key for notice in fresh if notice.what == "firing"])
            failed = self._counts.failed[self.spec.name]
            failed[outcome.kind if outcome.kind in failed else "error"] += len(fresh)
        if fresh:
            self._on_end(
                Ended(spec=self.spec, notices=fresh, attempts=attempts, seconds=seconds, waiting=len(self._queue),
                      problem=outcome.problem, reason=None if outcome.problem is None else outcome.kind)
            )  # fmt: skip

    def _never_told(self, keys: Iterable[Key]) -> list[Notice]:
        """Nobody there knows that these fire, so their ends are not told either; those that waited are returned."""
        ends: list[Notice] = []
        for key in keys:
            following = next((notice for notice in self._queue if notice.alert.key == key), None)
            if following is None:
                self._knows.pop(key, None)
            elif following.what == "resolved":
                self._queue.remove(following)
                ends.append(following)
        return ends

    def _told(self) -> None:
        self._counts.waiting[self.spec.name] = self.waiting
