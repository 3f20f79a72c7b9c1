"""`/metrics`, `/-/healthy`, `/-/ready` and the landing page over HTTP.

Owns the server, the choice of format and the composition of a scrape. It refuses to know zmq: before each scrape it
asks whoever feeds the state to bring it up to date. Invariant: a scrape by somebody who may is always answered, with
`circus_up 0` when there is nothing else to tell.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
import zlib
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from circus.exc import EndpointError
from circus_exporters.prometheus.budget import Budget, DetailChoice
from circus_exporters.prometheus.collector import FleetCollector
from circus_exporters.prometheus.guard import Guard
from circus_exporters.prometheus.landing import landing_page
from circus_exporters.prometheus.options import PrometheusOptions
from circus_exporters.prometheus.render import FamilyWriter, Heads, ProcessWriter
from circus_exporters.state import FleetState

logger = logging.getLogger("circus_exporters.prometheus")

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
RETRY_SECONDS = 1.0
TOLD_EVERY = 300  # attempts
RENEW_SECONDS = 5.0
SHUTDOWN_SECONDS = 1.0
GZIP_LEVEL = 1  # higher levels cost more CPU than they save on a loopback or a local network
GZIP_FROM_BYTES = 1024
_EOF = b"# EOF\n"
OF_EXPORTER = 29  # series that it tells of itself and of the page, at most

Refresh = Callable[[], Awaitable[bool]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def accepted(header: str) -> dict[str, float]:
    """The offers of an Accept or Accept-Encoding header with their quality, parameters other than q left out.

    An offer that is named twice counts with its better quality.
    """
    offers: dict[str, float] = {}
    for part in header.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        if name:
            offers[name] = max(quality, offers.get(name, 0.0))
    return offers


def wants_openmetrics(accept: str) -> bool:
    """True when OpenMetrics is asked for and not liked less than plain text."""
    offers = accepted(accept)
    openmetrics = offers.get("application/openmetrics-text", 0.0)
    return openmetrics > 0.0 and openmetrics >= offers.get("text/plain", 0.0)


class PrometheusSite:
    """The web site of one exporter. `refresh` brings the state up to date and says whether it could; `renew_every` is how
    often, in seconds, files of the web configuration are looked at.
    """

    def __init__(
        self, state: FleetState, options: PrometheusOptions, refresh: Refresh, *, renew_every: float = RENEW_SECONDS
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library annotates only part of itself
        self._state = state
        self._options = options
        self._refresh = refresh
        self._renew_every = renew_every
        self._heads = Heads()
        self._processes = ProcessWriter()
        self._detail = DetailChoice(options.processes)
        self._budget = Budget(options.max_series)
        self._own = CollectorRegistry()
        ProcessCollector(registry=self._own)
        self._guard = Guard(options.web_config)
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self.url: str | None = None

    def application(self) -> web.Application:
        """The routes, for a server."""
        app = web.Application(middlewares=[self._guarded])
        app.router.add_get("/", self._landing)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/-/healthy", self._healthy)
        app.router.add_get("/-/ready", self._ready)
        return app

    async def start(self) -> None:
        """Serve; a port that is taken is waited for (the exporter of a daemon that died may still sit on it).

        Raises EndpointError where waiting would not help, and ConfigError for a web configuration that is wrong.
        """
        await self._guard.load()
        self._runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await self._runner.setup()
        await self._listen(self._runner, self._options.port)

    async def watch(self) -> None:
        """Follow changes of the web configuration and of its certificates, for ever."""
        while self._guard.needed:
            await asyncio.sleep(self._renew_every)
            if await self._guard.renew() and self._runner is not None and self._site is not None:
                _, port = self._runner.addresses[0][:2]
                await self._site.stop()
                await self._listen(self._runner, port)
        await asyncio.Event().wait()

    async def _listen(self, runner: web.AppRunner, port: int) -> None:
        host = self._options.host
        shown = f"[{host}]" if ":" in host else host
        attempts = 0
        while True:
            site = web.TCPSite(runner, host, port, ssl_context=self._guard.context)
            try:
                await site.start()
            except OSError as error:
                await site.stop()
                if error.errno != errno.EADDRINUSE:
                    reason = error.strerror or error
                    raise EndpointError(f"[exporter:prometheus]: cannot listen on {shown}:{port}: {reason}") from error
                if attempts % TOLD_EVERY == 0:
                    logger.warning("%s:%d is in use; trying again every second until it is free", shown, port)
                attempts += 1
                await asyncio.sleep(RETRY_SECONDS)
            else:
                break
        self._site = site
        scheme = "http" if self._guard.context is None else "https"
        self.url = f"{scheme}://{shown}:{runner.addresses[0][1]}/"
        logger.info("metrics at %smetrics", self.url)

    async def stop(self) -> None:
        """Close the port; running scrapes get a moment."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = self._site = None

    def scrape(self, *, openmetrics: bool, arbiter: tuple[bool, float]) -> bytes:
        """One page of metrics from the state as it is; `arbiter` is how bringing it up to date went."""
        state, now = self._state, time.monotonic()
        own: bytes = generate_openmetrics(self._own) if openmetrics else generate_latest(self._own)  # type: ignore[no-untyped-call]  # as above
        others = sum(not line.startswith(b"#") for line in own.splitlines())
        limit = self._budget.limit - others - OF_EXPORTER - state.series_of_alerts()
        families = FamilyWriter(self._heads, openmetrics=openmetrics)
        collector = FleetCollector(state, families)
        left_out = collector.collect(limit)
        samples = list(state.samples(now))
        number = sum(len(sample.processes) for sample in samples)
        detail = self._detail.choose(number, limit - families.count())
        if detail != self._detail.wanted(number):
            left_out["process_detail" if detail != "off" else "processes"] = number
        begun = time.perf_counter()
        processes = self._processes.write(samples, detail, openmetrics=openmetrics)
        took = time.perf_counter() - begun
        collector.tell_of_exporter(
            now, {"arbiter": arbiter, "process": (state.sample_fresh(now), took)}, web_config=self._guard.fine
        )
        others += self._processes.series
        collector.tell_of_page(others=others, limit=self._budget.limit, detail=detail, left_out=left_out)
        self._budget.tell(left_out)
        body = "".join([*families.pieces(), *processes]).encode() + own.removesuffix(_EOF)
        return body + _EOF if openmetrics else body

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if await self._guard.allows(request):
            return await handler(request)
        asked = {"WWW-Authenticate": 'Basic realm="circus-exporter", charset="UTF-8"'}
        return web.Response(status=401, headers=asked, text="Unauthorized\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        begun = time.perf_counter()
        current = await self._refresh()
        took = time.perf_counter() - begun
        openmetrics = wants_openmetrics(request.headers.get("Accept", ""))
        body = self.scrape(openmetrics=openmetrics, arbiter=(current, took))
        headers = {"Content-Type": OPENMETRICS if openmetrics else TEXT, "Vary": "Accept, Accept-Encoding"}
        zipped = accepted(request.headers.get("Accept-Encoding", "")).get("gzip", 0.0) > 0.0
        if zipped and len(body) >= GZIP_FROM_BYTES:
            compress = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
            body = compress.compress(body) + compress.flush()
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)

    async def _healthy(self, _request: web.Request) -> web.Response:
        return web.Response(text="The exporter is healthy.\n")

    async def _ready(self, _request: web.Request) -> web.Response:
        state = self._state
        if not state.attached():
            return web.Response(status=503, text=f"No daemon answers at {state.address}.\n")
        if state.sampled and not state.sample_fresh(time.monotonic()):
            return web.Response(status=503, text="The daemon answers, but there is no fresh sample.\n")
        if state.problems:
            return web.Response(status=503, text="".join(f"{problem}\n" for problem in state.problems.values()))
        # Whom alerts cannot be told now is somebody else's trouble, so it is told and this is ready.
        failing = {} if state.alerting is None else state.alerting.problems
        told = "".join(f"Alerts do not reach {name}: {problem}\n" for name, problem in failing.items())
        return web.Response(text=f"The exporter is ready.\n{told}")

    async def _landing(self, _request: web.Request) -> web.Response:
        await self._refresh()
        return web.Response(text=landing_page(self._state, time.monotonic()), content_type="text/html")
