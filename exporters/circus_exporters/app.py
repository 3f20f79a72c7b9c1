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
from collections.abc import Mapping

from circus.exc import ConfigError, Mistake
from circus.spec.exporters import ExporterDocument
from circus.spec.fields import EXPORTERS
from circus_exporters.feed import Feed, Timings
from circus_exporters.prometheus.http import PrometheusSite
from circus_exporters.prometheus.options import PrometheusOptions, read_options
from circus_exporters.state import FleetState

logger = logging.getLogger("circus_exporters.app")

LINGER_SECONDS = 300.0
SETTLE_SECONDS = 2.0


def read_sections(sections: Mapping[str, Mapping[str, str]], *, where: str | None = None) -> PrometheusOptions:
    """What the sections enable; raises ConfigError with all that is wrong in them."""
    mistakes = [
        Mistake(
            file=where, line=None, section=f"exporter:{name}", option=None, value=None,
            expected=f"no such exporter; there is {', '.join(EXPORTERS)}",
        )
        for name in sections
        if name not in EXPORTERS
    ]  # fmt: skip
    options = PrometheusOptions()
    try:
        options = read_options(sections.get("prometheus", {}), where=where)
    except ConfigError as error:
        mistakes += error.mistakes
    if mistakes:
        raise ConfigError(mistakes)
    return options


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
        options = read_sections(document.exporters, where=document.config_file)
        self._state = FleetState(document.endpoint)
        self._feed = Feed(
            document.endpoint, self._state, on_attached=self._attached, on_lost=self._lost, timings=timings
        )
        self.site = PrometheusSite(self._state, options, self._feed.refresh)
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
        jobs = [asyncio.create_task(job) for job in (self._feed.run(), self._serve(), self._leave.wait())]
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
            await self.site.stop()
            for signum in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(signum)
        return self._status

    async def _serve(self) -> None:
        """Listen, then wait for ever: only an error ends this.

        The port opens once there is something to tell, so that the first scrape after a start does not see a daemon
        that is down, or a fleet without processes.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._feed.settled.wait(), min(SETTLE_SECONDS, self._linger / 2))
        await self.site.start()
        await self.site.watch()

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

    def _lost(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(self._linger, self._give_up)

    def _give_up(self) -> None:
        logger.warning("no daemon has answered at %s for %g seconds; leaving", self._state.address, self._linger)
        # By hand it is a failure that whoever started it may want to know of; an orphan has nobody to tell.
        self._status = 0 if self._child else 1
        self._leave.set()
