"""Thresholds: what is read, what is refused, and that a build uses all of it."""

from __future__ import annotations

import pathlib

import pytest

from dashboards.alerts import files, groups
from dashboards.alerts.__main__ import main
from dashboards.alerts.model import Alert
from dashboards.alerts.settings import DEFAULT, Settings, WrongSetting, duration, seconds

SETTINGS = Settings.load()


def alerts(settings: Settings) -> dict[str, Alert]:
    return {rule.name: rule for group in groups(settings) for rule in group.rules if isinstance(rule, Alert)}


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172800), ("250ms", 0.25)]
)
def test_durations_as_prometheus_writes_them(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5", "5 m", "m", "5m-", "1.5h", "5minutes"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        seconds(text)


@pytest.mark.parametrize("text", ["1s", "15s", "90s", "1m", "1h", "36h", "1w", "250ms", "1500ms"])
def test_a_duration_goes_both_ways(text: str) -> None:
    assert seconds(duration(seconds(text))) == seconds(text)


def test_a_changed_threshold_reaches_the_rule() -> None:
    changed = SETTINGS.changed(WatcherReloadStuck={"above": "1h"}, WatcherDown={"for": "7m", "severity": "info"})
    made = alerts(changed)
    assert made["WatcherReloadStuck"].expr.endswith("> 3600")
    assert (made["WatcherDown"].after, made["WatcherDown"].severity) == ("7m", "info")
    assert "for 7m" in made["WatcherDown"].description


def test_faster_divides_every_duration_and_nothing_else() -> None:
    fast = alerts(SETTINGS.faster(60))
    assert fast["WatcherFlapping"].after == "10s"
    assert "[5s]" in fast["WatcherFlapping"].expr
    assert fast["WatcherReloadStuck"].expr.endswith("> 10")
    assert fast["ProcessCPUHog"].expr == alerts(SETTINGS)["ProcessCPUHog"].expr


def test_budgets_of_named_watchers_come_before_the_one_of_all() -> None:
    text = files(SETTINGS.changed(RestartBudget={"watchers": {"web": 1, "batch-.*": 50}}))["prometheus/circus-slo.yml"]
    budgets = [line.strip() for line in text.splitlines() if "* circus_watcher_processes_desired" in line]
    assert budgets == [
        '0 * circus_watcher_processes_desired{watcher=~"web"} + 1',
        '0 * circus_watcher_processes_desired{watcher=~"batch-.*"} + 50',
        "0 * circus_watcher_processes_desired + 5",
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"WatcherDown": {"for": "soon"}}, "WatcherDown.for: 'soon' is no duration"),
        ({"WatcherDown": {"severity": "urgent"}}, "expected one of critical, warning, info, not 'urgent'"),
        ({"ProcessCPUHog": {"above": "much"}}, "ProcessCPUHog.above: expected a number, not 'much'"),
        ({"ProcessCPUHog": {"above": True}}, "ProcessCPUHog.above: expected a number, not True"),
        ({"RestartBudget": {"watchers": [1]}}, "expected names with a number each"),
        ({"rules": {"targets": 5}}, "rules.targets: expected a text, not 5"),
    ],
)
def test_a_wrong_value_is_told_with_its_place(change: dict[str, dict[str, object]], told: str) -> None:
    with pytest.raises(WrongSetting, match=told.replace("(", r"\(")):
        groups(SETTINGS.changed(**change))


def test_a_missing_threshold_is_told() -> None:
    rest = {key: entry for key, entry in SETTINGS.document["WatcherDown"].items() if key != "for"}
    told = r"WatcherDown\.for: expected a value and a sentence that says why, not None"
    with pytest.raises(WrongSetting, match=told):
        groups(Settings({**SETTINGS.document, "WatcherDown": rest}))


def test_a_threshold_without_a_sentence_is_told() -> None:
    document = {**SETTINGS.document, "WatcherDown": {**SETTINGS.document["WatcherDown"], "for": "1m"}}
    with pytest.raises(WrongSetting, match=r"WatcherDown\.for: expected a value and a sentence"):
        groups(Settings(document))


def test_a_missing_section_is_told() -> None:
    document = {name: entries for name, entries in SETTINGS.document.items() if name != "SLO"}
    with pytest.raises(WrongSetting, match="SLO: expected a section of that name"):
        groups(Settings(document))


def test_a_misspelt_threshold_is_an_error_and_not_a_default() -> None:
    document = {**SETTINGS.document, "WatcherDown": {**SETTINGS.document["WatcherDown"], "fro": ["5m", "Why."]}}
    with pytest.raises(WrongSetting, match=r"there is no such threshold: WatcherDown\.fro"):
        groups(Settings(document))


def test_what_is_no_file_of_thresholds() -> None:
    with pytest.raises(WrongSetting, match="expected a section"):
        Settings(["rules"])  # type: ignore[arg-type]


def test_the_command_makes_rules_with_thresholds_of_ones_own(tmp_path: pathlib.Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(DEFAULT.read_text().replace("for: [1m, ", "for: [3m, "))
    assert main(["--config", str(mine), "--to", str(tmp_path / "rules")]) == 0
    assert "for: 3m" in (tmp_path / "rules" / "circus-watchers.yml").read_text()


def test_the_command_writes_nothing_of_what_it_cannot_make(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(DEFAULT.read_text().replace("for: [1m, ", "for: [later, "))
    assert main(["--config", str(mine), "--to", str(tmp_path / "rules")]) == 1
    assert "is no duration" in capsys.readouterr().err
    assert not (tmp_path / "rules").exists()
    mine.write_text("rules: [")
    assert main(["--config", str(mine), "--to", str(tmp_path / "rules")]) == 1
    assert str(mine) in capsys.readouterr().err
