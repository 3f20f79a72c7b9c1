"""From an ini file to a graph: the real circusd and exporter, scraped by a real Prometheus for half a minute."""

from __future__ import annotations

import bisect
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.conftest import CircusD
from tests.helpers import proc, real
from tests.helpers.daemon import REPOSITORY, Daemon
from tests.helpers.metrics import Page, scrape
from tests.helpers.ports import reserved_port
from tests.helpers.prometheus import Prometheus, get
from tests.helpers.waiting import wait_until
from tests.workers import python

SCRAPES = 30
WINDOW = 20

pytestmark = pytest.mark.real

# The demo with ports of its own, and a burner whose bursts are short beside the window that is averaged: an average
# over whole bursts does not depend on where the window begins.
INI = f"""
[exporter:prometheus]
port = {{port}}

[socket:web]
host = 127.0.0.1
port = 0

[watcher:web]
cmd = {{python}} -m uvicorn --fd $(circus.sockets.web) --app-dir {REPOSITORY}/examples/demo --log-level warning app:app
numprocesses = 4
use_sockets = True
copy_env = True

[watcher:leaker]
cmd = {python("leak", 2_000_000, 200_000_000)}

[watcher:burner]
cmd = {python("burn", 0.05, 0.05)}

[watcher:crasher]
cmd = {python("exit_n", 70, 1.5)}
"""


class Meter(threading.Thread):
    """Writes down what /proc says about the CPU of one process, four times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(name="meter", daemon=True)
        self.pid = pid
        self._times: list[float] = []
        self._values: list[float] = []
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.25):
            told = proc.stat(self.pid)
            if told is not None:
                self._times.append(time.time())
                self._values.append(told.cpu_seconds)

    def at(self, moment: float) -> float:
        """CPU seconds at a Unix time, between two readings in proportion."""
        right = bisect.bisect(self._times, moment)
        assert 0 < right < len(self._times), "outside of what was written down"
        share = (moment - self._times[right - 1]) / (self._times[right] - self._times[right - 1])
        return self._values[right - 1] + share * (self._values[right] - self._values[right - 1])

    def end(self) -> None:
        self._ended.set()
        self.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Everything that runs."""

    daemon: Daemon
    prometheus: Prometheus
    burner: Meter
    port: int


@pytest.fixture(scope="module")
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A daemon with its exporter, scraped for thirty seconds before the first test looks."""
    directory = tmp_path_factory.mktemp("fleet")
    with reserved_port() as port:
        daemon = Daemon(INI.format(port=port, python=sys.executable), directory)
        request.node._daemons = [daemon]
        try:
            daemon.start()
            (burner,) = daemon.wait_pids("burner", 1)
            wait_until(lambda: scrape(port), what=daemon.log_text)
            meter = Meter(burner)
            meter.start()
            with Prometheus(directory / "prometheus", f"127.0.0.1:{port}") as prometheus:
                wait_until(lambda: (prometheus.value("count_over_time(circus_up[2m])") or 0) >= SCRAPES, 90.0)
                yield Fleet(daemon=daemon, prometheus=prometheus, burner=meter, port=port)
            meter.end()
        finally:
            assert not daemon.stop()


def test_every_scrape_succeeded(fleet: Fleet) -> None:
    assert fleet.prometheus.value('min_over_time(up{job="circus"}[30s])') == 1
    assert fleet.prometheus.value("min_over_time(circus_up[25s])") == 1


@pytest.mark.parametrize(
    "series",
    [
        'circus_process_cpu_seconds_total{mode="user"}',
        'circus_process_cpu_seconds_total{mode="system"}',
        "circus_process_resident_memory_bytes",
    ],
)
def test_every_worker_has_its_series(fleet: Fleet, series: str) -> None:
    found = {
        (labels["watcher"], labels["wid"]) for labels, _ in fleet.prometheus.query(f"last_over_time({series}[30s])")
    }
    workers = {("web", str(wid)) for wid in range(1, 5)} | {("leaker", "1"), ("burner", "1"), ("crasher", "1")}
    assert workers <= found


def test_the_rate_of_the_burner_is_what_proc_says(fleet: Fleet) -> None:
    now = time.time() - 1.0
    rate = fleet.prometheus.value(f'sum(rate(circus_process_cpu_seconds_total{{watcher="burner"}}[{WINDOW}s]))', at=now)
    spent = (fleet.burner.at(now) - fleet.burner.at(now - WINDOW)) / WINDOW
    assert spent > 0.05, "the burner did not burn"
    assert rate == pytest.approx(spent, rel=0.1)


def test_the_cpu_of_a_watcher_goes_on_over_the_ends_of_its_processes(fleet: Fleet) -> None:
    assert fleet.prometheus.value('resets(circus_watcher_cpu_seconds_total{watcher="crasher",mode="user"}[30s])') == 0
    grown = fleet.prometheus.value('sum(increase(circus_watcher_cpu_seconds_total{watcher="crasher"}[25s]))')
    assert grown is not None
    assert grown > 0


def test_the_restarts_of_the_crasher_rise(fleet: Fleet) -> None:
    rise = fleet.prometheus.value('increase(circus_watcher_restarts_total{watcher="crasher",cause="crash"}[25s])')
    assert rise is not None
    assert rise >= 3


def test_nobody_else_restarts(fleet: Fleet) -> None:
    quiet = fleet.prometheus.query('circus_watcher_restarts_total{watcher!="crasher",cause="crash"}')
    assert {labels["watcher"] for labels, _ in quiet} >= {"web", "leaker", "burner"}
    assert {value for _, value in quiet} == {0.0}


def test_the_memory_of_the_leaker_grows_as_it_says(fleet: Fleet) -> None:
    slope = fleet.prometheus.value('deriv(circus_process_resident_memory_bytes{watcher="leaker"}[20s])')
    assert slope == pytest.approx(2_000_000, rel=0.25)


def test_exactly_one_state_of_a_watcher_is_1(fleet: Fleet) -> None:
    found = fleet.prometheus.query("sum by (watcher) (circus_watcher_state)")
    assert {labels["watcher"] for labels, _ in found} >= {"web", "leaker", "burner", "crasher"}
    assert {value for _, value in found} == {1.0}


def test_the_info_series_carries_the_pid(fleet: Fleet) -> None:
    pids = {int(labels["pid"]) for labels, _ in fleet.prometheus.query('circus_process_info{watcher="web"}')}
    assert pids == set(fleet.daemon.pids("web"))


def test_the_landing_page_opens(fleet: Fleet) -> None:
    status, kind, text = get(f"http://127.0.0.1:{fleet.port}/")
    assert status == 200
    assert kind.startswith("text/html")
    assert [name for name in ("web", "leaker", "burner", "crasher", "/metrics") if name not in text] == []


def test_prometheus_reads_openmetrics_too(fleet: Fleet) -> None:
    status, kind, text = get(f"http://127.0.0.1:{fleet.port}/metrics", accept="application/openmetrics-text")
    assert status == 200
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


def test_promtool_finds_nothing_to_say(fleet: Fleet, tmp_path: pathlib.Path) -> None:
    page = scrape(fleet.port)
    assert page is not None
    done = subprocess.run(
        [real.program("promtool", "prometheus"), "check", "metrics"],
        input=page.text,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# -- without Prometheus: what the page says when somebody dies ------------------------------------------------------

SMALL = f"""
[exporter:prometheus]
port = {{port}}

[watcher:crasher]
cmd = {python("exit_n", 70, 0.3)}

[watcher:quiet]
cmd = sleep 1000
"""


def exporter_pid(daemon: Daemon) -> int:
    """The process of the watcher whose role is exporter."""
    watchers = daemon.ok("telemetry")["watchers"]
    (exporter,) = [found["name"] for found in watchers if found["role"] == "exporter"]
    return daemon.wait_pids(exporter, 1)[0]


def crashes(page: Page | None) -> float:
    """The crasher's own exits with an error; 0 of a page that could not be had."""
    if page is None:
        return 0.0
    return page.total("circus_watcher_process_exits_total", watcher="crasher", initiator="process", outcome="error")


def test_an_exporter_killed_with_9_loses_no_count(circusd: CircusD) -> None:
    with reserved_port() as port:
        daemon = circusd(SMALL.format(port=port))
        before = wait_until(lambda: page if crashes(page := scrape(port)) >= 3 else None, what=daemon.log_text)
        victim = exporter_pid(daemon)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: not proc.alive(victim))
        after = wait_until(lambda: scrape(port), what=daemon.log_text)
        told = daemon.telemetry("crasher")["counters"]["exits"]
        counted = sum(each["n"] for each in told if (each["initiator"], each["outcome"]) == ("process", "error"))
        assert crashes(before) <= crashes(after) <= counted
        assert exporter_pid(daemon) != victim


def test_a_daemon_killed_with_9_is_seen_as_down(circusd: CircusD) -> None:
    with reserved_port() as port:
        daemon = circusd(SMALL.format(port=port))
        wait_until(lambda: (page := scrape(port)) and page.value("circus_up") == 1, what=daemon.log_text)
        survivors = daemon.kill()
        try:
            wait_until(lambda: (page := scrape(port)) and page.value("circus_up") == 0, what=daemon.log_text)
        finally:
            for pid in survivors:
                proc.end(pid)


def test_the_exporter_of_a_new_daemon_takes_over_the_port_of_one_that_died(circusd: CircusD) -> None:
    with reserved_port() as port:
        old = circusd(SMALL.format(port=port))
        wait_until(lambda: (page := scrape(port)) and page.value("circus_up") == 1, what=old.log_text)
        outlived = exporter_pid(old)
        survivors = old.kill()
        new = circusd(SMALL.format(port=port), start=False)
        new.endpoint, new.pubsub_endpoint, new.stats_endpoint = old.endpoint, old.pubsub_endpoint, old.stats_endpoint
        new.ini.write_text(old.ini.read_text())
        try:
            new.start()
            wait_until(lambda: not proc.alive(outlived), what=new.log_text)
            wait_until(lambda: (page := scrape(port)) and page.value("circus_up") == 1, what=new.log_text)
        finally:
            for pid in survivors:
                proc.end(pid)
