"""One exporter process: the feed, what the sections enable, and when to leave.

Owns the life of the process. It refuses to know metrics and command lines. Invariant: it never stays without a
daemon for longer than `linger`, and it always answers scrapes until it leaves.

An exporter that a daemon started outlives that daemon for a while: `circus_up 0` is what tells the monitoring about the
death. It leaves when another daemon answers at the same address, because that one starts an exporter of its own, which
waits for the port. One that was started by hand follows the other daemon instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Coroutine, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from circus.exc import CircusError, ConfigError, Mistake
from circus.spec.exporters import ExporterDocument
from circus.spec.fields import EXPORTERS
from circus_exporters.feed import Feed, Timings
from circus_exporters.prometheus.http import PrometheusSite
from circus_exporters.prometheus.options import PrometheusOptions
from circus_exporters.prometheus.options import read_options as read_prometheus
from circus_exporters.state import FleetState

if TYPE_CHECKING:
    from circus_exporters.otel.options import OtlpOptions
    from circus_exporters.otel.setup import OtlpExport

logger = logging.getLogger("circus_exporters.app")

LINGER_SECONDS = 300.0
SETTLE_SECONDS = 2.0


class Sections(NamedTuple):
    """What is enabled; None is not."""

    prometheus: PrometheusOptions | None
    otlp: OtlpOptions | None


def read_sections(sections: Mapping[str, Mapping[str, str]], *, where: str | None = None) -> Sections:
    """What the sections enable, without any the page for Prometheus; raises ConfigError with all that is wrong in them."""
    mistakes = [
        Mistake(
            file=where, line=None, section=f"exporter:{name}", option=None, value=None,
            expected=f"no such exporter; there is {', '.join(EXPORTERS)}",
        )
        for name in sections
        if name not in EXPORTERS
    ]  # fmt: skip
    prometheus, otlp = None, None
    try:
        if "prometheus" in sections or not sections:
            prometheus = read_prometheus(sections.get("prometheus", {}), where=where)
    except ConfigError as error:
        mistakes += error.mistakes
    try:
        if "otlp" in sections:
            from circus_exporters.otel.options import read_options as read_otlp

            otlp = read_otlp(sections["otlp"], where=where)
    except ConfigError as error:
        mistakes += error.mistakes
    if mistakes:
        raise ConfigError(mistakes)
    return Sections(prometheus, otlp)


def _otel() -> ModuleType:
    try:  # libraries that only this section needs: some megabytes
        from circus_exporters.otel import setup
    except ImportError as error:
        raise CircusError(
            f"[exporter:otlp] needs OpenTelemetry: pip install opentelemetry-sdk opentelemetry-proto ({error})"
        ) from error
    return setup


def _otlp(options: OtlpOptions, feed: Feed, state: FleetState) -> OtlpExport:
    export: OtlpExport = _otel().OtlpExport(state, options, feed.refresh)
    return export


async def check_otlp(options: OtlpOptions) -> None:
    """CircusError tells what keeps this section from being served."""
    await _otel().check(options)


class App:
    """The exporter of one daemon. `child` says that the daemon started it and, as its parent, will end it."""

    def __init__(
        self,
        document: ExporterDocument,
        *,
        child: bool,
        linger: float = LINGER_SECONDS,
        timings: Timings | None = None,
    ) -> None:
        sections = read_sections(document.exporters, where=document.config_file)
        self._state = FleetState(document.endpoint)
        self._feed = Feed(
            document.endpoint, self._state, on_attached=self._attached, on_lost=self._lost, timings=timings
        )
        self.otlp = None if sections.otlp is None else _otlp(sections.otlp, self._feed, self._state)
        self.site: PrometheusSite | None = None
        if sections.prometheus is not None:
            self.site = PrometheusSite(self._state, sections.prometheus, self._feed.refresh)
        self._child = child
        self._parent = os.getppid()
        self._linger = linger
        self._deadline: asyncio.TimerHandle | None = None
        self._leave = asyncio.Event()
        self._status = 0

    async def run(self) -> int:
        """Serve until told to stop, or until there is nothing left to serve; the exit status."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._stop)
        self._lost()
        work: list[Coroutine[Any, Any, object]] = [self._feed.run(), self._leave.wait()]
        if self.site is not None:
            work.append(self._serve(self.site))
        if self.otlp is not None:
            work.append(self.otlp.run())
        jobs = [asyncio.create_task(job) for job in work]
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            for job in done:
                job.result()
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            if self._deadline is not None:
                self._deadline.cancel()
            if self.site is not None:
                await self.site.stop()
            if self.otlp is not None:
                await self.otlp.close()
            for signum in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(signum)
        return self._status

    async def _serve(self, site: PrometheusSite) -> None:
        """Listen, then wait for ever: only an error ends this.

        The port opens once there is something to tell, so that the first scrape after a start does not see a daemon
        that is down, or a fleet without processes.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._feed.settled.wait(), min(SETTLE_SECONDS, self._linger / 2))
        await site.start()
        await site.watch()

    def _stop(self) -> None:
        self._leave.set()

    def _orphan(self) -> bool:
        """True when the daemon that started this process is not its parent any more, that is, has ended."""
        return self._child and os.getppid() != self._parent

    def _attached(self, other: bool) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if other and self._orphan():
            logger.info("another daemon answers, which has an exporter of its own; leaving")
            self._leave.set()
        elif self.otlp is not None and self._state.telemetry is not None:
            self.otlp.attached(self._state.telemetry, other)

    def _lost(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(self._linger, self._give_up)

    def _give_up(self) -> None:
        logger.warning("no daemon has answered at %s for %g seconds; leaving", self._state.address, self._linger)
        # By hand it is a failure that whoever started it may want to know of; an orphan has nobody to tell.
        self._status = 0 if self._child else 1
        self._leave.set()
