"""What the daemon is told of alerts: each firing, end and delivery becomes a lifecycle record there.

Owns the order and the attempts. Invariant: nobody waits for it, and what one life of the daemon did not take is never told
to another.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import time
from typing import Any, Final, cast

from circus.exc import CallError, CircusError
from circus.wire import alerts as wire
from circus_exporters.alerts.delivery import Ended
from circus_exporters.alerts.evaluation import Change
from circus_exporters.alerts.messages import Alert

logger = logging.getLogger("circus_exporters.alerts")

PAUSE: Final = 0.5
ENDING_SECONDS: Final = 1.0
MOST_WAITING: Final = 20_000
_MOST_SEQS: Final = 1_000
_MOST_STANDS: Final = 100

Ask = Callable[..., Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class _Said:
    """One record to be; the data is made when it is its turn, because numbers of earlier records belong into it."""

    record: str
    watcher: str | None
    wid: int | None
    cause: int | None
    data: Callable[[], dict[str, Any]]
    taken: Callable[[int], None]


class Reporter:
    """Tells the daemon, one after the other. `ask` sends a command."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._queue: deque[_Said] = deque(maxlen=MOST_WAITING)
        self._some = asyncio.Event()
        self._told: str | None = None
        self.problem: str | None = None

    def begin(self) -> None:
        """Another daemon, or another life of it: what was for the one before is of no use to it."""
        self._queue.clear()

    def fires(self, alert: Alert, cause: int | None) -> None:
        firing = wire.Firing(
            alert=alert.key.rule, kind=alert.kind, severity=cast("wire.Severity", alert.severity), since=alert.since, value=_finite(alert.value),
            threshold=alert.threshold, unit=alert.unit, labels=dict(alert.labels), annotations=dict(alert.annotations),
        )  # fmt: skip

        def taken(seq: int) -> None:
            alert.seq = seq

        self._say(_Said(wire.FIRING, alert.key.watcher, alert.key.wid, cause, lambda: wire.as_data(firing), taken))

    def is_over(self, alert: Alert, reason: str, value: float | None, cause: int | None = None) -> None:
        resolved = wire.Resolved(alert=alert.key.rule, reason=cast("wire.Reason", reason), value=_finite(value))
        self._say(
            _Said(
                wire.RESOLVED, alert.key.watcher, alert.key.wid, cause, lambda: wire.as_data(resolved), lambda _: None
            )
        )

    def change(self, alert: Alert, change: Change) -> None:
        """An alert began or ended to fire."""
        if change.turn == "firing":
            self.fires(alert, change.cause)
        else:
            self.is_over(alert, change.reason, change.seen.value, alert.seq)

    def delivered(self, ended: Ended) -> None:
        """A delivery is over, well or not."""

        def data() -> dict[str, Any]:
            return wire.as_data(
                wire.Delivery(
                    notify=ended.spec.name, type=ended.spec.type, count=len(ended.notices), alerts=_seqs(ended),
                    attempts=ended.attempts, seconds=round(ended.seconds, 3), waiting=ended.waiting,
                    reason=ended.reason, error=ended.problem,
                )
            )  # fmt: skip

        record = wire.DELIVERED if ended.problem is None else wire.FAILED
        self._say(_Said(record, None, None, None, data, lambda _: None))

    def retrying(self, ended: Ended) -> None:
        """An attempt failed, and another will be made."""
        following = time() + (ended.again or 0.0)

        def data() -> dict[str, Any]:
            return wire.as_data(
                wire.Retrying(
                    notify=ended.spec.name, type=ended.spec.type, count=len(ended.notices), alerts=_seqs(ended),
                    attempts=ended.attempts, next=following, waiting=ended.waiting,
                    reason=ended.reason, error=ended.problem,
                )
            )  # fmt: skip

        self._say(_Said(wire.RETRYING, None, None, None, data, lambda _: None))

    def standing(self, stands: Sequence[wire.Stand]) -> None:
        """How alerts stand that fire already."""
        for first in range(0, len(stands), _MOST_STANDS):
            some = wire.Standing(alerts=list(stands[first : first + _MOST_STANDS]))
            self._say(_Said(wire.STANDING, None, None, None, partial(wire.as_data, some), lambda _: None))

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            while self._queue:
                await self._tell_next()
            self._some.clear()
            await self._some.wait()

    async def daemon_ends(self) -> bool:
        """Whether the daemon is ending: our own end may be asked for before the record of that is read."""
        try:
            async with asyncio.timeout(ENDING_SECONDS):
                told = await self._ask("telemetry", watchers="-", detail=False)
        except (TimeoutError, CircusError):
            return False
        return told["arbiter"]["state"] in ("stopping", "stopped")

    async def close(self, limit: float) -> None:
        """Tell what waits, for a moment."""
        try:
            async with asyncio.timeout(limit):
                while self._queue:
                    await self._tell_next()
        except TimeoutError:
            logger.warning("leaving with %d records about alerts that the daemon did not take", len(self._queue))

    def _say(self, said: _Said) -> None:
        self._queue.append(said)
        self._some.set()

    async def _tell_next(self) -> None:
        """One record; it stays the first until the daemon has answered."""
        said = self._queue[0]
        try:
            answer = await self._ask(
                "record", record=said.record, watcher=said.watcher, wid=said.wid, cause=said.cause, data=said.data()
            )
        except CallError:
            await asyncio.sleep(PAUSE)
            return
        except CircusError as error:
            if said.record not in (
                wire.RETRYING,
                wire.STANDING,
            ):  # an older daemon does not know them, and nothing is lost
                self.problem = f"the daemon does not take records about alerts: {error}"
                if self.problem != self._told:
                    logger.warning("%s", self.problem)
                self._told = self.problem
        else:
            self.problem = None
            if answer["seq"] is not None:  # where there was nothing to resolve there is no record
                said.taken(int(answer["seq"]))
        if self._queue and self._queue[0] is said:  # unless all was forgotten meanwhile
            self._queue.popleft()


def _seqs(ended: Ended) -> list[int]:
    return sorted({notice.alert.seq for notice in ended.notices if notice.alert.seq is not None})[:_MOST_SEQS]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
