"""A daemon to whom everything happens that the metrics can tell of, and a real Prometheus that looked all the time.

It looked through two exporters, which are two instances with the same watchers, as the hosts of a fleet are. A third instance never answered.
Owns the script: who crashes, leaks, is reloaded, is given up. The life of a test file takes about half a minute.
"""

from __future__ import annotations

import contextlib
import pathlib
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import bcrypt

from tests.helpers.daemon import REPOSITORY, Daemon, script
from tests.helpers.otlp import HttpSink
from tests.helpers.ports import reserved_port
from tests.helpers.prometheus import CONFIG, Prometheus, job
from tests.helpers.waiting import wait_until
from tests.workers import python

PATIENCE = 90.0
PASSWORD = "open sesame"
LATE = ("leaker", "crasher", "faulty", "hungry", "hopeless")

HOOKS = """\
import os

def may_spawn(watcher, arbiter, hook_name, **more):
    return not os.path.exists("closed")

def complain(watcher, arbiter, hook_name, **more):
    raise RuntimeError("as always")
"""
INI = f"""
[circus]
slow_interval = 1

[exporter:prometheus]
port = {{port}}
web_config = web.yml

[exporter:otlp]
endpoint = {{collector}}
metrics_interval = 2

[alert:flapping]
above = 6
for = 0s

[notify:ops]
type = exec
cmd = cat

[notify:broken]
type = exec
cmd = false
retry_for = 0s

[socket:front]
host = 127.0.0.1
port = 0

[watcher:web]
cmd = {python("chatty", 0, 0.05)}
numprocesses = 3
use_sockets = True
stdout_stream.class = FileStream
stdout_stream.filename = web.out
stderr_stream.class = FileStream
stderr_stream.filename = web.err
hooks.before_spawn = our_hooks.may_spawn
hooks.after_stop = our_hooks.complain, true
labels.team = payments
graceful_timeout = 5

[watcher:slow]
cmd = {python("slow_start", 0.0, 2.0)}
numprocesses = 2
warmup_delay = 2

[watcher:leaker]
autostart = False
cmd = {python("leak", 4_000_000, 400_000_000)}
memory_limit = 48M
memory_limit_after = 1
metrics_memory = True

[watcher:burner]
cmd = {python("burn", 0.05, 0.05)}

[watcher:crasher]
autostart = False
cmd = {python("exit_n", 70, 0.3)}
backoff = 0.2
backoff_max = 2
max_retry = -1

[watcher:faulty]
autostart = False
cmd = {python("exit_n", "SIGSEGV", 0.3)}
backoff = 0.5
max_retry = -1

[watcher:hungry]
autostart = False
cmd = {sys.executable} -c "len(bytes([1]) * {{hunger}})"
respawn = False

[watcher:hopeless]
autostart = False
cmd = ./nobody-wrote-this
backoff = 0.1
max_retry = 2

[watcher:later]
cmd = {python("slow_start", 0.0)}
use_sockets = True
on_demand = True
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """It is still running when the tests look."""

    daemon: Daemon
    prometheus: Prometheus
    begin: float
    end: float


@contextlib.contextmanager
def busy_life(directory: pathlib.Path) -> Iterator[Life]:
    """Live it, and look back on it."""
    with contextlib.ExitStack() as stack:
        port, second, nobody = (stack.enter_context(reserved_port()) for _ in range(3))
        collector = HttpSink()
        stack.callback(collector.stop)
        told = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "web.yml").write_text(f"basic_auth_users: {{prometheus: {told}}}\n")
        (directory / "our_hooks.py").write_text(HOOKS)
        # What a process had at most is told if it is more than circusd itself has had, or whoever started it.
        hunger = 2 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        ini = INI.format(port=port, collector=collector.endpoint, hunger=hunger)
        daemon = Daemon(ini, directory, env={"PYTHONPATH": str(directory)})
        stack.callback(daemon.stop)
        login = f"basic_auth: {{username: prometheus, password: {PASSWORD}}}\n"
        scraping = CONFIG + job("circus", *(f"127.0.0.1:{each}" for each in (port, second, nobody)), more=login)
        rules = _impatient_rules(directory / "rules")
        prometheus = Prometheus(directory / "prometheus", config=f"rule_files: [{rules}/*.yml]\n{scraping}")
        stack.enter_context(prometheus)
        begin = time.time()
        daemon.start()
        by_hand = subprocess.Popen(
            [script("circus-exporter"), "--endpoint", daemon.endpoint, "--port", str(second)],
            stdin=subprocess.DEVNULL, stderr=(directory / "by_hand.log").open("wb"),
        )  # fmt: skip
        stack.callback(by_hand.wait)
        stack.callback(by_hand.terminate)
        _live(daemon, prometheus, directory)
        yield Life(daemon=daemon, prometheus=prometheus, begin=begin, end=time.time())


def _impatient_rules(directory: pathlib.Path) -> pathlib.Path:
    """The rules that are shipped, evaluated once a second."""
    directory.mkdir()
    for path in (REPOSITORY / "dashboards/out/prometheus").glob("*.yml"):
        told = path.read_text()
        assert "interval: 15s" in told
        (directory / path.name).write_text(told.replace("interval: 15s", "interval: 1s"))
    return directory


def _live(daemon: Daemon, prometheus: Prometheus, directory: pathlib.Path) -> None:
    def until(expression: str) -> None:
        wait_until(lambda: prometheus.query(expression), PATIENCE, expression, 0.2)

    until('count(circus_watcher_processes_ready{watcher="web"} == 3) == 2')
    until("count(circus_process_info) >= 14")
    until('circus_alert_delivery_failures_total{sink="broken"} == 0')
    for name in LATE:  # a count that is born above 0 has no increase
        daemon.ok("start", name=name)
    daemon.ok("reload", name="slow")  # takes seconds, so a scrape sees it run
    daemon.ok("reload", name="web", waiting=True)
    until("circus_watcher_reload_start_timestamp_seconds")
    daemon.call("start", name="nobody")
    daemon.call("no-such-command")
    (directory / "closed").touch()
    daemon.call("reload", name="web", waiting=True)
    (directory / "closed").unlink()
    daemon.call("start", name="web", waiting=True)
    daemon.ok("incr", name="burner")
    daemon.ini.write_text(daemon.ini.read_text() + "\n[watcher:newcomer]\ncmd = sleep 1000\n")
    daemon.ok("reloadconfig", waiting=True)
    until('circus_watcher_state{watcher="hopeless",state="fatal"} == 1')
    until('circus_watcher_state{state="backoff"} == 1')
    until('circus_watcher_restarts_total{cause="memory_limit"} >= 1')
    until('circus_watcher_signal_exits_total{signal="SIGSEGV"} >= 2')
    until('circus_watcher_process_exits_total{watcher="crasher",outcome="error"} >= 7')
    until("circus_watcher_reload_failures_total > 0")
    until("circus_spans_exported_total > 0")
    until('circus_otlp_metric_exports_total{outcome="success"} >= 2')
    until("circus_process_unique_memory_bytes > 0")
    until('circus_alert_deliveries_total{sink="ops"} > 0')
    until('circus_alert_delivery_failures_total{sink="broken"} > 0')
    until("circus_watcher_last_exit_peak_resident_memory_bytes")
    until('ALERTS{alertstate="firing",watcher="crasher"}')
    until("min(count_over_time(circus_up[5m])) >= 25")
