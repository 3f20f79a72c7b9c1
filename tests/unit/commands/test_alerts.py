"""The commands about alerts: their requests, and how their answers are printed."""

from __future__ import annotations

import pytest

from circus.commands import get_commands
from circus.commands.delivery_text import outcome_text, outcomes, span
from circus.exc import ArgumentError, MessageError

COMMANDS = get_commands()


class Alerting:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def told(self, properties):
        self.asked.append(properties)

    silence = unsilence = test = told


class Arbiter:
    def __init__(self) -> None:
        self.alerting = Alerting()


def message(command: str, *args: str, **options):
    defaults = {long: default for _, long, default, _ in COMMANDS[command].options}
    return COMMANDS[command].message(*args, **(defaults | options))["properties"]


def printed(command: str, **reply) -> str:
    return COMMANDS[command].console_msg({"status": "ok", "time": 1000.0, **reply})


def alert(**given):
    return {
        "alert": "leak", "kind": "memory", "watcher": "web", "wid": 3, "severity": "warning", "since": 900.0,
        "fired": 935.0, "seq": 9, "value": 612368384.0, "threshold": 536870912.0, "unit": "bytes", "labels": {},
        "annotations": {}, "deliveries": {}, "silence": None,
    } | given  # fmt: skip


def silence(**given):
    return {
        "id": 3, "alert": "*", "watcher": "web", "wid": None, "since": 900.0, "until": 4600.0, "author": "me",
        "comment": "",
    } | given  # fmt: skip


def alerts(**given) -> str:
    return printed(
        "alerts",
        **({"alerts": [], "silences": [], "notifiers": [], "refused": 0, "configured": ["leak", "old"]} | given),
    )


def test_requests_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "me")
    assert message("alerts") == {}
    assert message("silence", "web") == {
        "watcher": "web",
        "seconds": 3600.0,
        "alert": "*",
        "comment": "",
        "author": "me",
    }
    assert message("silence", "web:3", **{"for": "1h30m", "alert": "leak", "comment": "x", "author": "you"}) == {
        "watcher": "web", "wid": 3, "seconds": 5400.0, "alert": "leak", "comment": "x", "author": "you",
    }  # fmt: skip
    assert message("unsilence", "3") == {"silence": 3}
    assert message("test-alert", "leak") == {"alert": "leak"}
    assert message("record", "alert.firing", "web", "3", data='{"alert": "x"}', cause="7") == {
        "record": "alert.firing", "watcher": "web", "wid": 3, "data": {"alert": "x"}, "cause": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("command", "args", "options"),
    [
        ("alerts", ["x"], {}),
        ("silence", [], {}),
        ("silence", ["web"], {"for": "soon"}),
        ("silence", ["web"], {"for": "9" * 400}),
        ("unsilence", [], {}),
        ("test-alert", [], {}),
        ("record", [], {}),
        ("record", ["alert.firing"], {"data": "{"}),
    ],
)
def test_a_command_line_that_makes_no_sense(command: str, args: list[str], options: dict[str, str]) -> None:
    with pytest.raises(ArgumentError):
        message(command, *args, **options)


def test_what_the_daemon_is_asked() -> None:
    arbiter = Arbiter()
    for command, props in (
        ("record", {"record": "alert.firing", "waiting": True}),
        ("silence", {"watcher": "web", "seconds": 5, "waiting": False}),
        ("unsilence", {"silence": 3}),
        ("test-alert", {"alert": "leak"}),
    ):
        COMMANDS[command].validate(props)
        COMMANDS[command].execute(arbiter, props)
    assert arbiter.alerting.asked == [{"record": "alert.firing"}, {"watcher": "web", "seconds": 5}, 3, "leak"]


@pytest.mark.parametrize(
    ("command", "props"),
    [("unsilence", {"silence": "3"}), ("unsilence", {"silence": True}), ("test-alert", {"alert": 3}), ("record", {}),
     ("unsilence", {}), ("test-alert", {})],
)  # fmt: skip
def test_requests_of_another_shape(command: str, props: dict[str, object]) -> None:
    def ask() -> None:
        COMMANDS[command].validate(props)
        COMMANDS[command].execute(Arbiter(), props)

    with pytest.raises(MessageError):
        ask()


def test_what_fires_is_a_table_with_the_worst_first() -> None:
    found = alerts(
        alerts=[
            alert(deliveries={"ops": {"ok": True}, "pager": {"ok": False}, "chat": {"ok": False, "next": 1003.0}}),
            alert(alert="old", watcher=None, wid=None, value=None, threshold=None, unit=None, severity="critical"),
            alert(alert="calm", severity="info", value=0.5, threshold=90.0, unit="percent", wid=None, silence=3),
        ]
    )
    assert found.splitlines() == [
        "SEVERITY  ALERT  WHERE    FOR    VALUE   LIMIT   TOLD",
        "critical  old    circusd  1m 5s  -       -       -",
        "warning   leak   web:3    1m 5s  584MiB  512MiB  ops ok, pager failed, chat retrying",
        "info      calm   web      1m 5s  0.5%    90%     silence 3",
    ]


def test_an_alert_that_is_only_kept_says_when_it_ends() -> None:
    found = alerts(alerts=[alert(ends=1200.0), alert(alert="calm")])
    (head, kept, calm) = found.splitlines()
    at = head.index("ENDS")
    assert head[at:].split() == ["ENDS", "TOLD"]
    assert kept[at:].startswith("in 3m 20s unless it comes again  ")
    assert calm[at:].startswith("-  ")


def test_nothing_fires() -> None:
    assert alerts() == "nothing fires of leak, old"
    assert alerts(configured=[]) == "nothing fires, and no alert is configured"


def test_silences_and_notifiers_in_trouble_are_told() -> None:
    notifiers = [
        {"name": "ops", "type": "exec", "delivered": 3, "failed": 0, "waiting": 0, "last_time": 990.0, "last_error": None},
        {"name": "pager", "type": "webhook", "delivered": 3, "failed": 2, "waiting": 7, "last_time": 990.0, "last_error": "HTTP 500"},
    ]  # fmt: skip
    found = alerts(
        silences=[
            silence(comment="de\x1bploy"),
            silence(id=4, watcher="*", wid=2, alert="leak", author="uid:0,gid:0,pid:7", user="root"),
        ],
        notifiers=notifiers,
        refused=2,
    )
    assert found.splitlines() == [
        "nothing fires of leak, old",
        "",
        "silence 3: web, for another 1h (by me: de ploy)",
        "silence 4: all watchers:2, alert leak, for another 1h (by root)",
        "",
        "notifier pager (webhook): 3 delivered, 2 given up, 7 wait; the last error: HTTP 500 (10s ago)",
        "",
        "2 alerts were refused, because there was no room for them",
    ]


@pytest.mark.parametrize(
    ("attempts", "following", "text"),
    [(1, 1008.0, "1 attempt failed, the next in 8s"), (3, 1000.2, "3 attempts failed, the next is due"),
     (3, 900.0, "3 attempts failed, the next is due")],
)  # fmt: skip
def test_who_is_being_tried_is_told_with_the_next_attempt(attempts: int, following: float, text: str) -> None:
    notifier = {
        "name": "ops", "type": "webhook", "delivered": 0, "failed": 0, "waiting": 0, "last_time": 998.0,
        "last_error": "it answers 503", "attempts": attempts, "next_time": following,
    }  # fmt: skip
    told = alerts(notifiers=[notifier]).splitlines()[-1]
    assert told == f"notifier ops (webhook): 0 delivered; {text}; the last error: it answers 503 (2s ago)"


def test_other_answers() -> None:
    assert printed("silence", silence=silence()) == "silence 3: web, for another 1h (by me)"
    assert printed("unsilence") == "ok"
    assert printed("record", seq=7) == "record 7"
    assert printed("record", seq=None) == "ok"
    assert printed("test-alert", notify=["ops", "pager"]) == "told to ops, pager"
    assert printed("test-alert", notify=[]) == "there is nobody to be told of it"
    for command in ("alerts", "silence", "unsilence", "record", "test-alert"):
        assert COMMANDS[command].console_msg({"status": "error", "reason": "no"}) == "error: no"


def test_what_became_of_a_test() -> None:
    def told(record: str, notify: str, *seqs: int, **data: str):
        return {
            "record": record,
            "data": {"notify": notify, "alerts": list(seqs), "error": None, "reason": None, **data},
        }

    records = [
        {"record": "alert.test", "data": {}},
        told("alert.delivered", "ops", 7),
        told("alert.failed", "pager", 6, 7, error="HTTP 500"),
        told("alert.delivered", "other", 8),
    ]
    found = outcomes(records, 7)
    assert [outcome_text(name, found.get(name)) for name in ("ops", "pager", "other")] == [
        "ops: delivered", "pager: failed: HTTP 500", "other: not delivered so far",
    ]  # fmt: skip


def test_a_duration_to_a_glance() -> None:
    assert [span(each) for each in (-5, 0, 59.6, 3600, 90061, 86400)] == ["0s", "0s", "1m", "1h", "1d 1h", "1d"]
