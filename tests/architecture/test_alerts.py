"""Each alert has its tests, its runbook and its sentences, and says only what the catalogue knows."""

from __future__ import annotations

import re

import pytest
import yaml

from dashboards.alerts.model import Alert
from dashboards.alerts.settings import SEVERITIES, Settings
from tests.helpers.daemon import REPOSITORY
from tests.helpers.rules import ALERTS, RECORDS, SERIES, TESTS, group_of

RUNBOOKS = REPOSITORY / "docs/runbooks"
PARTS = ("## Meaning", "## Impact", "## First", "## Causes", "## What helps")
FUNCTIONS = re.compile(r"[a-z_]+(?= ?\()")
LABELS = re.compile(r"\{[^}]*\}|\b(by|on|without|ignoring) \([^)]*\)|\bgroup_left \([^)]*\)|\[[^\]]*\]")
WORDS = {"and", "or", "unless", "offset", "sum", "max"}


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_has_tests_that_see_it_silent_and_firing(alert: str) -> None:
    tests = yaml.safe_load((TESTS / f"{alert}.yml").read_text())["tests"]
    moments = [moment for test in tests for moment in test["alert_rule_test"]]
    assert {moment["alertname"] for moment in moments} == {alert}
    assert any("exp_alerts" in moment for moment in moments)
    assert any("exp_alerts" not in moment for moment in moments)


def test_every_file_of_tests_is_about_an_alert() -> None:
    assert {path.stem for path in TESTS.glob("*.yml")} == set(ALERTS)


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_has_a_runbook(alert: str) -> None:
    page = (RUNBOOKS / f"{alert}.md").read_text()
    assert page.startswith(f"# {alert}\n")
    assert [part for part in PARTS if f"\n{part}\n" not in page] == []
    assert ALERTS[alert].runbook.endswith(f"/{alert}.html")


def test_every_runbook_is_about_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"index"} == set(ALERTS)


@pytest.mark.parametrize("alert", sorted(ALERTS.values(), key=lambda alert: alert.name), ids=lambda alert: alert.name)
def test_an_alert_says_what_people_need(alert: Alert) -> None:
    assert alert.severity in SEVERITIES
    assert "$value" not in alert.summary, "a summary that changes is a new notification each time"
    assert alert.summary.endswith(".")
    assert alert.description.rstrip().endswith(".")
    assert "$labels" in alert.description or alert.name == "SupervisorAbsent"


@pytest.mark.parametrize("rule", [*ALERTS.values(), *RECORDS.values()], ids=lambda rule: rule.name)
def test_an_expression_reads_nothing_but_the_catalogue(rule: Alert) -> None:
    text = LABELS.sub(" ", rule.expr)
    words = set(re.findall(r"[a-z][a-z_:]*[a-z]", text)) - set(FUNCTIONS.findall(text)) - WORDS
    assert words - SERIES - RECORDS.keys() == set()


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_alerts_of_a_kind_stand_together(alert: str) -> None:
    kind = re.findall(r"[A-Z][a-z]+", alert)[0]
    wanted = {"Supervisor": "circus.supervisor", "Watcher": "circus.watchers", "Process": "circus.processes"}[kind]
    assert group_of(alert).name in (wanted, "circus.slo")


def test_every_threshold_has_a_sentence() -> None:
    settings = Settings.load()
    sentences = [why for name in settings.document for _, (_, why) in sorted(settings.section(name).entries().items())]
    assert [sentence for sentence in sentences if not re.fullmatch(r"[A-Z].*\w.*\.", sentence)] == []
