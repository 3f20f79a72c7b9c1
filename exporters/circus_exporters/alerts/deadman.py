"""The ping of `[alert:deadman]`: somebody else's clock notices when it does not come.

Owns the interval. Invariant: it goes out only while the daemon answers and its samples are fresh.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import urlsplit

from circus.spec.alerts import AlertSpec
from circus_exporters import catalogue_alerts
from circus_exporters.attempts import Outcome, Poster, Teller
from circus_exporters.state import Alerting

logger = logging.getLogger("circus_exporters.alerts")


class Deadman:
    """Asks for the URL of a rule while `well` says so."""

    def __init__(self, rule: AlertSpec, counts: Alerting, well: Callable[[], bool]) -> None:
        assert rule.url is not None
        self._rule = rule
        self._counts = counts
        self._well = well
        self._name = f"alert:{rule.name}"
        parts = urlsplit(rule.url)
        address = parts._replace(netloc=parts.netloc.rpartition("@")[2], path="", query="", fragment="").geturl()
        self._teller = Teller(logger, "pings", f"[{self._name}] ({address})")
        self._poster = Poster(rule.url, {}, rule.timeout_seconds, method="GET")
        counts.delivered[self._name] = 0
        counts.failed[self._name] = dict.fromkeys(catalogue_alerts.FAILURES, 0)

    async def run(self) -> None:
        """Ping until cancelled. One that fails is not repeated: the next one follows."""
        try:
            while True:
                if self._well():
                    await self._ping()
                await asyncio.sleep(self._rule.interval_seconds)
        finally:
            await self._poster.close()

    async def _ping(self) -> None:
        answer = await self._poster.send()
        if isinstance(answer, Outcome):
            outcome = answer
        elif 200 <= answer.status < 300:
            outcome = Outcome()
        else:
            outcome = Outcome(problem=answer.problem, again=True)
        self._teller.tell(outcome)
        if outcome.problem is None:
            self._counts.delivered[self._name] += 1
            self._counts.problems.pop(self._name, None)
        else:
            self._counts.failed[self._name][outcome.kind] += 1
            self._counts.problems[self._name] = outcome.problem
