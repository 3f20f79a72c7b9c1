"""One scrape of 2,000 processes, beside the general client library; and the exporter's CPU and memory while it follows.

The exporter that follows is the real process; the daemon that it follows is played, so that 2,000 processes need not
exist.
"""

from __future__ import annotations

import asyncio
import gc
import pathlib
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from circus.wire.samples import Exemplar
from circus.wire.snapshot import WatcherSnapshot
from circus_exporters.prometheus.http import GZIP_LEVEL, PrometheusSite
from circus_exporters.prometheus.options import PrometheusOptions
from circus_exporters.state import FleetState
from tests.benchmarks.daemons import usage
from tests.benchmarks.report import Row, median
from tests.fakes import fleet
from tests.fakes.scripted_daemon import ScriptedDaemon
from tests.helpers.daemon import script
from tests.helpers.metrics import scrape
from tests.helpers.ports import wait_listening
from tests.helpers.waiting import DEADLINE, wait_until

PROCESSES = 2_000
WATCHERS = 20
ROUNDS = 9
FOLLOW_SECONDS = 20
SCRAPE_EVERY = 5
SCRAPE_TARGET = 50.0
EXPORTER_TARGET = 5.0
MEMORY_TARGET = 120.0


def cpu_milliseconds(work: Callable[[], object]) -> float:
    """The median over some rounds, warm."""
    work()
    taken = []
    gc.collect()
    for _ in range(ROUNDS):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return median(taken) * 1000


async def _nothing() -> bool:
    return True


def site(watchers: int, detail: str) -> PrometheusSite:
    """The web site over a made-up fleet, all of it fresh."""
    state, now = FleetState(), time.monotonic()
    each = PROCESSES // watchers
    state.attach(
        fleet.telemetry(*(traced(fleet.watcher(f"watcher-{number}", each)) for number in range(watchers))), now
    )
    for number in range(watchers):
        state.fold_sample(fleet.sample(f"watcher-{number}", each), now)
    state.fold_daemon(fleet.daemon_sample(processes=PROCESSES), now)
    return PrometheusSite(state, PrometheusOptions(processes=detail), _nothing)  # type: ignore[arg-type] # one of its words


def traced(watcher: WatcherSnapshot) -> WatcherSnapshot:
    """With what a watcher has after a while: a few buckets of each of its durations lead to a trace."""
    histograms = watcher.histograms
    for histogram in (
        histograms.start_seconds, histograms.respawn_seconds, histograms.stop_seconds, histograms.lifetime_seconds, histograms.reload_seconds,
    ):  # fmt: skip
        histogram.exemplars = [Exemplar(bucket, 0.123456789, fleet.STARTED, "ab" * 16) for bucket in (2, 3, 4)]
    return watcher


def library() -> CollectorRegistry:
    """The same 10,000 series of processes as objects of the client library."""
    registry = CollectorRegistry()
    labels = ("watcher", "wid")
    cpu = Counter("circus_process_cpu_seconds", "CPU", (*labels, "mode"), registry=registry)
    resident = Gauge("circus_process_resident_memory_bytes", "RSS", labels, registry=registry)
    started = Gauge("circus_process_start_time_seconds", "Start", labels, registry=registry)
    info = Gauge("circus_process_info", "Info", (*labels, "pid"), registry=registry)
    for number in range(WATCHERS):
        for process in fleet.sample("", PROCESSES // WATCHERS).processes:
            slot = (f"watcher-{number}", str(process.wid))
            cpu.labels(*slot, "user").inc(process.cpu_user_seconds or 0)
            cpu.labels(*slot, "system").inc(process.cpu_system_seconds or 0)
            resident.labels(*slot).set(process.resident_bytes or 0)
            started.labels(*slot).set(process.started)
            info.labels(*slot, str(process.pid)).set(1)
    return registry


def scraped(site: PrometheusSite, *, openmetrics: bool) -> tuple[float, bytes]:
    """(CPU milliseconds, the page)."""

    def once() -> bytes:
        return site.scrape(openmetrics=openmetrics, arbiter=(True, 0.0))

    return cpu_milliseconds(once), once()


def series(page: bytes) -> int:
    return page.count(b"\ncircus_")


def run() -> Iterator[Row]:
    registry = library()
    for name, openmetrics, generate in (("text", False, generate_latest), ("OpenMetrics", True, generate_openmetrics)):
        measured, page = scraped(site(WATCHERS, "cpu_mem"), openmetrics=openmetrics)
        general = cpu_milliseconds(partial(generate, registry))
        yield Row(
            what=f"scrape of {PROCESSES} processes, {name}, {series(page)} series", measured=measured, unit="ms",
            target=SCRAPE_TARGET, note=f"client library, the 10,000 of processes alone: {general:.0f} ms, "
            f"{general / measured:.1f} times as much",
        )  # fmt: skip
    for watchers, detail in ((WATCHERS, "full"), (200, "cpu_mem")):
        measured, page = scraped(site(watchers, detail), openmetrics=True)
        yield Row(
            what=f"the same in {watchers} watchers, detail {detail}", measured=measured, unit="ms",
            note=f"{series(page)} series, {len(page) / 1e6:.1f} MB",
        )  # fmt: skip
    yield Row(
        what="gzip of the last one, level 1", measured=cpu_milliseconds(partial(zlib.compress, page, GZIP_LEVEL)),
        unit="ms", note="only when the scraper asks for it",
    )  # fmt: skip
    yield from asyncio.run(_following())


async def _following() -> list[Row]:
    """CPU and memory of a real exporter process that follows 2,000 processes at 1 Hz."""
    each = PROCESSES // WATCHERS
    told = fleet.telemetry(*(fleet.watcher(f"watcher-{number}", each, slots=[]) for number in range(WATCHERS)))
    rows = []
    with tempfile.TemporaryDirectory(prefix="circus-") as directory:
        async with ScriptedDaemon(pathlib.Path(directory), told) as daemon:
            words = ("--endpoint", daemon.endpoint, "--port", "0")
            exporter = await asyncio.create_subprocess_exec(
                script("circus-exporter"), *words, stderr=asyncio.subprocess.DEVNULL
            )
            publishing = asyncio.create_task(_publish(daemon, each))
            try:
                await asyncio.wait_for(daemon.subscribed(), DEADLINE)
                port = await asyncio.to_thread(wait_listening, exporter.pid)
                await asyncio.to_thread(wait_until, lambda: scrape(port))
                quiet = await _share(exporter.pid, None)
                scraped = await _share(exporter.pid, port)
                resident = _resident(exporter.pid)
            finally:
                publishing.cancel()
                exporter.terminate()
                await exporter.wait()
    rows.append(Row(what="exporter follows them at 1 Hz, nobody scrapes", measured=quiet * 100, unit="% of a core"))
    rows.append(
        Row(what=f"the same, scraped every {SCRAPE_EVERY} s", measured=scraped * 100, unit="% of a core",
            target=EXPORTER_TARGET)
    )  # fmt: skip
    rows.append(Row(what="its resident memory", measured=resident / 1e6, unit="MB", target=MEMORY_TARGET))
    return rows


async def _publish(daemon: ScriptedDaemon, each: int) -> None:
    """One pass a second, with numbers that change."""
    seq = 0
    while True:
        seq += 1
        for number in range(WATCHERS):
            await daemon.publish(fleet.sample(f"watcher-{number}", each, seq=seq))
        await daemon.publish(fleet.daemon_sample(seq=seq, processes=PROCESSES))
        await asyncio.sleep(1.0)


async def _share(pid: int, port: int | None) -> float:
    """CPU of a process in cores over a while, during which it is scraped or left alone."""
    before, begun = usage(pid), time.monotonic()
    for second in range(FOLLOW_SECONDS):
        if port is not None and second % SCRAPE_EVERY == 0:
            await asyncio.to_thread(scrape, port)
        await asyncio.sleep(max(begun + second + 1 - time.monotonic(), 0.0))
    return (usage(pid) - before).cpu_seconds / (time.monotonic() - begun)


def _resident(pid: int) -> int:
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
