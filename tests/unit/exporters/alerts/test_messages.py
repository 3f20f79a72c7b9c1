"""Alerts as others take them."""

from __future__ import annotations

import hashlib
import hmac
import json

from circus_exporters.alerts import messages
from circus_exporters.alerts.engine import Key
from circus_exporters.alerts.messages import Alert, Notice


def alert(wid: int | None = 3, **changes: object) -> Alert:
    labels = {"alertname": "leak", "severity": "critical", "watcher": "web"}
    fields: dict[str, object] = {
        "key": Key("leak", "web", wid), "kind": "memory", "severity": "critical",
        "labels": labels if wid is None else {**labels, "wid": str(wid)},
        "annotations": {"summary": "much memory"}, "since": 1795465307.5,
    }  # fmt: skip
    return Alert(**{**fields, **changes})  # type: ignore[arg-type] # test data


def test_one_alert_is_a_message_of_alertmanagers_webhook() -> None:
    told = messages.webhook([Notice(alert(), "firing")], receiver="ops", instance="host-1")
    labels = {"alertname": "leak", "severity": "critical", "watcher": "web", "wid": "3"}
    assert told == {
        "version": "4",
        "groupKey": "circus:host-1:leak:web:3",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "ops",
        "groupLabels": {"alertname": "leak"},
        "commonLabels": labels,
        "commonAnnotations": {"summary": "much memory"},
        "externalURL": "",
        "alerts": [
            {
                "status": "firing",
                "labels": labels,
                "annotations": {"summary": "much memory"},
                "startsAt": "2026-11-23T20:21:47.500Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "",
                "fingerprint": messages.fingerprint(labels),
            }
        ],
    }


def test_the_end_has_the_same_identity_and_its_time() -> None:
    over = alert(ended=1795465400.0)
    told = messages.webhook([Notice(over, "resolved")], receiver="ops", instance="host-1")
    assert told["status"] == told["alerts"][0]["status"] == "resolved"
    assert told["alerts"][0]["endsAt"] == "2026-11-23T20:23:20.000Z"
    assert told["groupKey"] == "circus:host-1:leak:web:3"
    assert told["alerts"][0]["fingerprint"] == messages.fingerprint(over.labels)


def test_a_beginning_that_waited_beyond_the_end_is_still_told_as_one() -> None:
    told = messages.webhook([Notice(alert(ended=1795465400.0), "firing")], receiver="ops", instance="host-1")
    assert told["alerts"][0]["endsAt"] == "0001-01-01T00:00:00Z"


def test_several_alerts_share_what_they_have_in_common() -> None:
    told = messages.webhook([Notice(alert(1), "firing"), Notice(alert(2), "firing")], receiver="ops", instance="h")
    assert told["commonLabels"] == {"alertname": "leak", "severity": "critical", "watcher": "web"}
    assert [each["labels"]["wid"] for each in told["alerts"]] == ["1", "2"]


def test_an_alert_about_the_daemon_has_neither_watcher_nor_wid() -> None:
    assert messages.group_key("h", Key("stale")) == "circus:h:stale"
    assert messages.group_key("h", Key("down", "web")) == "circus:h:down:web"


def test_fingerprints_do_not_depend_on_order() -> None:
    assert messages.fingerprint({"a": "1", "b": "2"}) == messages.fingerprint({"b": "2", "a": "1"})
    assert messages.fingerprint({"a": "1", "b": "2"}) != messages.fingerprint({"a": "12", "b": ""})


def test_alertmanager_is_told_until_when_and_since_when() -> None:
    over = alert(2, ended=1795465400.0)
    told = messages.alertmanager([Notice(alert(), "firing"), Notice(over, "resolved")], now=1795465410.0, lasting=240.0)
    assert [each["endsAt"] for each in told] == ["2026-11-23T20:27:30.000Z", "2026-11-23T20:23:20.000Z"]
    assert [each["startsAt"] for each in told] == ["2026-11-23T20:21:47.500Z"] * 2


def test_the_signature_is_that_of_the_body() -> None:
    body = messages.encoded({"version": "4"})
    assert json.loads(body) == {"version": "4"}
    expected = hmac.new(b"secret", body, hashlib.sha256).hexdigest()
    assert messages.signature(b"secret", body) == f"sha256={expected}"
