"""What Prometheus has stored after a bad day agrees with everybody else who saw it, to the unit.

One run with crashes, reloads, a killed exporter and a stopped daemon, scraped over TLS with a password as OpenMetrics,
and over plain HTTP as text. The others who saw it: a plain subscriber of the events, /proc, and what wait4 said of each
process that ended (the daemon passes it on in its records; of one process /proc is asked after its end).
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import bcrypt
import pytest

from circus_exporters.catalogue import METRICS
from tests.helpers import proc, real
from tests.helpers.certificates import Authority
from tests.helpers.daemon import Daemon, script
from tests.helpers.ports import reserved_port, wait_listening
from tests.helpers.prometheus import Prometheus, get, job
from tests.helpers.text_only import text_only
from tests.helpers.waiting import wait_until
from tests.workers import python

pytestmark = pytest.mark.real

PATIENCE = 90.0  # many things happen at once here
OURS = ("web", "crasher", "faulty", "still")
ENDED = ("web", "crasher", "faulty")
PASSWORD = "open sesame"

INI = f"""
[circus]
slow_interval = 1

[exporter:prometheus]
port = {{port}}
web_config = web.yml

[watcher:web]
cmd = {python("burn", 0.02, 0.08)}
numprocesses = 3
autostart = False
labels.team = payments
hooks.before_spawn = our_hooks.agree
hooks.after_stop = our_hooks.agree

[watcher:crasher]
cmd = {python("exit_n", 70, 0.2)}
autostart = False
backoff = 0.1
max_retry = -1

[watcher:faulty]
cmd = {python("exit_n", "SIGSEGV", 0.3)}
autostart = False
backoff = 0.1
max_retry = -1

[watcher:still]
cmd = sleep 1000
autostart = False
"""
TLS = """
tls_server_config:
  cert_file: web.crt
  key_file: web.key
  client_ca_file: ca.crt
  client_auth_type: RequireAndVerifyClientCert
"""
SCRAPER = """\
scheme: https
tls_config: {{ca_file: {0}/ca.crt, cert_file: {0}/prometheus.crt, key_file: {0}/prometheus.key}}
basic_auth: {{username: prometheus, password: {1}}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """How it went."""

    daemon: Daemon
    prometheus: Prometheus
    records: list[dict[str, Any]]
    text_port: int
    zombie: int  # the pid of a worker that ended while the daemon could not see it
    zombie_ticks: int  # its CPU time, as /proc had it then
    up_in_stall: set[float]
    processes_in_stall: int


def processes_of(daemon: Daemon, watcher: str) -> list[int]:
    return daemon.wait_pids(watcher, {"web": 3}.get(watcher, 1), PATIENCE)


def ticks_of_zombie(pid: int) -> int:
    """User and system ticks of a process that has ended and was not waited for yet."""
    wait_until(lambda: (told := proc.stat(pid)) is not None and told.state == "Z")
    told = proc.stat(pid)
    assert told is not None
    return round(told.cpu_seconds * proc.TICKS)


@pytest.fixture(scope="module")
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    directory = tmp_path_factory.mktemp("truth")
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(reserved_port())
        authority = Authority(directory)
        authority.sign("web")
        authority.sign("prometheus")
        told = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        (directory / "web.yml").write_text(f"{TLS}basic_auth_users: {{prometheus: {told}}}\n")
        (directory / "our_hooks.py").write_text("def agree(watcher, arbiter, hook_name, **more):\n    return True\n")
        daemon = Daemon(INI.format(port=port), directory, env={"PYTHONPATH": str(directory)})
        request.node._daemons = [daemon]
        stack.callback(daemon.stop)
        daemon.start()
        by_hand = subprocess.Popen(
            [script("circus-exporter"), "--endpoint", daemon.endpoint, "--port", "0"],
            stdin=subprocess.DEVNULL, stderr=(directory / "by_hand.log").open("wb"),
        )  # fmt: skip
        stack.callback(by_hand.wait)
        stack.callback(by_hand.terminate)
        text_port = wait_listening(by_hand.pid)
        prometheus = Prometheus(
            directory / "prometheus",
            jobs=[
                job("openmetrics", f"127.0.0.1:{port}", more=SCRAPER.format(directory, PASSWORD)),
                job("text", f"127.0.0.1:{stack.enter_context(text_only(text_port))}"),
                job("stranger", f"127.0.0.1:{port}", more=SCRAPER.format(directory, "guess")),
            ],
        )
        with daemon.events("lifecycle.") as events, prometheus:
            yield tell(daemon, prometheus, events, text_port)


def tell(daemon: Daemon, prometheus: Prometheus, events: Any, text_port: int) -> Story:
    """Let it happen."""

    def seen(expression: str) -> float:
        return prometheus.value(expression) or 0.0

    def until(expression: str) -> None:
        wait_until(lambda: seen(expression), PATIENCE, expression, 0.2)

    for name in OURS:
        daemon.ok("start", name=name, waiting=True)
    until('min(circus_watcher_process_exits_total{watcher="crasher",initiator="process",outcome="error"}) >= 3')
    until('min(circus_watcher_signal_exits_total{watcher="faulty",signal="SIGSEGV"}) >= 2')
    for _ in range(2):
        daemon.ok("reload", name="web", waiting=True)
    victim = processes_of(daemon, "web")[0]
    os.kill(victim, signal.SIGKILL)
    daemon.wait_pids("web", 3, PATIENCE, without=[victim])

    (exporter,) = daemon.wait_pids("circus-exporter", 1)
    before = seen('process_start_time_seconds{job="openmetrics"}')
    os.kill(exporter, signal.SIGKILL)
    daemon.wait_pids("circus-exporter", 1, PATIENCE, without=[exporter])
    until(f'(circus_up{{job="openmetrics"}} == 1) and on (job) (process_start_time_seconds != {before})')

    last = processes_of(daemon, "web")[-1]
    wait_until(lambda: (told := proc.stat(last)) is not None and told.cpu_seconds > 0.2, PATIENCE)
    daemon.signal(signal.SIGSTOP)
    try:
        os.kill(last, signal.SIGKILL)
        ticks = ticks_of_zombie(last)
        wait_until(
            lambda: prometheus.query("circus_up == 0") and len(prometheus.query("circus_up == 0")) == 2, PATIENCE
        )
        wait_until(lambda: not prometheus.query("circus_process_info"), PATIENCE)
        up, processes = (
            {value for _, value in prometheus.query("circus_up")},
            len(prometheus.query("circus_process_info")),
        )
    finally:
        daemon.signal(signal.SIGCONT)
    daemon.wait_pids("web", 3, PATIENCE, without=[last])
    wait_until(lambda: len(prometheus.query("circus_up == 1")) == 2, PATIENCE)

    for name in ENDED:
        daemon.ok("stop", name=name, waiting=True)
    finished = time.time() + 3.0  # the slow tier looks at a process that sleeps every two seconds
    until(f"min(timestamp(circus_up)) > {finished}")
    until("min(circus_sample_last_timestamp_seconds) > " + str(finished))
    last_seq = daemon.ok("telemetry")["seq"]
    wait_until(lambda: events.messages and events.messages[-1].body["seq"] >= last_seq)
    return Story(
        daemon=daemon, prometheus=prometheus, records=[message.body for message in events.messages],
        text_port=text_port, zombie=last, zombie_ticks=ticks, up_in_stall=up, processes_in_stall=processes,
    )  # fmt: skip


def stored(story: Story, expression: str, *labels: str) -> dict[tuple[str, ...], float]:
    """What both jobs have of our watchers, by these labels; they must have the same."""
    both = []
    for name in ("openmetrics", "text"):
        found = story.prometheus.query(expression.replace("{", f'{{job="{name}",', 1))
        both.append({tuple(each[label] for label in labels): value for each, value in found if each["watcher"] in OURS})
    assert both[0] == both[1]
    assert both[0]
    return both[0]


def happened(story: Story, *names: str) -> list[dict[str, Any]]:
    return [one for one in story.records if one["record"] in names and one["watcher"] in OURS]


def test_the_subscriber_missed_nothing(story: Story) -> None:
    seqs = [record["seq"] for record in story.records]
    assert seqs == list(range(seqs[0], seqs[-1] + 1))


def without_zeros(found: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    return {labels: value for labels, value in found.items() if value}


def test_starts_and_restarts_are_those_of_the_records(story: Story) -> None:
    spawned = happened(story, "process.spawned")
    starts = Counter((one["watcher"], one["data"]["cause"]) for one in spawned)
    assert without_zeros(stored(story, "circus_watcher_process_starts_total{}", "watcher", "cause")) == starts
    restarts = Counter((one["watcher"], one["data"]["cause"]) for one in spawned if one["data"]["replacement"])
    assert without_zeros(stored(story, "circus_watcher_restarts_total{}", "watcher", "cause")) == restarts
    assert restarts["web", "reload"] == 6
    assert restarts["web", "crash"] == 2
    assert restarts["crasher", "crash"] >= 3


def test_exits_are_those_of_the_records(story: Story) -> None:
    ended = happened(story, "process.exited", "process.lost")
    exits = Counter((one["watcher"], one["data"]["initiator"], one["data"]["outcome"]) for one in ended)
    found = stored(story, "circus_watcher_process_exits_total{}", "watcher", "initiator", "outcome")
    assert without_zeros(found) == exits
    signals = Counter((one["watcher"], one["data"]["signal"]) for one in ended if one["data"]["signal"])
    assert without_zeros(stored(story, "circus_watcher_signal_exits_total{}", "watcher", "signal")) == signals
    assert exits["web", "external", "signal"] == 2
    assert signals["faulty", "SIGSEGV"] == exits["faulty", "process", "signal"] >= 2


@pytest.mark.parametrize(
    ("metric", "record", "key"),
    [
        ("start_duration", "process.ready", "seconds"),
        ("stop_duration", "process.exited", "stop_seconds"),
        ("process_lifetime", "process.exited", "lifetime_seconds"),
        ("reload_duration", "reload.finished", "seconds"),
        ("hook_duration", "hook.finished", "seconds"),
    ],
)
def test_durations_are_those_of_the_records(story: Story, metric: str, record: str, key: str) -> None:
    values = [(one["watcher"], one["data"][key]) for one in happened(story, record) if one["data"][key] is not None]
    counts, sums = Counter(name for name, _ in values), Counter[str]()
    for name, value in values:
        sums[name] += value
    name = f"circus_watcher_{metric}_seconds"
    found = stored(story, f"sum by (job, watcher) ({name}_count{{}})", "watcher")
    assert without_zeros(found) == {(watcher,): count for watcher, count in counts.items()}
    assert counts
    found = without_zeros(stored(story, f"sum by (job, watcher) ({name}_sum{{}})", "watcher"))
    assert found == pytest.approx({(watcher,): total for watcher, total in sums.items()}, rel=1e-9)
    below = stored(story, f'sum by (job, watcher) ({name}_bucket{{le="+Inf"}})', "watcher")
    assert without_zeros(below) == {(watcher,): count for watcher, count in counts.items()}


def test_every_hook_that_is_set_has_its_failures_at_0(story: Story) -> None:
    found = stored(story, "circus_watcher_hook_failures_total{}", "watcher", "hook")
    assert found == {("web", "before_spawn"): 0, ("web", "after_stop"): 0}


def test_cpu_time_is_what_wait4_said_of_each_process(story: Story) -> None:
    found = stored(story, "circus_watcher_cpu_seconds_total{}", "watcher", "mode")
    for mode in ("user", "system"):
        spent = Counter[str]()
        for one in happened(story, "process.exited"):
            spent[one["watcher"]] += one["data"][f"cpu_{mode}_seconds"]
        for watcher in ENDED:
            assert found[watcher, mode] == pytest.approx(spent[watcher], rel=1e-9)
            assert found[watcher, mode] > 0


def test_what_wait4_said_is_what_proc_said_to_a_tick(story: Story) -> None:
    (ended,) = [one for one in happened(story, "process.exited") if one["pid"] == story.zombie]
    ticks = (ended["data"]["cpu_user_seconds"] + ended["data"]["cpu_system_seconds"]) * proc.TICKS
    assert story.zombie_ticks > 2, "it did nothing"
    assert story.zombie_ticks <= ticks + 0.001
    assert ticks < story.zombie_ticks + 2  # each of the two numbers of /proc is rounded down


def test_the_series_of_a_process_are_what_proc_says(story: Story) -> None:
    (pid,) = story.daemon.pids("still")
    root = pathlib.Path(f"/proc/{pid}")
    stat = root.joinpath("stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in root.joinpath("status").read_text().splitlines())
    io = dict(line.split(": ") for line in root.joinpath("io").read_text().splitlines())
    statm = [int(word) * os.sysconf("SC_PAGE_SIZE") for word in root.joinpath("statm").read_text().split()]
    expected = {
        "resident_memory_bytes": statm[1],
        "shared_memory_bytes": statm[2],
        "virtual_memory_bytes": int(stat[20]),
        "peak_resident_memory_bytes": int(status["VmHWM"].split()[0]) * 1024,
        "threads": int(stat[17]),
        "open_fds": len(os.listdir(root / "fd")),
        "read_bytes_total": int(io["read_bytes"]),
        "write_bytes_total": int(io["write_bytes"]),
        'cpu_seconds_total{mode="user"}': int(stat[11]) / proc.TICKS,
        'cpu_seconds_total{mode="system"}': int(stat[12]) / proc.TICKS,
        'page_faults_total{kind="minor"}': int(stat[7]),
        'page_faults_total{kind="major"}': int(stat[9]),
        'context_switches_total{kind="voluntary"}': int(status["voluntary_ctxt_switches"]),
        'context_switches_total{kind="involuntary"}': int(status["nonvoluntary_ctxt_switches"]),
        "cpu_wait_seconds_total": int(root.joinpath("schedstat").read_text().split()[1]) / 1e9,
    }
    found = {}
    for name in expected:
        series, brace, label = name.partition("{")
        label = label.removesuffix("}") + "," if brace else ""
        found[name] = stored(story, f'circus_process_{series}{{{label}watcher="still",wid="1"}}', "watcher")["still",]
    assert found == pytest.approx(expected, rel=1e-12)
    started = story.prometheus.value('circus_process_start_time_seconds{job="text",watcher="still"}')
    (boot,) = [
        line.split()[1] for line in pathlib.Path("/proc/stat").read_text().splitlines() if line.startswith("btime")
    ]
    assert started == pytest.approx(int(boot) + int(stat[19]) / proc.TICKS, abs=1.5)


COUNTERS = [
    f"{metric.name}_{part}" if part else metric.name
    for metric in METRICS
    if metric.group == "watcher" and metric.type in ("counter", "histogram")
    for part in (("bucket", "count", "sum") if metric.type == "histogram" else ("",))
]


@pytest.mark.parametrize("name", COUNTERS)
def test_no_counter_ever_fell(story: Story, name: str) -> None:
    series = f'{name}{{watcher=~"{"|".join(OURS)}"}}'
    fallen = story.prometheus.query(f"resets({series}[1h]) > 0")
    assert fallen == []
    assert story.prometheus.query(f"min_over_time({series}[1h]) < 0") == []


def test_while_the_daemon_stood_still_nothing_was_told_that_was_not_known(story: Story) -> None:
    assert (story.up_in_stall, story.processes_in_stall) == ({0.0}, 0)


@pytest.mark.parametrize(
    ("metric", "record"), [("reload_duration", "reload.finished"), ("start_duration", "process.ready"),
                           ("stop_duration", "process.exited"), ("process_lifetime", "process.exited")],
)  # fmt: skip
def test_exemplars_lead_to_the_traces_of_the_records(story: Story, metric: str, record: str) -> None:
    found = story.prometheus.exemplars(f'circus_watcher_{metric}_seconds_bucket{{watcher="web"}}')
    assert {each["seriesLabels"]["job"] for each in found} == {"openmetrics"}
    traces = {one["traceparent"].split("-")[1] for one in happened(story, record) if one["watcher"] == "web"}
    assert {each["labels"]["trace_id"] for each in found} <= traces
    assert found


def test_labels_of_the_configuration_can_be_joined(story: Story) -> None:
    found = story.prometheus.query(
        "sum by (label_team) (circus_watcher_processes_desired * on (watcher, job) group_left (label_team) "
        'circus_watcher_labels_info{job="text"})'
    )
    assert found == [({"label_team": "payments"}, 3.0)]


def test_who_has_the_wrong_password_gets_nothing(story: Story) -> None:
    states = {one["labels"]["job"]: (one["health"], one["lastError"]) for one in story.prometheus.targets()}
    assert states["openmetrics"] == states["text"] == ("up", "")
    assert states["stranger"][0] == "down"
    assert "401" in states["stranger"][1]


def test_promtool_finds_nothing_to_say(story: Story, tmp_path: pathlib.Path) -> None:
    _, _, page = get(f"http://127.0.0.1:{story.text_port}/metrics")
    program = real.program("promtool", "prometheus")
    done = subprocess.run([program, "check", "metrics"], input=page, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
