"""What people do to a machine on which all is well: under the shipped rules, whose durations are shorter, nothing fires."""

from __future__ import annotations

import pathlib
import time

import pytest

from dashboards.alerts.settings import Settings
from tests.conftest import CircusD
from tests.helpers import provisioning
from tests.helpers.metrics import scrape
from tests.helpers.ports import reserved_port
from tests.helpers.prometheus import Prometheus
from tests.helpers.rules import ALERTS
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.real

PATIENCE = 60.0
# A restart of circusd takes its time on a machine that is busy with tests; the loop of a daemon there is late, too.
SETTINGS = Settings.load().faster(20).changed(rules={"interval": "1s"}, SupervisorDown={"for": "40s"})
OF_THE_MACHINE = {"SupervisorLoopBlocked", "SupervisorSamplingOverrun", "SupervisorEventsDropped"}
INI = """
[exporter:prometheus]
port = {port}

[socket:front]
host = 127.0.0.1
port = 0

[watcher:web]
cmd = sleep 1000
numprocesses = 10

[watcher:aged]
cmd = sleep 1000
numprocesses = 2
max_age = 2
max_age_variance = 1

[watcher:grows]
cmd = sleep 1000
warmup_delay = 2

[watcher:batch]
cmd = sh -c 'sleep $(circus.wid)'
kill_scope = tree
numprocesses = 4
respawn = False

[watcher:waits]
cmd = sleep 1000
use_sockets = True
on_demand = True

[watcher:off]
cmd = sleep 1000
autostart = False
"""


def test_what_is_done_on_purpose_alarms_nobody(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    rules = provisioning.write_rules(SETTINGS, tmp_path / "rules")
    with reserved_port() as port:
        daemon = circusd(INI.format(port=port))
        wait_until(lambda: scrape(port), what=daemon.log_text)
        discovery = {"static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        text = provisioning.prometheus("one-host", rules=rules, discovery=discovery)
        began = time.time()
        with Prometheus(tmp_path / "prometheus", config=text) as prometheus:

            def seen(expression: str) -> None:
                """Prometheus sees that, and has seen nothing else for some evaluations."""
                what = f"min_over_time(({expression})[4s:1s]) > 0 and count_over_time(({expression})[4s:1s]) >= 4"
                wait_until(lambda: prometheus.query(what), PATIENCE, lambda: (expression, daemon.log_text()), pause=0.2)

            running = 'circus_watcher_processes{state="running",watcher="%s"} == %d'
            seen(running % ("web", 10))
            daemon.ok("reload", name="web", waiting=True)
            daemon.ok("reload", name="web", sequential=True, waiting=True)
            daemon.ok("restart", name="web", waiting=True)
            daemon.ok("stop", name="web", waiting=True)
            seen('circus_watcher_state{watcher="web",state="stopped"} == 1')
            daemon.ok("start", name="web", waiting=True)
            daemon.ok("incr", name="grows", nb=4)
            daemon.ok("kill", name="web", waiting=True)
            seen(running % ("grows", 5))
            daemon.ok("restart", name="circus-exporter", waiting=True)
            seen(running % ("web", 10))
            daemon.ok("upgrade")
            daemon.wait_answering()
            seen(running % ("web", 10))
            daemon.signal(15)
            daemon.wait()
            daemon.start()
            seen(running % ("web", 10))
            found = prometheus.range('ALERTS{alertstate="firing"}', began, time.time())
            evaluated = prometheus.range("watcher:circus_watcher_processes_expected:sum", began, time.time())
    fired = {(labels["alertname"], labels.get("watcher", "")) for labels, _ in found}
    assert {labels["watcher"] for labels, _ in evaluated} >= {"web", "aged", "grows"}
    assert {(name, watcher) for name, watcher in fired if name not in OF_THE_MACHINE} == set()
    assert ALERTS.keys() > OF_THE_MACHINE
