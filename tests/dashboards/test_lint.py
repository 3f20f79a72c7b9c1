"""The rules find nothing in what is shipped, and each finds what it is there for."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from circus.commands import get_commands
from circus_exporters import catalogue
from dashboards import build, grafana
from dashboards.grafana import deploys, foreign, limits, lint, queries, states
from dashboards.grafana.promql import Scope, select
from tests.dashboards.shipped import DASHBOARDS

Json = dict[str, Any]
# What no panel shows, each with the reason.
UNDRAWN = {"circus_zmq_send_hwm": "a setting: what it does shows as messages dropped"}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_nothing_is_wrong_with_what_is_shipped(name: str) -> None:
    assert lint.problems(DASHBOARDS[name]) == []
    assert DASHBOARDS[name]["uid"] == name


def test_all_five_are_shipped() -> None:
    assert set(DASHBOARDS) == set(lint.UIDS)


def find(dashboard: Json, title: str) -> Json:
    return next(panel for panel in lint.panels(dashboard) if panel["title"] == title)


def ask(dashboard: Json, title: str, expression: str) -> None:
    find(dashboard, title)["targets"][0]["expr"] = expression


def variable(dashboard: Json, name: str) -> Json:
    return next(each for each in dashboard["templating"]["list"] if each["name"] == name)


def without(dashboard: Json, *names: str) -> None:
    for name in names:
        del dashboard[name]


def link_of(dashboard: Json, title: str) -> Json:
    overrides = find(dashboard, title)["fieldConfig"]["overrides"]
    return next(each["value"][0] for told in overrides for each in told["properties"] if each["id"] == "links")


ALL = 'job=~"$job", instance=~"$instance", watcher=~"$watcher"'
LIFETIME = "circus_watcher_process_lifetime_seconds_bucket"
# Each rule, and changes to the dashboard of watchers that it has to find.
PLANTED: list[tuple[str, Callable[[Json], object]]] = [
    ("identity", lambda d: d.update(uid="mine")),
    ("identity", lambda d: d.update(id=12)),
    ("identity", lambda d: d.update(__inputs=[])),
    ("conventions", lambda d: d.update(editable=True)),
    ("conventions", lambda d: d.update(tags=[])),
    ("conventions", lambda d: without(d, "description")),
    ("variables", lambda d: d["templating"]["list"].pop(0)),
    ("variables", lambda d: d["templating"]["list"].pop(1)),
    ("variables", lambda d: variable(d, "watcher").update(allValue=".*")),
    ("variables", lambda d: variable(d, "watcher").update(refresh=1)),
    ("variables", lambda d: variable(d, "instance")["query"].update(query="label_values(circus_up, instance)")),
    ("source", lambda d: find(d, "State").update(datasource={"type": "prometheus", "uid": "P1809F7CD0C75ACF3"})),
    ("source", lambda d: find(d, "State")["targets"][0].pop("datasource")),
    ("source", lambda d: variable(d, "job").pop("datasource")),
    ("source", lambda d: d["annotations"]["list"][0].pop("datasource")),
    ("told", lambda d: find(d, "State").update(description="State")),
    ("told", lambda d: find(d, "State").pop("description")),
    ("told", lambda d: find(d, "State").update(title="")),
    ("units", lambda d: find(d, "Storage")["fieldConfig"]["defaults"].pop("unit")),
    ("asks", lambda d: find(d, "State").update(targets=[])),
    ("asks", lambda d: find(d, "Storage")["targets"][1].update(refId="A")),
    ("promql", lambda d: ask(d, "Missing", "sum(circus_watcher_processes_ready{")),
    ("promql", lambda d: ask(d, "Missing", f"sum(increase(circus_watcher_restarts_total{{{ALL}}}[$__interval]))")),
    ("promql", lambda d: ask(d, "Missing", f"sum without (wid) (circus_watcher_processes_ready{{{ALL}}})")),
    ("catalogue", lambda d: ask(d, "Missing", f"sum(circus_watcher_procs{{{ALL}}})")),
    ("catalogue", lambda d: ask(d, "Missing", f'sum(circus_watcher_state{{{ALL}, status="fatal"}})')),
    ("catalogue", lambda d: ask(d, "Missing", f'sum(circus_watcher_state{{{ALL}, state="failed"}})')),
    ("catalogue", lambda d: ask(d, "Missing", f'sum(circus_watcher_state{{{ALL}, state=~"fatal|gone"}})')),
    ("catalogue", lambda d: d["annotations"]["list"][0]["target"].update(expr=f"circus_crash{{{ALL}}}")),
    ("matchers", lambda d: ask(d, "Missing", "sum(circus_watcher_processes_ready)")),
    ("matchers", lambda d: ask(d, "Missing", 'sum(circus_up{instance=~"$instance"})')),
    ("matchers", lambda d: ask(d, "Missing", f"sum(circus_watcher_processes_ready{{{ALL.partition(', w')[0]}}})")),
    ("windows", lambda d: ask(d, "Missing", f"sum(rate(circus_watcher_restarts_total{{{ALL}}}[5m]))")),
    ("counters", lambda d: ask(d, "Missing", f"sum(circus_watcher_restarts_total{{{ALL}}})")),
    ("counters", lambda d: ask(d, "Missing", f"sum(rate(circus_watcher_processes_ready{{{ALL}}}[$__range]))")),
    ("honest", lambda d: ask(d, "Missing", f"sum(circus_watcher_processes_ready{{{ALL}}}) or vector(0)")),
    ("histograms", lambda d: ask(d, "Missing", f"sum by (le) (rate({LIFETIME}{{{ALL}}}[$__range]))")),
    ("histograms", lambda d: find(d, "Age at the end")["targets"][0].pop("format")),
    ("histograms", lambda d: ask(d, "Missing", f"histogram_quantile(1, sum(rate({LIFETIME}{{{ALL}}}[$__range])))")),
    ("names", lambda d: find(d, "Storage")["targets"][0].update(legendFormat="__auto")),
    ("names", lambda d: find(d, "Storage")["targets"][0].update(legendFormat="{{wid}}")),
    ("bounded", lambda d: ask(d, "Memory by process", f"circus_process_resident_memory_bytes{{{ALL}}}")),
    ("links", lambda d: d.update(links=[])),
    ("links", lambda d: d["links"][0].update(keepTime=False)),
    ("links", lambda d: d["links"][0].update(includeVars=False)),
    ("links", lambda d: link_of(d, "Processes").update(url="/d/gone?${__url_time_range}&${datasource:queryparam}")),
    ("links", lambda d: link_of(d, "Processes").update(url="/d/circus-process?${datasource:queryparam}")),
    ("links", lambda d: link_of(d, "Processes").update(url=link_of(d, "Processes")["url"] + "&x=${__data.fields.name}")),
    ("grid", lambda d: find(d, "Storage").update(id=1)),
    ("grid", lambda d: find(d, "Storage")["gridPos"].update(w=24)),
    ("grid", lambda d: find(d, "Storage")["gridPos"].update(x=0)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "plant"), PLANTED, ids=[f"{rule}-{number}" for number, (rule, _) in enumerate(PLANTED)]
)
def test_a_rule_finds_what_breaks_it(rule: str, plant: Callable[[Json], object]) -> None:
    dashboard = copy.deepcopy(DASHBOARDS["circus-watcher"])
    plant(dashboard)
    assert rule in {told.partition(":")[0] for told in lint.problems(dashboard)}


def test_no_rule_is_without_a_planted_violation() -> None:
    assert {rule for rule, _ in PLANTED} == set(lint.RULES)


def asked_for() -> set[str]:
    known = queries.known()
    return {known[selector.name].name for told in DASHBOARDS.values() for _, selector in lint.selectors(told)}


def test_every_metric_is_on_a_panel() -> None:
    assert {metric.name for metric in catalogue.METRICS} - asked_for() == set(UNDRAWN)


@pytest.mark.parametrize(
    "metric", [each for each in catalogue.METRICS if each.name not in UNDRAWN], ids=lambda m: m.name
)
def test_a_metric_that_is_renamed_is_missed(metric: catalogue.Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed = dataclasses.replace(metric, name=f"{metric.name}_renamed")
    others = [each for each in catalogue.METRICS if each is not metric]
    monkeypatch.setattr(queries, "METRICS", (*others, renamed))
    told = [line for dashboard in DASHBOARDS.values() for line in lint.RULES["catalogue"](dashboard)]
    assert any(line.partition("no metric ")[2].startswith(metric.name) for line in told)


@pytest.mark.parametrize("name", ["UP", "RESTARTS", "LOOP_LAG", "PROCESS_RESIDENT"])
def test_dashboards_follow_the_names_of_the_catalogue(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = grafana.files()
    metric = getattr(catalogue, name)
    monkeypatch.setattr(catalogue, name, dataclasses.replace(metric, name="circus_another_name"))
    after = grafana.files()
    assert before != after
    assert metric.name not in {word for text in after.values() for word in text.replace("{", " ").split()}


def test_a_selector_of_what_is_not_there_cannot_be_written() -> None:
    for wrong in (
        lambda: select(catalogue.UP, Scope.WATCHER),
        lambda: select(catalogue.WATCHER_STATE, Scope.WATCHER, state="gone"),
        lambda: select(catalogue.WATCHER_STATE, Scope.WATCHER, state="~fatal|gone"),
        lambda: select(catalogue.WATCHER_STATE, Scope.WATCHER, status="fatal"),
        lambda: select(catalogue.LIFETIME, Scope.WATCHER),
        lambda: select(catalogue.UP, Scope.FLEET, "bucket"),
    ):
        with pytest.raises(ValueError, match="circus_"):
            wrong()


def test_every_state_of_watchers_has_a_number_and_a_colour() -> None:
    assert set(states.CODES) == set(catalogue.WATCHER_STATE.closed["state"])
    assert len(set(states.MEANINGS.values())) == len(states.CODES)


def test_commands_that_change_something_are_those_that_circus_has() -> None:
    about_alerts = {"silence", "test-alert", "unsilence"}
    assert {*deploys.CHANGING, *about_alerts} == {name for name, told in get_commands().items() if told.changes}


def drawn(name: str) -> set[float]:
    """The thresholds of a dashboard, those of its tables too."""
    told: set[float] = set()
    for panel in lint.panels(DASHBOARDS[name]):
        config = panel["fieldConfig"]
        properties = [each for override in config["overrides"] for each in override["properties"]]
        found = [
            config["defaults"].get("thresholds"),
            *(one["value"] for one in properties if one["id"] == "thresholds"),
        ]
        told |= {step["value"] for each in found if each for step in each["steps"] if step["value"] is not None}
    return told


def test_what_is_drawn_red_is_what_wakes_somebody() -> None:
    config = yaml.safe_load(limits.CONFIG.read_text())
    shares = {config[name]["above"][0] for name in ("ProcessFdExhaustion", "ProcessMemoryAboveLimit", "ProcessCPUHog")}
    assert shares <= drawn("circus-overview")
    assert config["SupervisorLoopBlocked"]["above"][0] in drawn("circus-internals")
    assert config["WatcherReloadStuck"]["above"][0] == "10m"
    assert 600 in drawn("circus-deploys")
    assert limits.above("WatcherReloadStuck") == 600


def test_the_rules_record_what_the_dashboards_show_of_them() -> None:
    told = [yaml.safe_load(path.read_text()) for path in (build.OUT / "prometheus").glob("*.yml")]
    recorded = {rule.get("record") for one in told for group in one["groups"] for rule in group["rules"]}
    assert {metric.name for metric in foreign.RECORDED} <= recorded
