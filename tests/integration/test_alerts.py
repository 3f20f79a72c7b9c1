"""Alerts as the daemon keeps them, asked and told from outside: by the channels, and by circusctl."""

from __future__ import annotations

import json
import os
import pathlib
import pwd
import re
import signal
from typing import Any

import pytest

from tests.conftest import CircusD
from tests.helpers.daemon import Daemon
from tests.helpers.users import SOMEBODY, as_root, ask_as, open_to_others
from tests.helpers.waiting import wait_until

WEB = "[watcher:Web]\ncmd = sleep 1000\nnumprocesses = 2\n\n[watcher:db]\ncmd = sleep 1000\n"
FIRING = {"alert": "leak", "kind": "memory", "severity": "warning", "since": 1.0, "value": 612368384, "threshold": 536870912, "unit": "bytes"}  # fmt: skip


@pytest.fixture
def daemon(circusd: CircusD) -> Daemon:
    return circusd(WEB)


def fire(daemon: Daemon, watcher: str | None = "web", wid: int | None = 1, **data: Any) -> dict[str, Any]:
    return daemon.ok("record", record="alert.firing", watcher=watcher, wid=wid, data=FIRING | data)


def resolve(daemon: Daemon, watcher: str | None = "web", wid: int | None = 1, **data: Any) -> dict[str, Any]:
    full = {"alert": "leak", "reason": "recovered"} | data
    return daemon.ok("record", record="alert.resolved", watcher=watcher, wid=wid, data=full)


def test_an_alert_is_published_kept_and_resolved(daemon: Daemon) -> None:
    with daemon.events("lifecycle.web.alert.") as events:
        seq = fire(daemon)["seq"]
        deliveries = {"notify": "ops", "type": "exec", "count": 1, "alerts": [seq]}
        daemon.ok("record", record="alert.delivered", watcher="web", wid=1, data=deliveries)
        (alert,) = daemon.ok("alerts")["alerts"]
        ended = resolve(daemon)["seq"]
        events.wait_for_topic("lifecycle.web.alert.resolved")
        published = [message.body for message in events.messages]
    assert (alert["alert"], alert["watcher"], alert["wid"], alert["seq"]) == ("leak", "Web", 1, seq)
    assert alert["deliveries"]["ops"]["ok"] is True
    assert [record["record"] for record in published] == ["alert.firing", "alert.delivered", "alert.resolved"]
    assert [record["seq"] for record in published] == [seq, seq + 1, ended]
    assert {record["watcher"] for record in published} == {"Web"}
    assert published[0]["cause"]["kind"] == "command"
    assert published[0]["cause"]["name"] == "record"
    kept = daemon.ok("events", record="alert.")["records"]
    assert kept == published
    assert daemon.ok("alerts")["alerts"] == []
    assert daemon.ok("events", record="command.", watcher="-")["records"] == [], "what it makes is recorded, not itself"


def test_an_alert_of_the_daemon_has_no_watcher(daemon: Daemon) -> None:
    with daemon.events("lifecycle.-.alert.") as events:
        fire(daemon, None, None, alert="stale")
        events.wait_for_topic("lifecycle.-.alert.firing")
    assert daemon.ok("alerts")["alerts"][0]["watcher"] is None


def test_a_cause_leads_back_to_what_happened(daemon: Daemon) -> None:
    with daemon.events("lifecycle.db.process.exited") as events:
        daemon.ok("signal", name="db", signum="kill")
        (exited,) = events.wait_for_topic("lifecycle.db.process.exited")
    daemon.ok("record", record="alert.firing", watcher="db", cause=exited.body["seq"], data=FIRING)
    (firing,) = daemon.ok("events", record="alert.")["records"]
    assert firing["cause"] == {"kind": "record", "seq": exited.body["seq"]}
    assert firing["traceparent"].split("-")[1] == exited.body["traceparent"].split("-")[1]


def test_alerts_outlive_a_restart_and_go_with_their_watcher(daemon: Daemon) -> None:
    fire(daemon)
    fire(daemon, "db")
    daemon.ok("silence", watcher="web", seconds=1000)
    daemon.ok("restart", waiting=True)
    daemon.ok("rm", name="db", waiting=True)
    assert [(alert["watcher"], alert["silence"]) for alert in daemon.ok("alerts")["alerts"]] == [
        ("Web", 1),
        ("db", None),
    ]
    assert daemon.call("record", record="alert.firing", watcher="db", data=FIRING)["reason"] == "program db not found"
    resolve(daemon, "db", reason="gone")
    (gone,) = daemon.ok("events", watcher="db", record="alert.resolved")["records"]
    assert gone["data"]["reason"] == "gone"
    assert [alert["watcher"] for alert in daemon.ok("alerts")["alerts"]] == ["Web"]


def test_a_silence_ends_by_itself(daemon: Daemon) -> None:
    fire(daemon)
    with daemon.events("lifecycle.-.alert.") as events:
        made = daemon.ok("silence", watcher="w*", seconds=0.2, comment="deploy")["silence"]
        (ended,) = events.wait_for_topic("lifecycle.-.alert.unsilenced")
    assert ended.body["data"] == made | {"reason": "expired"}
    assert ended.body["cause"] == {"kind": "timer", "name": "silence"}
    assert ended.body["time"] >= made["until"]
    assert (daemon.ok("alerts")["silences"], daemon.ok("alerts")["alerts"][0]["silence"]) == ([], None)


@pytest.mark.parametrize(
    ("command", "properties", "errno", "reason"),
    [
        ("silence", {"watcher": "web", "until": 1000.0}, 3, "a silence has to end in the future"),
        ("silence", {"watcher": "wbe", "seconds": 5}, 3, "program wbe not found"),
        ("silence", {"watcher": "web"}, 3, "needs either 'seconds' or 'until'"),
        ("silence", {"watcher": "web", "seconds": "5"}, 3, "Expected `float | null`, got `str`"),
        ("unsilence", {"silence": 5}, 3, "there is no silence 5"),
        ("unsilence", {"silence": "5"}, 3, "'silence' isn't the number"),
        ("test-alert", {"alert": "leak"}, 3, "there is no alert leak; there are none in the configuration"),
        ("record", {"record": "process.exited"}, 3, "'record' isn't one of alert.firing"),
        ("record", {"record": "alert.firing", "watcher": "nope", "data": FIRING}, 3, "program nope not found"),
        ("record", {"record": "alert.firing", "watcher": "web", "data": FIRING | {"since": "now"}}, 3, "got `str`"),
        ("record", {"record": "alert.firing", "data": FIRING | {"labels": {"a": "x" * 1_000_000}}}, 3, "at most 16384"),
    ],
)
def test_what_is_wrong_is_told_and_changes_nothing(
    daemon: Daemon, command: str, properties: dict[str, Any], errno: int, reason: str
) -> None:
    reply = daemon.call(command, **properties)
    assert (reply["status"], reply["errno"]) == ("error", errno)
    assert reason in reply["reason"]
    told = daemon.ok("alerts")
    assert (told["alerts"], told["silences"], daemon.ok("events", record="alert.")["records"]) == ([], [], [])


def test_twenty_thousand_alerts_are_kept_as_far_as_there_is_room(daemon: Daemon) -> None:
    refused, reasons = 0, set()
    with daemon.caller() as caller:
        for first in range(0, 20_000, 500):  # no more at once than a socket takes
            for number in range(first, first + 500):
                data = FIRING | {"alert": f"rule-{number}"}
                caller.send("record", record="alert.firing", watcher="web", wid=1, data=data)
            for _ in range(500):
                reply = caller.receive()
                if reply["status"] == "error":
                    refused += 1
                    reasons.add((reply["errno"], re.sub(r"rule-\d+", "RULE", reply["reason"])))
    assert (refused, reasons) == (10_000, {(5, "10000 alerts fire, and there is no room for RULE of Web")})
    told = daemon.ok("alerts")
    assert (len(told["alerts"]), told["refused"]) == (10_000, 10_000)
    assert daemon.ok("telemetry")["alerts"]["active"] == {"critical": 0, "warning": 10_000, "info": 0}
    assert daemon.log_text().count("no room") < 20, "the log is not flooded"
    made = daemon.ok("silence", watcher="web", seconds=1000)["silence"]["id"]
    assert daemon.ok("telemetry")["alerts"]["silenced"] == 10_000
    daemon.ok("unsilence", silence=made)
    printed = daemon.circusctl("alerts")
    assert printed.returncode == 0
    assert len(printed.stdout.splitlines()) == 10_003
    resolve(daemon, alert="rule-0")
    fire(daemon, alert="one-more")


def test_circusctl_lists_silences_and_lifts(daemon: Daemon) -> None:
    assert daemon.circusctl("alerts").stdout == "nothing fires, and no alert is configured\n"
    fire(daemon)
    fire(daemon, "db", alert="gone", severity="critical", value=None, threshold=None, unit=None)
    made = daemon.circusctl("silence", "web:1", "--for", "1h", "--comment", "deploy", "--author", "me")
    assert made.stdout == "silence 1: web:1, for another 1h (by me: deploy)\n"
    lines = daemon.circusctl("alerts").stdout.splitlines()
    assert [re.split(r"  +", line)[:3] for line in lines[:3]] == [
        ["SEVERITY", "ALERT", "WHERE"], ["critical", "gone", "db:1"], ["warning", "leak", "Web:1"],
    ]  # fmt: skip
    assert re.fullmatch(r"warning   leak   Web:1  \d+s +584MiB  512MiB  silence 1", lines[2])
    assert lines[-1].startswith("silence 1: web:1, for another ")
    told = json.loads(daemon.circusctl("--json", "alerts").stdout)
    assert [alert["alert"] for alert in told["alerts"]] == ["leak", "gone"]
    assert daemon.circusctl("unsilence", "1").stdout == "ok\n"
    assert daemon.ok("alerts")["silences"] == []
    made = daemon.circusctl("silence", "web", "--for", "1h")
    assert made.stdout == f"silence 2: web, for another 1h (by {pwd.getpwuid(os.geteuid()).pw_name})\n"
    assert daemon.ok("alerts")["silences"][0]["author"].startswith(f"uid:{os.geteuid()},gid:")


def test_circusctl_says_what_is_wrong(daemon: Daemon) -> None:
    for words, status, told in (
        (("silence", "wbe"), 3, "error: program wbe not found\n"),
        (("silence", "web", "--for", "soon"), 1, "--for takes a duration such as 30s, 5m or 1h30m, not 'soon'\n"),
        (("silence", "web", "--for", "0"), 3, "error: a silence has to end in the future, and not 0 seconds ago\n"),
        (("silence",), 1, "Invalid number of arguments\nusage: circusctl silence NAME[:WID] [--for DURATION]"),
        (("unsilence", "x"), 1, "error: expected a whole number, not 'x'\nusage: circusctl unsilence SILENCE\n"),
        (("unsilence", "7"), 3, "error: there is no silence 7\n"),
        (("test-alert", "leak"), 3, "error: there is no alert leak; there are none in the configuration\n"),
        (("record", "alert.firing", "--data", "{"), 1, "--data takes a JSON object"),
        (("record", "alert.firing", "--data", "[]"), 3, "error: message invalid: Expected `object`, got `array`"),
    ):
        done = daemon.circusctl(*words)
        assert (done.returncode, done.stdout) == (status, ""), words
        assert done.stderr.startswith(told), words


def test_an_alert_can_be_recorded_from_a_script(daemon: Daemon) -> None:
    done = daemon.circusctl("record", "alert.firing", "web", "1", "--data", json.dumps(FIRING))
    assert done.stdout == f"record {daemon.ok('alerts')['alerts'][0]['seq']}\n"
    ended = json.dumps({"alert": "leak", "reason": "recovered"})
    assert daemon.circusctl("record", "alert.resolved", "web", "1", "--data", ended).stdout.startswith("record ")
    assert daemon.circusctl("record", "alert.resolved", "web", "1", "--data", ended).stdout == "ok\n"


# What the configuration says.

ALERTS = "[alert:down]\nwatchers = web\nfor = 1h\n\n[notify:ops]\ntype = exec\ncmd = cat\n"


def exporter(daemon: Daemon) -> list[int]:
    statuses = daemon.ok("status")["statuses"]
    return daemon.pids("circus-exporter") if "circus-exporter" in statuses else []


def test_alerts_start_the_exporter_and_a_change_of_them_replaces_it(circusd: CircusD) -> None:
    daemon = circusd(WEB)
    assert exporter(daemon) == []
    written = daemon.ini.read_text()
    daemon.ini.write_text(f"{written}\n{ALERTS}")
    plan = daemon.circusctl("plan").stdout.splitlines()
    assert plan == ["+ alert:down", "+ notify:ops"]
    daemon.ok("reloadconfig", waiting=True)
    (first,) = exporter(daemon)
    daemon.ini.write_text(f"{written}\n{ALERTS}".replace("for = 1h", "for = 2h"))
    plan = daemon.circusctl("plan").stdout.splitlines()
    assert plan == ["~ alert:down (reload)", "    for: 1h -> 2h"]
    daemon.ok("reloadconfig", waiting=True)
    (second,) = exporter(daemon)
    assert first != second
    assert daemon.circusctl("plan").stdout == "nothing would change\n"
    fire(daemon, alert="down")
    daemon.ini.write_text(written)
    daemon.ok("reloadconfig", waiting=True)
    assert exporter(daemon) == []
    assert daemon.ok("alerts")["alerts"] == [], "nobody else would resolve them"
    assert daemon.ok("events", record="alert.resolved")["records"][-1]["data"]["reason"] == "removed"


def test_secrets_of_a_notifier_are_told_to_nobody(circusd: CircusD) -> None:
    daemon = circusd(f"{WEB}{ALERTS}")
    written = daemon.ini.read_text()
    daemon.ini.write_text(
        f"{written}\n[notify:hook]\ntype = webhook\nurl = https://u:pa55@h/t0ken\nsecret = hunter2\nheaders.X-Key = hunter3\n"
    )
    with daemon.events("") as events:
        plan = daemon.circusctl("--json", "plan").stdout
        daemon.ok("reloadconfig", waiting=True)
        events.wait_for_topic("lifecycle.-.config.applied")
        seen = json.dumps([message.body for message in events.messages])
    written = daemon.ini.read_text()
    daemon.ini.write_text(written.replace("t0ken", "0ther").replace("hunter", "killer"))
    changed = daemon.circusctl("--json", "plan").stdout
    told = [
        plan,
        changed,
        seen,
        json.dumps(daemon.ok("options", name="circus-exporter")),
        json.dumps(daemon.ok("events")),
    ]
    told.append(json.dumps(daemon.ok("telemetry")))
    for secret in ("pa55", "t0ken", "hunter2", "hunter3", "killer"):
        assert all(secret not in text for text in told), secret
    assert '"***"' in changed


def test_a_mistake_leaves_out_one_section_at_the_start_and_refuses_a_reload(circusd: CircusD) -> None:
    daemon = circusd(f"{WEB}{ALERTS}\n[alert:bad]\nkind = cpu\nabove = much\n")
    assert "above = 'much': expected a share such as 90%" in daemon.log_text()
    assert daemon.ok("telemetry")["config"]["ok"] is False
    assert daemon.call("test-alert", alert="bad")["reason"] == "there is no alert bad; there are down"
    written = daemon.ini.read_text()
    daemon.ini.write_text(f"{written}\n[alert:worse]\nkind = cpu\nnotify = nobody\n")
    reply = daemon.call("reloadconfig", waiting=True)
    assert "[alert:worse] notify = 'nobody': there is no [notify:nobody]" in reply["reason"]


def test_a_test_waits_for_its_deliveries(circusd: CircusD) -> None:
    """With deliveries that the test tells itself, as an exporter would."""
    daemon = circusd(f"{WEB}{ALERTS}")
    with daemon.events("lifecycle.-.alert.test") as events, daemon.caller() as caller:
        done = daemon.circusctl("test-alert", "down", "--wait", "0")
        assert (done.returncode, done.stdout) == (0, "told to ops\n")
        (message,) = events.wait_for_topic("lifecycle.-.alert.test")
        seq = message.body["seq"]
        delivery = {"notify": "ops", "type": "exec", "count": 1, "alerts": [seq]}
        assert caller.call("record", record="alert.delivered", data=delivery)["status"] == "ok"
    assert message.body["data"] == {"alert": "down", "notify": ["ops"]}
    assert daemon.ok("alerts")["alerts"] == []


# With the exporter.

TOLD = "[notify:ops]\ntype = exec\ncmd = sh -c 'echo \"$(cat)\" >> {file}'\n"


def told(file: pathlib.Path) -> list[tuple[str, str, str]]:
    """(status, alert, summary) of all that a notifier was told."""
    documents = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [
        (alert["status"], alert["labels"]["alertname"], alert["annotations"]["summary"])
        for document in documents
        for alert in document["alerts"]
    ]


def test_an_alert_from_a_script_is_told_like_others_and_left_alone(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "told"
    daemon = circusd(f"{WEB}[alert:down]\nfor = 1h\n{TOLD.format(file=file)}")
    backup = {"alert": "backup", "kind": "cron", "severity": "critical", "since": 1.0}
    disk = backup | {"alert": "disk", "annotations": {"summary": "a full disk"}}

    def ready() -> bool:
        return bool(daemon.call("test-alert", alert="down")) and bool(told(file))

    wait_until(ready, pause=0.5)
    daemon.ok("record", record="alert.firing", data=backup)
    daemon.ok("record", record="alert.firing", watcher="web", wid=1, data=disk)
    wait_until(lambda: ("firing", "disk", "a full disk") in told(file))
    assert [each for each in told(file) if each[1] == "backup"] == [("firing", "backup", "backup")]
    wait_until(
        lambda: all(alert["deliveries"]["ops"]["ok"] for alert in daemon.ok("alerts")["alerts"] if alert["deliveries"])
    )
    (pid,) = daemon.pids("circus-exporter")
    daemon.ok("kill", name="circus-exporter", signum="kill", waiting=True)
    daemon.wait_pids("circus-exporter", 1, without=[pid])
    before = len(told(file))
    wait_until(lambda: bool(daemon.call("test-alert", alert="down")) and len(told(file)) > before, pause=0.5)
    assert [alert["alert"] for alert in daemon.ok("alerts")["alerts"]] == ["backup", "disk"]
    daemon.ok("record", record="alert.resolved", data={"alert": "backup", "reason": "recovered"})
    wait_until(lambda: ("resolved", "backup", "backup") in told(file))
    assert sum(each[:2] == ("firing", "disk") for each in told(file)) == 1
    daemon.signal(signal.SIGTERM)
    daemon.wait()
    assert ("resolved", "disk", "a full disk") in told(file), "it ends with circusd, as the others do"


# Roles.


@as_root
@pytest.mark.parametrize(
    ("role", "allowed"),
    [("read", {"alerts"}), ("operate", {"alerts", "record", "silence", "unsilence", "test-alert"})],
)
def test_who_may_do_what(circusd: CircusD, role: str, allowed: set[str]) -> None:
    access = f"[access:x]\nrole = {role}\nuid = {SOMEBODY}\n"
    daemon = open_to_others(circusd(f"{WEB}{access}", options={"endpoint_mode": "0666"}))
    asked = {
        "alerts": {},
        "record": {"record": "alert.firing", "watcher": "web", "data": FIRING},
        "silence": {"seconds": 5},
        "unsilence": {"silence": 99},
        "test-alert": {"alert": "leak"},
    }
    may = {command for command, props in asked.items() if ask_as(daemon.endpoint, command, **props).get("errno") != 7}
    assert may == allowed
