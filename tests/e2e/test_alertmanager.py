"""Alerts about real processes through a real Alertmanager to a webhook."""

from __future__ import annotations

import os
import pathlib
import signal
from collections.abc import Iterator

import pytest

from circus_exporters.alerts.messages import fingerprint
from tests.conftest import CircusD
from tests.helpers.alertmanager import Alertmanager
from tests.helpers.daemon import Daemon
from tests.helpers.metrics import scrape
from tests.helpers.ports import reserved_port, wait_listening
from tests.helpers.waiting import wait_until
from tests.helpers.webhooks import Webhooks
from tests.workers import python

pytestmark = pytest.mark.real

INI = """
[circus]
sample_interval = 0.2
[notify:am]
type = alertmanager
url = {url}
repeat = 3s
timeout = 2
[exporter:prometheus]
port = 0
[watcher:shaky]
cmd = /bin/sh -c 'test -e {steady} && exec sleep 1000; sleep 0.05; exit 3'
stable_after = 1
labels.team = payments
[watcher:hoard]
cmd = {hoard} {file} 80
[alert:flapping]
watchers = shaky
above = 2
window = 4s
keep = 0
severity = critical
[alert:memory]
watchers = hoard
above = 70MiB
clear_below = 60MiB
for = 0
"""
FLAPS, STAYS = (("firing", "flapping", "shaky", None), ("resolved", "flapping", "shaky", None))
GROWS, SHRINKS = (("firing", "memory", "hoard", "1"), ("resolved", "memory", "hoard", "1"))


@pytest.fixture
def hooks() -> Iterator[Webhooks]:
    made = Webhooks()
    yield made
    made.stop()


@pytest.fixture
def steady(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "steady"


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "file"


def ini(url: str, steady: pathlib.Path, file: pathlib.Path) -> str:
    return INI.format(url=url, steady=steady, file=file, hoard=python("hoard"))


def exporter_of(daemon: Daemon, *before: int) -> int:
    (pid,) = daemon.wait_pids("circus-exporter", 1, without=before)
    return pid


def test_flapping_and_much_memory_are_told_once_and_are_over_once(
    circusd: CircusD, hooks: Webhooks, steady: pathlib.Path, file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with Alertmanager(tmp_path / "am", hooks.url) as am:
        daemon = circusd(ini(am.url, steady, file))
        file.touch()
        assert hooks.wait_alerts(1, watcher="shaky") == [FLAPS]
        assert hooks.wait_alerts(1, watcher="hoard") == [GROWS]
        active = am.alerts()
        assert len(active) == 2
        for alert in active:
            assert alert["fingerprint"] == fingerprint(alert["labels"])
        (flapping,) = [alert for alert in active if alert["labels"]["watcher"] == "shaky"]
        assert flapping["labels"]["severity"] == "critical"
        assert flapping["labels"]["team"] == "payments"
        assert flapping["annotations"]["summary"] == "shaky does not stay up"
        # It is told again and again that they fire, and its receiver is not.
        ends = flapping["endsAt"]
        wait_until(lambda: [alert for alert in am.alerts() if alert["endsAt"] > ends])
        pid = exporter_of(daemon)
        os.kill(pid, signal.SIGKILL)
        exporter_of(daemon, pid)
        ends = max(alert["endsAt"] for alert in am.alerts())
        wait_until(lambda: len([alert for alert in am.alerts() if alert["endsAt"] > ends]) == 2)
        assert sorted(hooks.alerts()) == sorted([FLAPS, GROWS])
        steady.touch()
        file.unlink()
        assert hooks.wait_alerts(2, watcher="shaky") == [FLAPS, STAYS]
        assert hooks.wait_alerts(2, watcher="hoard") == [GROWS, SHRINKS]
        wait_until(lambda: am.alerts() == [])
        assert len(hooks.alerts()) == 4


def test_an_alertmanager_that_was_away_or_has_forgotten_everything_is_told(
    circusd: CircusD, hooks: Webhooks, steady: pathlib.Path, file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    steady.touch()
    with reserved_port() as port:
        daemon = circusd(ini(f"http://127.0.0.1:{port}", steady, file))
        file.touch()
        exporter = exporter_of(daemon)
        wait_until(
            lambda: (
                (page := scrape(wait_listening(exporter))) is not None
                and (page.value("circus_alert_delivery_retries_total", sink="am") or 0) >= 1
            )
        )
        with Alertmanager(tmp_path / "first", hooks.url, port) as am:
            assert hooks.wait_alerts(1) == [GROWS]
            am.kill()
        with Alertmanager(tmp_path / "second", hooks.url, port):
            assert hooks.wait_alerts(2) == [GROWS, GROWS]
            file.unlink()
            assert hooks.wait_alerts(3) == [GROWS, GROWS, SHRINKS]
        delivered = scrape(wait_listening(exporter))
        assert delivered is not None
        assert delivered.value("circus_alert_deliveries_total", sink="am") == 2
