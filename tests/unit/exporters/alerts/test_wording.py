"""What is said of alerts: texts, labels, numbers."""

from __future__ import annotations

import math

import pytest

from circus.spec.alert_fields import ALERT_KINDS
from circus.spec.alerts import AlertSpec, read_alerts
from circus_exporters.alerts import described, wording
from circus_exporters.alerts.conditions import Seen
from circus_exporters.alerts.engine import Key
from circus_exporters.alerts.evaluation import Change


def rule(kind: str, **options: str) -> AlertSpec:
    rules, _, mistakes = read_alerts({"rule": {"kind": kind, **options}}, {})
    assert not mistakes
    return rules[0]


@pytest.mark.parametrize("kind", [kind for kind in ALERT_KINDS if kind != "deadman"])
def test_each_kind_has_words(kind: str) -> None:
    told = wording.texts(rule(kind), Key("rule", "web", 3), 12.0, 10.0)
    assert set(told) == {"summary", "description"}
    assert all(text and "{" not in text for text in told.values())


def test_numbers_have_their_unit() -> None:
    told = wording.texts(rule("memory", above="512MiB"), Key("rule", "web", 3), 600.0 * (1 << 20), 512.0 * (1 << 20))
    assert told == {
        "summary": "process 3 of web needs much memory",
        "description": "600MiB (rss), more than 512MiB.",
    }


def test_a_watcher_that_was_given_up_is_told_in_words() -> None:
    told = wording.texts(rule("flapping"), Key("rule", "web"), math.inf, 3.0)
    assert told["description"] == "It was given up: no attempt to start it is made any more."


def test_texts_of_the_section_come_first_and_are_filled_in() -> None:
    options = {
        "annotations.summary": "{watcher}/{wid}: {value} > {threshold}",
        "annotations.runbook": "https://x/{alert}",
    }
    told = wording.texts(rule("cpu", **options), Key("rule", "web", 3), 93.25, 90.0)
    assert told["summary"] == "web/3: 93.2% > 90%"
    assert told["runbook"] == "https://x/rule"


def test_labels_of_rule_and_watcher_are_there_and_ours_are_never_overwritten() -> None:
    seen = Seen("high", math.inf, 3.0)
    change = Change(key=Key("rule", "web"), rule=rule("flapping", **{"labels.team": "ops"}), turn="firing", at=1.0,
                    since=0.0, seen=seen)  # fmt: skip
    alert = described.alert(change, {"team": "web", "cost-center": "7", "kind": "mine"}, "host-1", 1795465307.0)
    assert alert.labels == {
        "alertname": "rule", "kind": "flapping", "severity": "warning", "instance": "host-1", "watcher": "web",
        "team": "ops", "cost_center": "7",
    }  # fmt: skip
    assert alert.value is None
    assert alert.threshold == 3.0
    assert alert.unit == "count"
