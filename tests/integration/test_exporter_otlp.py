"""Traces and metrics that circusd's exporter pushes, as a collector gets them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import CircusD
from tests.helpers.metrics import scrape
from tests.helpers.otlp import GrpcSink, HttpSink
from tests.helpers.ports import wait_listening
from tests.helpers.waiting import DEADLINE, wait_until
from tests.workers import python

# The SDKs' own variables reach the exporter: spans do not wait for others for five seconds.
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_METRIC_EXPORT_INTERVAL": "200"}
CALLER = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"

INI = """
[exporter:otlp]
endpoint = {endpoint}

[exporter:prometheus]
port = 0

[watcher:web]
cmd = sleep 1000
numprocesses = {number}
"""
SPAWN = ("process.spawn", [])
READY = ("process.ready_wait", [])


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    made = HttpSink()
    yield made
    made.stop()


def wait_log(daemon, text: str) -> None:
    wait_until(lambda: text in daemon.log_text(), what=daemon.log_text)


def exporter_of(daemon) -> int:
    (pid,) = daemon.wait_pids("circus-exporter", 1)
    return pid


def test_boot_reload_and_crash_each_are_a_trace(circusd: CircusD, sink: HttpSink) -> None:
    daemon = circusd(INI.format(endpoint=sink.endpoint, number=2), env=SOON)
    (boot,) = sink.wait_named("arbiter.boot")
    _, phases = sink.tree(boot)
    assert {name for name, _ in phases} == {"watcher.starting"}
    assert boot.resource["service.name"] == "circus"
    assert boot.resource["service.instance.id"] == daemon.ok("telemetry")["boot"]

    daemon.ok("reload", name="web", waiting=True)
    (reload,) = sink.wait_named("watcher.reload")
    _, (phase,) = sink.tree(reload)
    assert phase[0] == "watcher.reloading"
    assert sorted(name for name, _ in phase[1]) == 2 * ["process.life"] + 2 * ["process.start"] + 2 * ["process.stop"]
    assert [below for name, below in phase[1] if name == "process.start"] == [[SPAWN, READY]] * 2
    assert reload.error is None
    assert reload.attributes["circus.watcher.name"] == "web"
    starts = {(span.trace, span.span) for span in sink.named("process.start", watcher="web")}
    for life in (life for life in sink.named("process.life", watcher="web") if life.trace == reload.trace):
        first, last = life.links
        assert first in starts
        assert first[0] == boot.trace
        assert last in {(span.trace, span.span) for span in sink.named("process.stop", watcher="web")}
        assert life.error is None

    pids = daemon.wait_pids("web", 2)
    os.kill(pids[0], signal.SIGSEGV)
    (crash,) = sink.wait_named("process.respawn")
    assert crash.error == "crash: SIGSEGV"
    assert crash.attributes["error.type"] == "signal"
    assert sorted(name for name, _ in sink.tree(crash)[1]) == ["process.backoff", "process.life", "process.start"]
    (life,) = [life for life in sink.named("process.life", watcher="web") if life.trace == crash.trace]
    assert life.attributes["circus.process.exit.signal"] == "SIGSEGV"
    assert "process.exit.code" not in life.attributes
    assert life.attributes["process.pid"] == pids[0]


def test_a_sighup_is_one_trace_with_each_watcher_below(circusd: CircusD, sink: HttpSink) -> None:
    ini = INI.format(endpoint=sink.endpoint, number=1) + "\n[watcher:other]\ncmd = sleep 1000\n"
    daemon = circusd(ini, env=SOON)
    daemon.wait_pids("web", 1)
    daemon.wait_pids("other", 1)
    seq = daemon.ok("telemetry")["seq"]
    daemon.signal(signal.SIGHUP)
    (reload,) = sink.wait_named("watcher.reload")
    assert (reload.error, reload.parent) == (None, "")
    assert reload.attributes["circus.cause"] == "signal:SIGHUP"
    _, phases = sink.tree(reload)
    assert {name for name, _ in phases} == {"watcher.reloading"}
    below = [span for span in sink.named("watcher.reloading") if span.trace == reload.trace]
    assert {span.attributes["circus.watcher.name"] for span in below} == {"web", "other", "circus-exporter"}
    records = daemon.ok("events", since=seq, limit=1000)["records"]
    started, *others, finished = [each for each in records if each["cause"].get("name") == "SIGHUP"]
    assert (started["record"], started["data"]["actor"]) == ("command.started", "signal:SIGHUP")
    assert (finished["record"], finished["data"]["ok"], finished["data"]["command"]) == (
        "command.finished",
        True,
        "reload",
    )
    assert {each["traceparent"].split("-")[1] for each in (started, *others, finished)} == {reload.trace}


def test_a_callers_trace_goes_on_into_the_start_of_the_workers(circusd: CircusD, sink: HttpSink, tmp_path) -> None:
    told = tmp_path / "told"
    ini = INI.format(endpoint=sink.endpoint, number=1) + (
        f"\n[watcher:job]\ncmd = /bin/sh -c 'env > {told}.new && mv {told}.new {told}; exec sleep 1000'\n"
        "autostart = no\npropagate_trace = yes\ncopy_env = yes\n"
    )
    daemon = circusd(ini, env={**SOON, "OTEL_SERVICE_NAME": "supervisor", "TRACEPARENT": "00-" + "11" * 24 + "-01"})
    assert daemon.circusctl("--traceparent", CALLER, "start", "job", "--waiting").returncode == 0
    (start,) = sink.wait_named("watcher.start")
    assert (start.trace, start.parent) == ("ab" * 16, "cd" * 8)
    assert start.kind == 2  # SERVER
    assert start.resource["service.name"] == "supervisor"
    wait_until(told.exists)
    env = dict(line.partition("=")[::2] for line in told.read_text().splitlines())
    assert env["TRACEPARENT"] == f"00-{start.trace}-{start.span}-01"
    assert env["OTEL_SERVICE_NAME"] == "job"
    assert "circus.process.wid=1" in env["OTEL_RESOURCE_ATTRIBUTES"].split(",")
    assert not [name for name in env if name.startswith("OTEL_BSP")]


def test_an_exporter_that_is_killed_in_a_reload_goes_on_in_the_same_trace(circusd: CircusD, sink: HttpSink) -> None:
    stubborn = f"\n[watcher:stubborn]\ncmd = {python('ignore_term')}\ngraceful_timeout = 3\n"
    daemon = circusd(INI.format(endpoint=sink.endpoint, number=1) + stubborn, env=SOON)
    sink.wait_named("arbiter.boot")
    with daemon.events("lifecycle.stubborn.") as events:
        daemon.ok("reload", name="stubborn")
        events.wait_for_topic("lifecycle.stubborn.process.signalled")
    pid = exporter_of(daemon)
    os.kill(pid, signal.SIGKILL)
    (reload,) = sink.wait_named("watcher.reload")
    (kill,) = sink.wait_named("process.kill", watcher="stubborn")
    (stop,) = sink.named("process.stop", watcher="stubborn")
    assert kill.trace == stop.trace == reload.trace
    assert kill.parent == stop.span
    assert stop.error == "stop_timeout: SIGKILL"
    (start,) = [span for span in sink.named("process.start", watcher="stubborn") if span.trace == reload.trace]
    assert start.parent == stop.parent


def test_a_collector_that_comes_back_gets_everything(circusd: CircusD) -> None:
    sink = HttpSink()
    try:
        daemon = circusd(INI.format(endpoint=sink.endpoint, number=1), env=SOON)
        sink.wait_named("arbiter.boot")
    finally:
        sink.stop()
    for _ in range(3):
        daemon.ok("restart", name="web", waiting=True)
    wait_log(daemon, "spans cannot be delivered")
    again = HttpSink(sink.port)
    try:
        again.wait_named("watcher.restart", 3)
        wait_log(daemon, "spans are taken again")
        page = scrape(wait_listening(exporter_of(daemon)))
        assert page.value("circus_spans_dropped_total", reason="queue_full") == 0
    finally:
        again.stop()


def test_what_a_collector_refuses_is_counted(circusd: CircusD, sink: HttpSink) -> None:
    sink.answers = [(400, {})] * 1000
    daemon = circusd(INI.format(endpoint=sink.endpoint, number=1), env=SOON)
    wait_log(daemon, "given up: it answers 400 Bad Request: go away")
    port = wait_listening(exporter_of(daemon))
    wait_until(lambda: (scrape(port).value("circus_spans_dropped_total", reason="refused") or 0) > 0)
    assert scrape(port).value("circus_spans_exported_total") == 0


def test_metrics_of_watchers_are_pushed(circusd: CircusD, sink: HttpSink) -> None:
    daemon = circusd(INI.format(endpoint=sink.endpoint, number=2), env=SOON)
    daemon.wait_pids("web", 2)

    def values():
        found = {}
        for request in sink.metrics[-1:]:
            for metric in (m for r in request.resource_metrics for s in r.scope_metrics for m in s.metrics):
                for point in (*metric.sum.data_points, *metric.gauge.data_points):
                    labels = {each.key: each.value.string_value for each in point.attributes}
                    if labels.get("watcher") == "web":
                        number = getattr(point, point.WhichOneof("value"))
                        found[metric.name, labels.get("cause") or labels.get("state")] = number
        return found

    wait_until(lambda: values().get(("circus_watcher_process_starts", "boot")) == 2, what=values)
    assert values()["circus_watcher_processes", "running"] == 2


def test_grpc(circusd: CircusD) -> None:
    sink = GrpcSink()
    try:
        ini = INI.format(endpoint=sink.endpoint + "\nprotocol = grpc", number=1)
        sink.codes = ["UNAVAILABLE"]
        daemon = circusd(ini, env=SOON)
        sink.wait_named("arbiter.boot")
        daemon.ok("reload", name="web", waiting=True)
        sink.wait_named("watcher.reload")
        wait_until(lambda: sink.metrics)
    finally:
        sink.stop()


def test_a_wrong_variable_is_one_clear_line_and_the_daemon_runs(circusd: CircusD, sink: HttpSink) -> None:
    daemon = circusd(INI.format(endpoint=sink.endpoint, number=1), env={"OTEL_TRACES_SAMPLER": "sometimes"})
    wait_log(daemon, "[environment] OTEL_TRACES_SAMPLER = 'sometimes': expected one of always_on")
    daemon.wait_pids("web", 1)


def without(module: str, *words: str) -> subprocess.CompletedProcess[str]:
    """circus-exporter where a module is not installed."""
    program = f"import sys; sys.modules[{module!r}] = None; from circus_exporters.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("grpc", "[exporter:otlp]: protocol grpc needs grpcio: pip install 'circus[otlp-grpc]'"),
        ("opentelemetry", "[exporter:otlp] needs OpenTelemetry: pip install opentelemetry-sdk opentelemetry-proto"),
    ],
)
@pytest.mark.parametrize("words", [[], ["--check"]])
def test_a_library_that_is_missing_is_one_line(tmp_path, module: str, told: str, words: list[str]) -> None:
    (tmp_path / "c.ini").write_text("[circus]\nendpoint = auto\n[exporter:otlp]\nprotocol = grpc\n")
    done = without(module, "--config", str(tmp_path / "c.ini"), *words)
    assert done.returncode == 1
    assert done.stderr.startswith(told)
    assert done.stderr.count("\n") == 1


def test_without_the_section_nothing_of_it_is_imported() -> None:
    program = (
        "import sys, circus_exporters.cli as cli; from circus.spec.exporters import ExporterDocument\n"
        "import circus_exporters.app as app; app.Sections()\n"
        "print([name for name in ('opentelemetry', 'google.protobuf', 'grpc') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE)
    assert done.stdout == "[]\n", done.stderr
