"""Every query of the dashboards gives something when it is asked of a real Prometheus after a busy half minute.

No Grafana is at hand: what is tested is what it would ask, not how it would look.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from tests.dashboards.shipped import DASHBOARDS, LABEL_VALUES, Asked, asked, panels, put_in, variables
from tests.helpers.busy_life import Life, busy_life

pytestmark = pytest.mark.real

QUERIES = list(asked())
MARKS = [(name, mark) for name, told in DASHBOARDS.items() for mark in told["annotations"]["list"]]
# Queries that give nothing even in that life, each with the reason.
SILENT: dict[str, str] = {}


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with busy_life(tmp_path_factory.mktemp("busy")) as lived:
        yield lived


def values(life: Life, expression: str, at_end: bool) -> list[float]:
    """All numbers that an expression gives: at the end of the life, or if it gives none there, over all of it."""
    found = [value for _, value in life.prometheus.query(expression, life.end)] if at_end else []
    if not found:
        series = life.prometheus.range(expression, life.begin, life.end)
        found = [value for _, points in series for _, value in points]
    return [value for value in found if not math.isnan(value)]


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_query_gives_something(life: Life, query: Asked) -> None:
    found = values(life, put_in(query.expression), query.target["instant"])
    assert bool(found) is (str(query) not in SILENT)


def test_what_is_known_to_be_silent_still_exists() -> None:
    assert {*SILENT} <= {str(query) for query in QUERIES}


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_query_depends_on_what_is_chosen(life: Life, query: Asked) -> None:
    assert not any(values(life, put_in(query.expression, instance="nobody"), query.target["instant"]))


@pytest.mark.parametrize("query", [query for query in QUERIES if "$watcher" in query.expression], ids=str)
def test_a_query_of_watchers_depends_on_the_watcher(life: Life, query: Asked) -> None:
    chosen = put_in(query.expression, watcher="web")
    series = life.prometheus.range(chosen, life.begin, life.end)
    assert {labels["watcher"] for labels, _ in series if "watcher" in labels} <= {"web"}
    assert not any(values(life, put_in(query.expression, watcher="nobody"), query.target["instant"]))


@pytest.mark.parametrize("query", [query for query in QUERIES if query.target.get("exemplar")], ids=str)
def test_the_dots_lead_to_traces(life: Life, query: Asked) -> None:
    found = life.prometheus.exemplars(put_in(query.expression))
    assert found
    assert all(len(each["labels"]["trace_id"]) == 32 for each in found)


@pytest.mark.parametrize(("name", "mark"), MARKS, ids=lambda each: each if isinstance(each, str) else each["name"])
def test_an_annotation_tells_when_it_happened(life: Life, name: str, mark: dict[str, object]) -> None:
    target = mark["target"]
    assert isinstance(target, dict)
    series = life.prometheus.range(put_in(target["expr"]), life.begin, life.end)
    assert series
    assert mark["useValueForTime"]
    times = {value / 1000 for _, points in series for _, value in points}
    assert all(life.begin - 1 < each < life.end for each in times)
    told = {label for labels, _ in series for label in labels}
    assert {*str(mark["tagKeys"]).split(",")} <= told


@pytest.mark.parametrize("name", DASHBOARDS)
def test_variables_offer_what_there_is(life: Life, name: str) -> None:
    offered = {}
    for variable, told in variables(DASHBOARDS[name]).items():
        asks = LABEL_VALUES.fullmatch(put_in(told["query"]["query"]))
        assert asks is not None
        assert asks["label"] == variable
        offered[variable] = life.prometheus.label_values(asks["label"], asks["selector"])
    assert offered["job"] == ["circus"]
    assert len(offered["instance"]) == 2
    if "watcher" in offered:
        assert {"web", "crasher", "hopeless", "later", "newcomer"} <= set(offered["watcher"])
    if "wid" in offered:
        assert {"1", "2", "3"} <= set(offered["wid"])


TABLES = [(name, panel) for name, panel in panels() if panel["type"] == "table"]


@pytest.mark.parametrize(("name", "panel"), TABLES, ids=lambda each: each if isinstance(each, str) else each["title"])
def test_the_columns_of_a_table_fall_into_rows(life: Life, name: str, panel: dict[str, object]) -> None:
    """Grafana merges rows by the labels that all queries have: no query may have two rows with the same ones."""
    targets = panel["targets"]
    assert isinstance(targets, list)
    frames = [[labels for labels, _ in life.prometheus.query(put_in(each["expr"]), life.end)] for each in targets]
    frames = [frame for frame in frames if frame]
    shared = set.intersection(*[{label for labels in frame for label in labels} for frame in frames]) if frames else ()
    for frame in frames:
        keys = [tuple(labels.get(label) for label in sorted(shared)) for labels in frame]
        assert len(keys) == len(set(keys))
    if frames:
        assert {"job", "instance"} <= {*shared}


# -- what the person on call sees -----------------------------------------------------------------------------------


def rows_of(life: Life, dashboard: str, title: str) -> dict[str, dict[str, str]]:
    """The labels of the rows of a table by its first query, by watcher."""
    (query,) = [
        each
        for each in QUERIES
        if (each.dashboard, each.panel["title"], each.target["refId"]) == (dashboard, title, "A")
    ]
    return {labels["watcher"]: labels for labels, _ in life.prometheus.query(put_in(query.expression), life.end)}


def series_of(life: Life, dashboard: str, title: str) -> set[str]:
    """The watchers on a graph."""
    (query,) = [each for each in QUERIES if (each.dashboard, each.panel["title"]) == (dashboard, title)]
    return {labels["watcher"] for labels, _ in life.prometheus.range(put_in(query.expression), life.begin, life.end)}


def number(life: Life, dashboard: str, title: str) -> float:
    """What a large number says at the end."""
    (query,) = [
        each
        for each in QUERIES
        if (each.dashboard, each.panel["title"], each.panel["type"]) == (dashboard, title, "stat")
    ]
    ((_, value),) = life.prometheus.query(put_in(query.expression), life.end)
    return value


def test_the_numbers_on_the_first_page_are_right(life: Life) -> None:
    assert number(life, "circus-overview", "Daemons down") == 1  # of three instances one never answered
    assert number(life, "circus-overview", "Failing watchers") >= 2  # two instances tell of the one that was given up
    assert number(life, "circus-overview", "Unwanted exits") > 5
    assert number(life, "circus-overview", "Lost to memory") > 0.5
    assert number(life, "circus-deploys", "Failed reloads") > 0.5
    assert number(life, "circus-deploys", "Configurations in force") == 1


def test_the_sick_are_shown_and_the_others_are_not(life: Life) -> None:
    sick = rows_of(life, "circus-overview", "Watchers with a sign of trouble")
    assert {"crasher", "faulty", "hopeless"} <= set(sick)
    assert not {"web", "burner", "newcomer", "later"} & set(sick)


def test_what_changed_is_told_and_what_stayed_is_not(life: Life) -> None:
    changed = series_of(life, "circus-overview", "Watchers that changed")
    assert {"crasher", "faulty", "hopeless", "slow"} <= changed
    assert not {"later"} & changed


def test_an_alert_that_fires_is_on_the_first_page(life: Life) -> None:
    assert rows_of(life, "circus-overview", "Alerts that fire")["crasher"]["alertname"]


def test_the_heaviest_process_has_its_pid(life: Life) -> None:
    heavy = rows_of(life, "circus-overview", "Heaviest processes")
    assert int(heavy["circus-exporter"]["pid"]) in life.daemon.pids("circus-exporter")


@pytest.mark.parametrize(
    ("dashboard", "title", "watcher"),
    [
        ("circus-overview", "Watchers with a sign of trouble", "crasher"),
        ("circus-watcher", "Last exits", "faulty"),
        ("circus-overview", "Heaviest processes", "leaker"),
        ("circus-process", "Which process", "leaker"),
    ],
)
def test_the_command_in_a_table_answers(life: Life, dashboard: str, title: str, watcher: str) -> None:
    program, *words = rows_of(life, dashboard, title)[watcher]["why"].split()
    assert (program, words[:2]) == ("circusctl", ["why", watcher])
    done = life.daemon.circusctl(*words)
    assert done.returncode == 0
    assert watcher in done.stdout
