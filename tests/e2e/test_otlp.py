"""From an ini file through a real collector to us: the tree of a reload of ten workers, and a collector that is killed."""

from __future__ import annotations

import importlib.util
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import CircusD
from tests.helpers import proc, real
from tests.helpers.daemon import Daemon
from tests.helpers.metrics import scrape
from tests.helpers.otlp import HttpSink
from tests.helpers.ports import listening_ports, reserved_port, wait_listening
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.real

WORKERS = 10
INI = """
[exporter:otlp]
endpoint = http://127.0.0.1:{port}
protocol = {protocol}
timeout = 2
[exporter:prometheus]
port = 0
[watcher:web]
cmd = sleep 1000
numprocesses = 10
"""


class Rotel:
    """The collector `rotel`, which passes on what it gets to a sink of ours."""

    def __init__(self, directory: pathlib.Path, grpc: int, http: int, sink: HttpSink) -> None:
        found = importlib.util.find_spec("rotel")
        if found is None or found.origin is None:
            real.missing("rotel is not installed: pip install rotel (or: make test)")
        assert found is not None
        assert found.origin is not None
        self._log = directory / "rotel.log"
        words = [
            str(pathlib.Path(found.origin).with_name("rotel-agent")), "start",
            "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--otlp-http-endpoint", f"127.0.0.1:{http}",
            "--exporter", "otlp", "--otlp-exporter-endpoint", sink.endpoint, "--otlp-exporter-protocol", "http",
            "--disable-batching", "--pid-file", str(directory / "rotel.pid"),
        ]  # fmt: skip
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory)
        wait_until(lambda: {grpc, http} <= set(listening_ports(self.process.pid)), what=self._log.read_text)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    made = HttpSink()
    yield made
    made.stop()


def cpu_of(daemon: Daemon) -> float:
    assert daemon.process is not None
    told = proc.stat(daemon.process.pid)
    assert told is not None
    return told.cpu_seconds


def tree_of_reload(sink: HttpSink, number: int) -> None:
    """The last of `number` reloads, whole."""
    reload = sink.wait_named("watcher.reload", number)[-1]
    sink.wait_named("process.life", number * WORKERS, watcher="web")
    phases = wait_until(lambda: sink.tree(reload)[1])
    assert [name for name, _ in phases] == ["watcher.reloading"]
    below = sorted(phases[0][1])
    assert [name for name, _ in below] == (
        WORKERS * ["process.life"] + WORKERS * ["process.start"] + WORKERS * ["process.stop"]
    )
    for name, children in below:
        assert (
            sorted(child for child, _ in children)
            == {
                "process.life": [],
                "process.start": ["process.ready_wait", "process.spawn"],
                "process.stop": ["process.grace", "process.signal"],
            }[name]
        )


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_reload_of_ten_workers_through_a_collector_that_is_killed(
    circusd: CircusD, sink: HttpSink, tmp_path: pathlib.Path, protocol: str
) -> None:
    with reserved_port() as grpc, reserved_port() as http:
        collector = Rotel(tmp_path, grpc, http, sink)
        try:
            port = grpc if protocol == "grpc" else http
            daemon = circusd(INI.format(port=port, protocol=protocol), env={"OTEL_BSP_SCHEDULE_DELAY": "50"})
            sink.wait_named("arbiter.boot")
            daemon.ok("reload", name="web", waiting=True)
            tree_of_reload(sink, 1)
            taken = cpu_of(daemon)
            daemon.ok("reload", name="web", waiting=True)
            with_collector = cpu_of(daemon) - taken
            tree_of_reload(sink, 2)

            collector.kill()
            taken = cpu_of(daemon)
            daemon.ok("reload", name="web", waiting=True)
            without = cpu_of(daemon) - taken
            wait_until(lambda: "cannot be delivered" in daemon.log_text(), what=daemon.log_text)
            assert daemon.ok("status", name="web")["status"] == "active"
            # The same work costs the daemon the same; clock ticks of a loaded machine are all that differs.
            assert without < 3 * with_collector + 0.2
            (exporter,) = daemon.wait_pids("circus-exporter", 1)
            metrics = wait_listening(exporter)
            assert (scrape(metrics).value("circus_spans_waiting") or 0) > 0

            collector = Rotel(tmp_path, grpc, http, sink)
            tree_of_reload(sink, 3)
            wait_until(lambda: scrape(metrics).value("circus_spans_waiting") == 0)
            page = scrape(metrics)
            assert (
                sum(page.value("circus_spans_dropped_total", reason=why) or 0 for why in ("queue_full", "refused")) == 0
            )
            assert (page.value("circus_spans_exported_total") or 0) >= len({(s.trace, s.span) for s in sink.spans})
            assert daemon.wait_pids("circus-exporter", 1) == [exporter]
        finally:
            collector.kill()
