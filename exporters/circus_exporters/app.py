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
from collections.abc import Coroutine, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from circus.exc import CircusError, ConfigError, Mistake
from circus.spec.alerts import AlertSpec, NotifySpec, read_alerts
from circus.spec.exporters import ExporterDocument
from circus.spec.fields import EXPORTERS
from circus_exporters.feed import Feed, Timings
from circus_exporters.prometheus.guard import Guard
from circus_exporters.prometheus.http import PrometheusSite
from circus_exporters.prometheus.options import PrometheusOptions
from circus_exporters.prometheus.options import read_options as read_prometheus
from circus_exporters.state import FleetState

if TYPE_CHECKING:
    from circus_exporters.alerts.setup import AlertExport
    from circus_exporters.otel.options import OtlpOptions
    from circus_exporters.otel.setup import OtlpExport

logger = logging.getLogger("circus_exporters.app")

LINGER_SECONDS = 300.0
SETTLE_SECONDS = 2.0
RETRY_SECONDS = 30.0
PROMETHEUS: Final = "exporter:prometheus"
OTLP: Final = "exporter:otlp"
ALERTS: Final = "alerts"


class Sections(NamedTuple):
    """What is enabled; None is not."""

    prometheus: PrometheusOptions | None = None
    otlp: OtlpOptions | None = None
    alerts: AlertSections | None = None


class AlertSections(NamedTuple):
    """Alerts and whom they are told."""

    rules: Sequence[AlertSpec]
    notifiers: Sequence[NotifySpec]


def read_each(document: ExporterDocument) -> tuple[Sections, dict[str, ConfigError]]:
    """What the sections enable, without any the page for Prometheus; and by section what is wrong with the others."""
    sections, where = document.exporters, document.config_file
    wrong: dict[str, ConfigError] = {}
    for name in sections:
        if name not in EXPORTERS:
            told = f"no such exporter; there is {', '.join(EXPORTERS)}"
            wrong[f"exporter:{name}"] = ConfigError([Mistake(where, None, f"exporter:{name}", None, None, told)])
    read = Sections()
    if "prometheus" in sections or not (sections or document.alerts):
        try:
            read = read._replace(prometheus=read_prometheus(sections.get("prometheus", {}), where=where))
        except ConfigError as error:
            wrong[PROMETHEUS] = error
    if "otlp" in sections:
        from circus_exporters.otel.options import read_options as read_otlp

        try:
            read = read._replace(otlp=read_otlp(sections["otlp"], where=where))
        except ConfigError as error:
            wrong[OTLP] = error
    if document.alerts:
        rules, notifiers, mistakes = read_alerts(document.alerts, document.notify)
        if mistakes:
            wrong[ALERTS] = ConfigError([mistake._replace(file=where) for mistake in mistakes])
        if rules:
            read = read._replace(alerts=AlertSections(rules, notifiers))
    return read, wrong


def read_sections(document: ExporterDocument) -> Sections:
    """What the sections enable; raises ConfigError with all that is wrong in them."""
    read, wrong = read_each(document)
    if wrong:
        raise ConfigError([mistake for error in wrong.values() for mistake in error.mistakes])
    return read


def _otel() -> ModuleType:
    try:  # libraries that only this section needs: some megabytes
        from circus_exporters.otel import setup
    except ImportError as error:
        raise CircusError(
            f"[{OTLP}] needs OpenTelemetry: pip install opentelemetry-sdk opentelemetry-proto ({error})"
        ) from error
    return setup


async def check(sections: Sections) -> list[str]:
    """What keeps sections from being served, a sentence each."""
    found = []
    if sections.prometheus is not None:
        try:
            await Guard(sections.prometheus.web_config).load()
        except CircusError as error:
            found.append(str(error))
    if sections.otlp is not None:
        try:
            await _otel().check(sections.otlp)
        except CircusError as error:
            found.append(str(error))
    if sections.alerts is not None:
        from circus_exporters.alerts.notifiers import check as check_notifiers

        found += check_notifiers(sections.alerts.notifiers)
    return found


class Export(Protocol):
    """What some sections ask for, and what lives as long as the exporter."""

    async def run(self) -> None: ...
    async def close(self) -> None: ...


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
        sections, wrong = read_each(document)
        self._state = FleetState(document.endpoint)
        self._feed = Feed(
            document.endpoint, self._state, on_attached=self._attached, on_lost=self._lost, timings=timings
        )
        self.otlp: OtlpExport | None = None
        self.alerts: AlertExport | None = None
        self.site: PrometheusSite | None = None
        for section, error in wrong.items():
            self._cannot(section, error)
        if sections.otlp is not None:
            try:
                self.otlp = _otel().OtlpExport(self._state, sections.otlp, self._feed.refresh)
            except CircusError as error:
                self._cannot(OTLP, error)
        if sections.alerts is not None:
            from circus_exporters.alerts.setup import AlertExport

            self.alerts = AlertExport(
                self._state, *sections.alerts, ask=self._feed.ask, refresh=self._feed.refresh, killed=self._replaced
            )
        if sections.prometheus is not None:
            self.site = PrometheusSite(self._state, sections.prometheus, self._feed.refresh)
        self._exports: list[Export] = [export for export in (self.otlp, self.alerts) if export is not None]
        if not self._exports and self.site is None:
            raise CircusError("\n".join(self._state.problems.values()))
        for problem in self._state.problems.values():
            logger.error("%s", problem)
        self._child = child
        self._parent = os.getppid()
        self._linger = linger
        self._deadline: asyncio.TimerHandle | None = None
        self._leave = asyncio.Event()
        self._gave_up = False
        self._status = 0

    async def run(self) -> int:
        """Serve until told to stop, or until there is nothing left to serve; the exit status."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._stop)
        self._lost()
        feed = asyncio.create_task(self._feed.run())
        work: list[Coroutine[Any, Any, object]] = [self._leave.wait()]
        if self.site is not None:
            work.append(self._serve(self.site))
        work += [export.run() for export in self._exports]
        jobs = [asyncio.create_task(job) for job in work]
        try:
            done, _ = await asyncio.wait([feed, *jobs], return_when=asyncio.FIRST_COMPLETED)
            for job in done:
                job.result()
        finally:
            await _ended(*jobs)
            if self._deadline is not None:
                self._deadline.cancel()
            if self.site is not None:
                await self.site.stop()
            await asyncio.gather(*(export.close() for export in self._exports))
            await _ended(feed)  # last: what is told at the end may be asked for and recorded
            for signum in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(signum)
        return self._status

    async def _serve(self, site: PrometheusSite) -> None:
        """Listen, then wait for ever: only an error ends this, and that only where there is nothing else to do.

        The port opens once there is something to tell, so that the first scrape after a start does not see a daemon
        that is down, or a fleet without processes.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._feed.settled.wait(), min(SETTLE_SECONDS, self._linger / 2))
        while True:
            try:
                await site.start()
                break
            except CircusError as error:
                if not self._exports:
                    raise  # whoever started us tries again
                self._cannot(PROMETHEUS, error)
                logger.error("%s; trying again every %g seconds", error, RETRY_SECONDS)  # noqa: TRY400 -- a sentence
                await site.stop()
                await asyncio.sleep(RETRY_SECONDS)
        self._state.problems.pop(PROMETHEUS, None)
        await site.watch()

    def _cannot(self, section: str, error: CircusError) -> None:
        """What a section asks for cannot be done; the others go on, and the pages tell."""
        self._state.problems[section] = str(error)

    def _stop(self) -> None:
        self._leave.set()

    def _orphan(self) -> bool:
        """True when the daemon that started this process is not its parent any more, that is, has ended."""
        return self._child and os.getppid() != self._parent

    def _replaced(self) -> bool:
        """True when the daemon that started this process has ended, and somebody ends what is left of it.

        Nobody looks after what it ran when we only gave up waiting: an all-clear would be a lie then.
        """
        return self._orphan() and not self._gave_up

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
        self._gave_up, self._status = True, 0 if self._child else 1
        self._leave.set()


async def _ended(*jobs: asyncio.Task[Any]) -> None:
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
