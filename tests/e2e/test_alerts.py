"""From a misbehaving process to a message: real workers, the shipped rules in a real Prometheus, a real Alertmanager with
the shipped configuration, and a webhook. Only durations are shorter, which the generator of the rules does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from dashboards.alerts.settings import Settings
from tests.helpers import provisioning
from tests.helpers.alertmanager import Alertmanager, Webhook
from tests.helpers.daemon import Daemon
from tests.helpers.metrics import scrape
from tests.helpers.ports import reserved_port
from tests.helpers.prometheus import Prometheus
from tests.helpers.rules import ALERTS
from tests.helpers.waiting import wait_until
from tests.workers import python

pytestmark = pytest.mark.real

PATIENCE = 60.0
TIMES = 60
# What is beyond a minute even so, and a share of a CPU that a process gets on a machine that is busy with tests.
SETTINGS = (
    Settings.load()
    .faster(TIMES)
    .changed(
        rules={"interval": "1s"},
        ProcessCPUHog={"above": 0.05, "for": "3s"},
        ProcessMemoryLeak={"window": "10s", "least_age": "10s", "for": "2s"},
        WatcherStopTimeouts={"window": "20s"},
    )
)
INI = f"""
[circus]
slow_interval = 1

[exporter:prometheus]
port = {{port}}

[watcher:web]
cmd = sleep 1000
numprocesses = 10

[watcher:waits]
cmd = sleep 1000
use_sockets = True
on_demand = True

[socket:front]
host = 127.0.0.1
port = 0

[watcher:flaps]
cmd = {python("exit_n", 3, 0.2)}

[watcher:often]
cmd = {python("exit_n", 3, 0.4)}
stable_after = 0.2

[watcher:crashes]
cmd = {python("exit_n", "SIGSEGV", 2)}
copy_env = True

[watcher:missing]
cmd = /nonexistent/program

[watcher:heavy]
cmd = {python("leak", 60_000_000, 110_000_000)}
memory_limit = 128000000

[watcher:leaks]
cmd = {python("leak", 500_000, 60_000_000)}
memory_limit = 100000000

[watcher:hog]
cmd = {python("burn", 1, 0)}

[watcher:opens]
cmd = {python("open_fds", 95)}
rlimit_nofile = 100

[watcher:stays]
cmd = {python("ignore_term")}
numprocesses = 4
graceful_timeout = 0.3
"""
WANTED = {
    ("WatcherFlapping", "flaps"),
    ("WatcherDown", "flaps"),
    ("WatcherRestartRateHigh", "often"),
    ("ProcessKilledBySignal", "crashes"),
    ("WatcherDown", "missing"),
    ("ProcessMemoryAboveLimit", "heavy"),
    ("ProcessMemoryLeak", "leaks"),
    ("ProcessCPUHog", "hog"),
    ("ProcessFdExhaustion", "opens"),
    ("WatcherStopTimeouts", "stays"),
}
# One that is told already keeps these back: the shipped configuration of Alertmanager says so.
INHIBITED = {("WatcherFlapping", "flaps")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Everything that runs."""

    daemon: Daemon
    prometheus: Prometheus
    alertmanager: Alertmanager
    webhook: Webhook
    fired: set[tuple[str, str]]
    flapping: str
    """What Alertmanager made of it that `flaps` flaps, once it was told too that it is down."""


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A machine on which much goes wrong, watched until everything that should fire has fired."""
    directory = tmp_path_factory.mktemp("site")
    rules = provisioning.write_rules(SETTINGS, directory / "rules")
    with reserved_port() as port:
        daemon = Daemon(INI.format(port=port), directory)
        request.node._daemons = [daemon]
        try:
            daemon.start()
            wait_until(lambda: scrape(port), what=daemon.log_text)
            with (
                Webhook() as webhook,
                Alertmanager(directory / "am", config=provisioning.alertmanager(webhook.url)) as alertmanager,
                Prometheus(
                    directory / "prometheus",
                    config=provisioning.prometheus(
                        "one-host",
                        rules=rules,
                        alertmanagers=[alertmanager.address],
                        discovery={"static_configs": [{"targets": [f"127.0.0.1:{port}"]}]},
                    ),
                ) as prometheus,
            ):
                yield _watched(daemon, prometheus, alertmanager, webhook)
        finally:
            assert not daemon.stop()


def _watched(daemon: Daemon, prometheus: Prometheus, alertmanager: Alertmanager, webhook: Webhook) -> Site:
    daemon.wait_pids("web", 10)
    daemon.wait_pids("stays", 4)
    # The counters are there before what they count: the first scrape has seen none of it.
    wait_until(lambda: prometheus.value('circus_watcher_processes{watcher="stays",state="running"}') == 4)
    fired: set[tuple[str, str]] = set()
    daemon.ok("restart", name="stays", waiting=True)

    def all_fired() -> bool:
        # What people do on purpose goes on all the time beside it.
        daemon.ok("reload", name="web", waiting=True)
        daemon.ok("restart", name="web", waiting=True)
        fired.update(prometheus.firing())
        return fired >= WANTED

    wait_until(all_fired, PATIENCE, lambda: f"{WANTED - fired} did not fire\n{prometheus.firing()}", pause=1.0)
    wait_until(lambda: ("WatcherDown", "flaps") in webhook.names("firing"), PATIENCE)

    def flapping() -> str | None:
        about = [alert for alert in alertmanager.alerts() if alert["labels"].get("watcher") == "flaps"]
        return next(
            (each["status"]["state"] for each in about if each["labels"]["alertname"] == "WatcherFlapping"), None
        )

    # Before any test: one of them stops what flaps.
    made = wait_until(flapping, PATIENCE)
    assert made is not None
    return Site(
        daemon=daemon, prometheus=prometheus, alertmanager=alertmanager, webhook=webhook, fired=fired, flapping=made
    )


def test_what_goes_wrong_is_told(site: Site) -> None:
    wanted = WANTED - INHIBITED
    wait_until(lambda: wanted <= site.webhook.names("firing"), PATIENCE, lambda: wanted - site.webhook.names("firing"))


def test_whoever_was_told_of_the_cause_is_not_told_of_what_follows(site: Site) -> None:
    assert site.flapping == "suppressed"


def test_reloads_restarts_and_a_socket_that_is_waited_for_alarm_nobody(site: Site) -> None:
    assert {pair for pair in site.fired if pair[1] in ("web", "waits", "circus-exporter")} == set()
    assert {name for name, watcher in site.fired if not watcher} == set()


def test_a_message_says_what_to_do(site: Site) -> None:
    wait_until(lambda: ("ProcessFdExhaustion", "opens") in site.webhook.names("firing"), PATIENCE)
    (path, alert), *_ = [
        (path, alert)
        for path, alert in site.webhook.told
        if (alert["labels"]["alertname"], alert["labels"].get("watcher")) == ("ProcessFdExhaustion", "opens")
    ]
    instance = alert["labels"]["instance"]
    assert path == "/team"
    assert alert["annotations"] == {
        "summary": f"opens:1 on {instance} runs out of file descriptors.",
        "description": f"opens:1 on {instance} uses 95% of the file descriptors that it may open.",
        "runbook_url": ALERTS["ProcessFdExhaustion"].runbook,
    }
    assert alert["labels"]["severity"] == "warning"


def test_what_is_critical_goes_to_whoever_is_on_call(site: Site) -> None:
    wait_until(lambda: ("WatcherDown", "missing") in site.webhook.names("firing"), PATIENCE)
    paths = {path for path, alert in list(site.webhook.told) if alert["labels"]["severity"] == "critical"}
    assert paths == {"/on-call"}


def test_what_an_operator_stops_is_told_as_resolved(site: Site) -> None:
    wait_until(lambda: site.webhook.names("firing") >= WANTED - INHIBITED, PATIENCE)
    for watcher in ("flaps", "missing", "heavy", "leaks", "hog", "opens", "crashes", "often"):
        site.daemon.ok("stop", name=watcher, waiting=True)
    wanted = {("WatcherDown", "flaps"), ("ProcessCPUHog", "hog"), ("ProcessFdExhaustion", "opens")}
    wanted |= {("ProcessMemoryAboveLimit", "heavy"), ("ProcessKilledBySignal", "crashes")}
    wait_until(
        lambda: wanted <= site.webhook.names("resolved"), PATIENCE, lambda: wanted - site.webhook.names("resolved")
    )
    wait_until(lambda: not site.prometheus.firing(), PATIENCE, site.prometheus.firing)
