"""Alerts of a real circusd about real processes, as those who are told get them."""

from __future__ import annotations

import os
import pathlib
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import CircusD
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.metrics import scrape
from tests.helpers.orphans import Scene, scene
from tests.helpers.ports import reserved_port, wait_listening
from tests.helpers.waiting import wait_until
from tests.helpers.webhooks import Webhooks
from tests.workers import python

__all__ = ["scene"]

HOOK = """
[notify:ops]
type = webhook
url = {url}/ops
secret = s3cret
rate = 100/s
[exporter:prometheus]
port = 0
"""
SOON = "[circus]\nsample_interval = 0.2\n"
SHAKY = """
[watcher:shaky]
cmd = /bin/sh -c 'test -e {file} && exec sleep 1000; sleep 0.05; exit 3'
stable_after = 1
[alert:flapping]
watchers = shaky
above = 2
window = 4s
keep = 0
severity = critical
"""
HOARD = """
[watcher:hoard]
cmd = {cmd} {file} 80
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
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "file"


def hoarding(url: str, file: pathlib.Path, more: str = "") -> str:
    return SOON + HOOK.format(url=url) + more + HOARD.format(cmd=python("hoard"), file=file)


def exporter_of(daemon: Daemon, *before: int) -> int:
    (pid,) = daemon.wait_pids("circus-exporter", 1, without=before)
    return pid


def firing(daemon: Daemon) -> list[tuple[str, str | None, int | None]]:
    return [(each["alert"], each["watcher"], each["wid"]) for each in daemon.ok("alerts")["alerts"]]


def records(daemon: Daemon, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.ok("events", since=0, limit=100_000, record=name)["records"]
    return found


def page(daemon: Daemon) -> Any:
    return wait_until(lambda: scrape(wait_listening(exporter_of(daemon))))


def get(daemon: Daemon, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{wait_listening(exporter_of(daemon))}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_watcher_that_flaps_and_one_that_hoards_are_told_once_and_once_that_it_is_over(
    circusd: CircusD, hooks: Webhooks, file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    steady = tmp_path / "steady"
    daemon = circusd(hoarding(hooks.url, file) + SHAKY.format(file=steady))
    assert hooks.wait_alerts(1, watcher="shaky") == [FLAPS]
    file.touch()
    assert hooks.wait_alerts(1, watcher="hoard") == [GROWS]
    assert sorted(firing(daemon), key=str) == [("flapping", "shaky", None), ("memory", "hoard", 1)]
    steady.touch()
    file.unlink()
    assert hooks.wait_alerts(2, watcher="shaky") == [FLAPS, STAYS]
    assert hooks.wait_alerts(2, watcher="hoard") == [GROWS, SHRINKS]
    wait_until(lambda: len(records(daemon, "alert.delivered")) == 4)
    assert firing(daemon) == []
    (fired,) = [record for record in records(daemon, "alert.firing") if record["watcher"] == "shaky"]
    (over,) = [record for record in records(daemon, "alert.resolved") if record["watcher"] == "shaky"]
    assert fired["data"]["value"] >= 3
    assert fired["cause"]["kind"] == "record"
    assert over["cause"]["seq"] == fired["seq"]
    assert over["data"]["reason"] == "recovered"
    assert len(hooks.requests) == 4
    told = page(daemon)
    assert told.value("circus_alert_deliveries_total", sink="ops") == 4
    assert told.total("circus_alert_delivery_failures_total", sink="ops") == 0
    assert told.total("circus_alerts_active") == 0


def test_the_last_value_is_told_and_when_an_alert_that_is_only_kept_ends(
    circusd: CircusD, hooks: Webhooks, file: pathlib.Path
) -> None:
    daemon = circusd(HOOK.format(url=hooks.url) + SHAKY.format(file=file).replace("keep = 0", "keep = 1h"))
    hooks.wait_alerts(1)

    def stands() -> tuple[float | None, float | None]:
        (alert,) = daemon.ok("alerts")["alerts"]
        return alert["value"], alert["ends"]

    (fired,) = wait_until(lambda: records(daemon, "alert.firing"))
    wait_until(lambda: stands()[0] != fired["data"]["value"], what=stands)
    assert stands()[1] is None
    file.touch()
    wait_until(lambda: stands()[1] is not None, what=stands)
    assert hooks.alerts() == [FLAPS]
    assert len(records(daemon, "alert.firing")) == 1


def test_what_somebody_wishes_for_is_no_alarm(circusd: CircusD, hooks: Webhooks) -> None:
    rules = "".join(
        f"[alert:{kind}]\n{options}\n"
        for kind, options in (
            ("down", "for = 0"), ("replicas_missing", "for = 0"), ("exit", ""), ("flapping", "above = 0"),
            ("stuck_reload", "above = 1h"), ("hook_failed", ""),
        )
    )  # fmt: skip
    daemon = circusd(HOOK.format(url=hooks.url) + rules + "[watcher:web]\ncmd = sleep 1000\nnumprocesses = 2\n")
    wait_until(lambda: page(daemon).value("circus_up") == 1)
    for command in ("restart", "reload", "stop", "start", "reload"):
        daemon.ok(command, name="web", waiting=True)
    (victim, _) = daemon.wait_pids("web", 2)
    os.kill(victim, signal.SIGSEGV)  # and this is one
    assert hooks.wait_alerts(1, alertname="exit") == [("firing", "exit", "web", None)]
    daemon.ok("stop", name="web", waiting=True)
    assert hooks.wait_alerts(2, alertname="exit")[1:] == [("resolved", "exit", "web", None)]
    names = {name for _, name, *_ in hooks.alerts()}
    assert names <= {"exit", "flapping", "replicas_missing"}  # what a crash is as well, for a moment
    assert firing(daemon) == []


def test_an_alert_survives_an_exporter_that_is_killed(circusd: CircusD, hooks: Webhooks, file: pathlib.Path) -> None:
    daemon = circusd(hoarding(hooks.url, file))
    file.touch()
    hooks.wait_alerts(1)
    wait_until(lambda: records(daemon, "alert.delivered"))
    pid = exporter_of(daemon)
    os.kill(pid, signal.SIGKILL)
    exporter_of(daemon, pid)
    wait_until(lambda: page(daemon).value("circus_alerts_active", severity="warning") == 1)
    assert page(daemon).value("circus_alerts_suppressed_total", reason="dedup") == 1
    file.unlink()
    assert hooks.wait_alerts(2) == [GROWS, SHRINKS]
    wait_until(lambda: not firing(daemon))
    assert len(records(daemon, "alert.firing")) == len(records(daemon, "alert.resolved")) == 1


def test_who_was_not_told_yet_is_told_by_the_next_exporter(
    circusd: CircusD, hooks: Webhooks, file: pathlib.Path
) -> None:
    with reserved_port() as port:
        other = f"[notify:other]\ntype = webhook\nurl = http://127.0.0.1:{port}/\n"
        daemon = circusd(hoarding(hooks.url, file, other))
        file.touch()
        hooks.wait_alerts(1)
        wait_until(lambda: records(daemon, "alert.delivered"))
        pid = exporter_of(daemon)
        os.kill(pid, signal.SIGKILL)
        late = Webhooks(port)
        try:
            assert late.wait_alerts(1) == [GROWS]
            file.unlink()
            assert late.wait_alerts(2) == [GROWS, SHRINKS]
        finally:
            late.stop()
    assert hooks.wait_alerts(2) == [GROWS, SHRINKS]


def test_what_was_over_before_somebody_was_told_is_told_by_the_next_exporter(
    circusd: CircusD, hooks: Webhooks, file: pathlib.Path
) -> None:
    other = Webhooks()
    ini = hoarding(hooks.url, file, f"[notify:other]\ntype = webhook\nurl = {other.url}\n")
    daemon = circusd(ini)
    wait_until(lambda: page(daemon).value("circus_up") == 1)
    daemon.ok("test-alert", alert="memory")
    (test,) = other.wait_alerts(1)
    assert test == ("firing", "memory", None, None)
    hooks.wait_alerts(1)
    other.stop()
    file.touch()
    hooks.wait_alerts(2)
    file.unlink()
    hooks.wait_alerts(3)
    # Of both, and of the test.
    wait_until(lambda: sum(each["data"]["notify"] == "ops" for each in records(daemon, "alert.delivered")) == 3)
    os.kill(exporter_of(daemon), signal.SIGKILL)
    back = Webhooks(other.port)
    try:
        assert back.wait_alerts(2) == [GROWS, SHRINKS]
    finally:
        back.stop()
    assert hooks.alerts()[1:] == [GROWS, SHRINKS]


def test_an_alert_that_is_no_rule_any_more_ends(circusd: CircusD, hooks: Webhooks, file: pathlib.Path) -> None:
    daemon = circusd(hoarding(hooks.url, file, "[alert:down]\n"))
    file.touch()
    hooks.wait_alerts(1)
    wait_until(lambda: records(daemon, "alert.delivered"))
    text = daemon.ini.read_text()
    begin = text.index("[alert:memory]")
    daemon.ini.write_text(text[:begin] + text[text.index("[circus]", begin) :])
    daemon.ok("reloadconfig", waiting=True)
    assert hooks.wait_alerts(2) == [GROWS, SHRINKS]
    wait_until(lambda: not firing(daemon))
    (over,) = records(daemon, "alert.resolved")
    assert over["data"]["reason"] == "removed"


def test_who_was_away_gets_all_of_it_in_order(circusd: CircusD, file: pathlib.Path) -> None:
    away = Webhooks()
    away.stop()
    daemon = circusd(hoarding(away.url, file))
    file.touch()
    wait_until(lambda: firing(daemon))
    wait_until(lambda: daemon.ok("alerts")["alerts"][0]["deliveries"].get("ops", {}).get("next"))
    (ops,) = daemon.ok("alerts")["notifiers"]
    assert (ops["name"], ops["delivered"], ops["failed"], ops["waiting"]) == ("ops", 0, 0, 1)
    assert ops["attempts"] >= 1
    assert str(away.port) in ops["last_error"]
    told = daemon.circusctl("alerts").stdout
    assert "ops retrying" in told
    assert " failed, the next " in told
    file.unlink()
    wait_until(lambda: not firing(daemon))
    wait_until(lambda: page(daemon).value("circus_alert_queue_length", sink="ops") == 2)
    wait_until(lambda: (page(daemon).value("circus_alert_delivery_retries_total", sink="ops") or 0) >= 1)
    status, text = get(daemon, "/-/ready")
    assert status == 200
    assert "Alerts do not reach ops: " in text
    back = Webhooks(away.port)
    try:
        assert back.wait_alerts(2) == [GROWS, SHRINKS]
    finally:
        back.stop()
    wait_until(lambda: page(daemon).value("circus_alert_deliveries_total", sink="ops") == 2)
    assert get(daemon, "/-/ready") == (200, "The exporter is ready.\n")
    wait_until(lambda: daemon.ok("alerts")["notifiers"][0]["delivered"] == 2)
    assert daemon.ok("alerts")["notifiers"][0]["next_time"] is None


def test_who_refuses_is_counted_and_not_asked_again(circusd: CircusD, hooks: Webhooks, file: pathlib.Path) -> None:
    hooks.always = 400
    daemon = circusd(hoarding(hooks.url, file))
    file.touch()
    wait_until(lambda: page(daemon).value("circus_alert_delivery_failures_total", sink="ops", reason="refused") == 1)
    (failed,) = wait_until(lambda: records(daemon, "alert.failed"))
    assert failed["data"]["notify"] == "ops"
    assert failed["data"]["reason"] == "refused"
    assert failed["data"]["attempts"] == 1
    assert "it answers 400" in failed["data"]["error"]
    file.unlink()
    wait_until(lambda: not firing(daemon))
    assert page(daemon).value("circus_alert_queue_length", sink="ops") == 0
    assert len(hooks.requests) == 1


def test_a_silence_keeps_it_back_until_it_is_lifted(circusd: CircusD, hooks: Webhooks, file: pathlib.Path) -> None:
    daemon = circusd(hoarding(hooks.url, file))
    exporter_of(daemon)
    silence = daemon.ok("silence", watcher="hoard", seconds=600)["silence"]["id"]
    wait_until(lambda: page(daemon).value("circus_up") == 1)
    file.touch()
    wait_until(lambda: page(daemon).value("circus_alerts_suppressed_total", reason="silence") == 1)
    assert firing(daemon) == [("memory", "hoard", 1)]
    assert hooks.requests == []
    daemon.ok("unsilence", silence=silence)
    assert hooks.wait_alerts(1) == [GROWS]
    daemon.ok("silence", watcher="hoard", seconds=600)
    file.unlink()
    assert hooks.wait_alerts(2) == [GROWS, SHRINKS]


def test_the_end_of_circusd_is_the_end_of_its_alerts(circusd: CircusD, hooks: Webhooks, file: pathlib.Path) -> None:
    daemon = circusd(hoarding(hooks.url, file))
    file.touch()
    hooks.wait_alerts(1)
    daemon.signal(signal.SIGTERM)
    daemon.wait()
    assert hooks.wait_alerts(2) == [GROWS, SHRINKS]


def test_a_circusd_that_is_killed_is_told_of(circusd: CircusD, hooks: Webhooks, file: pathlib.Path) -> None:
    stale = "[alert:stats_stale]\nabove = 1s\nfor = 0\nseverity = critical\n"
    daemon = circusd(hoarding(hooks.url, file, stale))
    file.touch()
    assert hooks.wait_alerts(1) == [GROWS]
    survivors = daemon.kill()
    try:
        assert hooks.wait_alerts(2)[1:] == [("firing", "stats_stale", None, None)]
    finally:
        for pid in survivors:
            proc.end(pid)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="there are no handles on processes here")
@pytest.mark.parametrize("policy", ["ignore", "kill", "adopt"])
def test_whoever_was_told_before_circusd_was_killed_is_told_by_the_next_one(
    scene: Scene, hooks: Webhooks, file: pathlib.Path, policy: str
) -> None:
    daemon = scene.circusd(hoarding(hooks.url, file).replace("[circus]\n", f"[circus]\norphans = {policy}\n", 1))
    file.touch()
    assert hooks.wait_alerts(1) == [GROWS]
    wait_until(lambda: records(daemon, "alert.delivered"))
    file.unlink()
    scene.kill(daemon)
    daemon.start()
    assert hooks.wait_alerts(2) == [GROWS, SHRINKS]
    wait_until(lambda: page(daemon).value("circus_up") == 1)
    assert firing(daemon) == []
    file.touch()
    assert hooks.wait_alerts(3) == [GROWS, SHRINKS, GROWS]


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="there are no handles on processes here")
def test_what_still_holds_after_circusd_was_killed_is_over_before_it_is_told_again(
    scene: Scene, hooks: Webhooks, file: pathlib.Path
) -> None:
    daemon = scene.circusd(hoarding(hooks.url, file).replace("[circus]\n", "[circus]\norphans = adopt\n", 1))
    file.touch()
    assert hooks.wait_alerts(1) == [GROWS]
    wait_until(lambda: records(daemon, "alert.delivered"))
    for number in (3, 5):
        scene.kill(daemon)
        daemon.start()
        assert hooks.wait_alerts(number) == [GROWS, SHRINKS] * (number // 2) + [GROWS]
        wait_until(lambda: records(daemon, "alert.delivered"))


def test_one_that_cannot_be_told_is_said_at_once_and_the_others_are_told(
    circusd: CircusD, hooks: Webhooks, file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    broken = (
        "[notify:pager]\ntype = python\ncallable = nowhere_at.all\n"
        "[notify:script]\ntype = exec\ncmd = /does/not/exist\n"
        f"[notify:signed]\ntype = webhook\nurl = http://127.0.0.1:9/\nsecret_file = {empty}\nretry_for = 0\n"
    )
    daemon = circusd(hoarding(hooks.url, file, broken))
    for told in (
        "[notify:pager]: the function nowhere_at.all cannot be used: ModuleNotFoundError",
        "[notify:script]: there is no program /does/not/exist that can be executed",
        f"[notify:signed]: the secret file {empty} is empty",
    ):
        wait_until(lambda told=told: told in daemon.log_text(), what=daemon.log_text)
    status, text = get(daemon, "/-/ready")
    assert status == 200
    assert "Alerts do not reach pager: [notify:pager]" in text
    assert "nowhere_at.all" in get(daemon, "/")[1]
    file.touch()
    assert hooks.wait_alerts(1) == [GROWS]
    for name in ("pager", "script", "signed"):
        wait_until(lambda name=name: page(daemon).total("circus_alert_delivery_failures_total", sink=name) == 1)
    assert daemon.ok("status", name="hoard")["status"] == "active"


def test_missing_libraries_of_one_section_leave_the_others_running(
    circusd: CircusD, hooks: Webhooks, file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    hidden = tmp_path / "hidden" / "opentelemetry"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('not installed here')\n")
    otlp = "[exporter:otlp]\nendpoint = http://127.0.0.1:9\n"
    daemon = circusd(hoarding(hooks.url, file, otlp), env={"PYTHONPATH": str(hidden.parent)})
    wait_until(lambda: page(daemon).value("circus_exporter_sections_failed") == 1, what=daemon.log_text)
    assert "[exporter:otlp] needs OpenTelemetry: pip install" in daemon.log_text()
    status, text = get(daemon, "/-/ready")
    assert status == 503
    assert "[exporter:otlp] needs OpenTelemetry" in text
    assert "[exporter:otlp] needs OpenTelemetry" in get(daemon, "/")[1]
    assert page(daemon).value("circus_up") == 1
    file.touch()
    assert hooks.wait_alerts(1) == [GROWS]


def test_a_page_that_cannot_be_served_leaves_alerts(circusd: CircusD, hooks: Webhooks, file: pathlib.Path) -> None:
    ini = hoarding(hooks.url, file).replace("port = 0\n", "host = 192.0.2.1\nport = 9464\n")
    daemon = circusd(ini)
    wait_until(lambda: "cannot listen on 192.0.2.1:9464" in daemon.log_text(), what=daemon.log_text)
    file.touch()
    assert hooks.wait_alerts(1) == [GROWS]
    assert daemon.log_text().count("circus-exporter started") == 1


def test_the_ping_goes_out_as_long_as_circusd_samples(circusd: CircusD, hooks: Webhooks) -> None:
    ini = f"{SOON}[alert:deadman]\nurl = {hooks.url}/ping\ninterval = 0.1\n[watcher:web]\ncmd = sleep 1000\n"
    daemon = circusd(ini)
    wait_until(lambda: len(hooks.requests) >= 3)
    assert {request.path for request in hooks.requests} == {"/ping"}
    daemon.signal(signal.SIGTERM)
    daemon.wait()
    assert [request.method for request in hooks.requests] == ["GET"] * len(hooks.requests)
