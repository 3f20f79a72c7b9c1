"""Rules that every dashboard keeps, read from what is shipped and not from what made it.

Owns the rules; each is a function from a dashboard as JSON to what is wrong with it. It refuses to know how dashboards are made.
Invariant: a rule reads only what Grafana reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from circus_exporters.catalogue import ILLEGAL_TRANSITIONS
from circus_exporters.metric import Metric
from dashboards.grafana import foreign, queries
from dashboards.grafana.promql import RANGE, RATE
from dashboards.grafana.queries import Selector

Json = dict[str, Any]
Rule = Callable[[Json], Iterator[str]]

SOURCE: Final = "${datasource}"
TAG: Final = "circus"
VARIABLES: Final = ("job", "instance", "watcher", "wid")
UIDS: Final = ("circus-overview", "circus-watcher", "circus-process", "circus-deploys", "circus-internals")
COLUMNS: Final = 24
ABSOLUTE: Final = (ILLEGAL_TRANSITIONS.name,)  # counters that are to be 0 for ever
_RATES: Final = ("rate", "increase", "irate")
_OF_COUNTERS: Final = {*_RATES, "resets", "changes", "timestamp"}
_LEGEND: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_LINKED: Final = re.compile(r"__(?:data\.fields|field\.labels)\.(\w+)")
_TO: Final = re.compile(r"/d/([\w-]+)")
_PLAIN: Final = re.compile(r"[\w.:/-]+(\|[\w.:/-]+)*")


def problems(dashboard: Json) -> list[str]:
    """What is wrong, each with the name of its rule."""
    return [f"{name}: {told}" for name, rule in RULES.items() for told in rule(dashboard)]


def panels(dashboard: Json) -> Iterator[Json]:
    """What shows something."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def expressions(dashboard: Json) -> Iterator[tuple[str, str]]:
    """Every expression, and where it stands."""
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for mark in dashboard["annotations"]["list"]:
        yield f"annotation {mark['name']}", mark["target"]["expr"]


def selectors(dashboard: Json) -> Iterator[tuple[str, Selector]]:
    """Every selector of every expression that can be read, and where it stands."""
    for where, expression in expressions(dashboard):
        try:
            parsed = queries.parse(expression)
        except ValueError:
            continue  # the rule `promql` tells it
        for selector in queries.selectors(parsed):
            yield where, selector


def _identity(dashboard: Json) -> Iterator[str]:
    if dashboard.get("uid") not in UIDS:
        yield f"uid {dashboard.get('uid')} is not one of {', '.join(UIDS)}"
    if dashboard.get("id") is not None:
        yield "an id belongs to one Grafana"
    yield from (f"{name} asks questions at import" for name in ("__inputs", "__requires") if name in dashboard)


def _conventions(dashboard: Json) -> Iterator[str]:
    wanted = {"editable": False, "refresh": "30s", "graphTooltip": 1, "timezone": "browser"}
    for name, value in wanted.items():
        if dashboard.get(name) != value:
            yield f"{name} is {dashboard.get(name)!r}, not {value!r}"
    if TAG not in dashboard.get("tags", ()):
        yield f"no tag {TAG}"
    if not dashboard.get("description"):
        yield "no description"


def _variables(dashboard: Json) -> Iterator[str]:
    first, *others = dashboard["templating"]["list"]
    if (first["name"], first["type"], first.get("query")) != ("datasource", "datasource", "prometheus"):
        yield "the first variable is not the data source"
    names = [each["name"] for each in others]
    if names != list(VARIABLES[: max(len(names), 2)]):
        yield f"variables are {names}, not the first of {VARIABLES}"
    for number, each in enumerate(others):
        query = each["query"]["query"]
        if not (each.get("multi") and each.get("includeAll") and each.get("allValue") == ".+"):
            yield f"{each['name']}: several, and all as .+, cannot be chosen"
        missing = [before for before in names[:number] if f'{before}=~"${before}"' not in query]
        if missing:
            yield f"{each['name']} is not narrowed by {', '.join(missing)}"
        if each.get("refresh") != 2:
            yield f"{each['name']} does not follow the time range"


def _source(dashboard: Json) -> Iterator[str]:
    asking: list[tuple[str, Json]] = [(panel["title"], panel) for panel in panels(dashboard)]
    asking += [(panel["title"], target) for panel in panels(dashboard) for target in panel.get("targets", ())]
    asking += [(mark["name"], mark) for mark in dashboard["annotations"]["list"]]
    asking += [(each["name"], each) for each in dashboard["templating"]["list"] if each["type"] == "query"]
    for name, each in asking:
        if (each.get("datasource") or {}).get("uid") != SOURCE:
            yield f"{name} asks {each.get('datasource')}, not {SOURCE}"


def _told(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        told = panel.get("description") or ""
        if not panel.get("title"):
            yield f"panel {panel['id']} has no title"
        if len(told) < 20 or told[-1] != ".":
            yield f"{panel.get('title')}: the description {told!r} is no sentence"


def _units(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        if not panel["fieldConfig"]["defaults"].get("unit"):
            yield f"{panel['title']} has no unit"


def _asks(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        targets = panel.get("targets", ())
        if not targets:
            yield f"{panel['title']} asks nothing"
        letters = [target["refId"] for target in targets]
        if len(letters) != len(set(letters)):
            yield f"{panel['title']}: two queries are called the same"


def _promql(dashboard: Json) -> Iterator[str]:
    for where, expression in expressions(dashboard):
        try:
            queries.labels(queries.parse(expression))
        except ValueError as error:
            yield f"{where}: {error}"


def _catalogue(dashboard: Json) -> Iterator[str]:
    known = queries.known()
    for where, selector in selectors(dashboard):
        metric = known.get(selector.name)
        if metric is None:
            yield f"{where}: no metric {selector.name}"
            continue
        for label, operator, value in selector.matchers:
            yield from (f"{where}: {told}" for told in _matcher(metric, label, operator, value))


def _matcher(metric: Metric, label: str, operator: str, value: str) -> Iterator[str]:
    if label not in {"job", "instance", "le", *metric.labels}:
        yield f"{metric.name} has no label {label}"
    closed = metric.closed.get(label)
    if closed is not None and _PLAIN.fullmatch(value):
        values = value.split("|") if "~" in operator else [value]
        yield from (f"{label} of {metric.name} is never {each}" for each in values if each not in closed)


def _matchers(dashboard: Json) -> Iterator[str]:
    known = queries.known()
    chosen = [each["name"] for each in dashboard["templating"]["list"] if each["name"] in VARIABLES]
    for where, selector in selectors(dashboard):
        metric = known.get(selector.name)
        has = {"job", "instance", *(metric.labels if metric else ())} - {*foreign.UNCERTAIN.get(selector.name, ())}
        wanted = [name for name in chosen if name in has]
        missing = [name for name in wanted if (name, "=~", f"${name}") not in selector.matchers]
        if missing:
            yield f"{where}: {selector.name} does not depend on {', '.join(missing)}"


def _windows(dashboard: Json) -> Iterator[str]:
    for where, selector in selectors(dashboard):
        if selector.around and selector.around[-1] in _RATES and selector.window not in {RATE, RANGE}:
            yield f"{where}: {selector.around[-1]} over {selector.window}, not over {RATE} or {RANGE}"


def _counters(dashboard: Json) -> Iterator[str]:
    known = queries.known()
    for where, selector in selectors(dashboard):
        metric = known.get(selector.name)
        if metric is None:
            continue
        counts = metric.type in {"counter", "histogram"}
        if counts and not _OF_COUNTERS & {*selector.around} and selector.name not in ABSOLUTE:
            yield f"{where}: the bare value of the counter {selector.name} says how long it has been counting"
        if not counts and selector.around and selector.around[-1] in _RATES:
            yield f"{where}: {selector.around[-1]} of {selector.name}, which is no counter"


def _honest(dashboard: Json) -> Iterator[str]:
    for where, expression in expressions(dashboard):
        if "vector(" in expression or "absent(" in expression:
            yield f"{where}: it says something where nothing is known"


def _histograms(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            if "_bucket{" not in target["expr"]:
                continue
            quantile = "histogram_quantile(" in target["expr"]
            if not quantile and (panel["type"] != "heatmap" or target.get("format") != "heatmap"):
                yield f"{panel['title']}: buckets are neither a quantile nor a heat map"
            if not re.search(r"by \([^)]*\ble\)", target["expr"]):
                yield f"{panel['title']}: the sum over buckets loses le"


def _names(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            legend = target.get("legendFormat", "")
            if panel["type"] in {"timeseries", "state-timeline"} and legend in {"", "__auto"}:
                yield f"{panel['title']} {target['refId']}: its series have no names"
            there = _labels(target["expr"])
            lost = [label for label in _LEGEND.findall(legend) if there is not None and label not in there]
            if lost:
                yield f"{panel['title']} {target['refId']}: no label {', '.join(lost)} to name series by"


def _bounded(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            if (
                "wid" in (_labels(target["expr"]) or ())
                and "topk(" not in target["expr"]
                and "ALERTS" not in target["expr"]
            ):
                yield f"{panel['title']} {target['refId']}: a series for each of any number of processes"


def _labels(expression: str) -> frozenset[str] | None:
    try:
        return queries.labels(queries.parse(expression))
    except ValueError:
        return None  # the rule `promql` tells it


def _links(dashboard: Json) -> Iterator[str]:
    if not any(
        link["type"] == "dashboards" and TAG in link["tags"] and link["keepTime"] and link["includeVars"]
        for link in dashboard["links"]
    ):
        yield "no link to the others that keeps time and variables"
    for panel in panels(dashboard):
        config = panel["fieldConfig"]
        properties = [each for override in config["overrides"] for each in override["properties"]]
        links = [link for each in properties if each["id"] == "links" for link in each["value"]]
        for url in (link["url"] for link in [*links, *config["defaults"].get("links", ())]):
            yield from (f"{panel['title']}: {told}" for told in _link(panel, url))


def _link(panel: Json, url: str) -> Iterator[str]:
    there = {label for target in panel["targets"] for label in _labels(target["expr"]) or ()}
    yield from (f"no label {label} for its link" for label in _LINKED.findall(url) if label not in there)
    if not {*_TO.findall(url)} & {*UIDS}:
        yield f"{url} leads to no dashboard of ours"
    if "${__url_time_range}" not in url or "${datasource:queryparam}" not in url:
        yield f"{url} loses the time range or the data source"


def _grid(dashboard: Json) -> Iterator[str]:
    taken: dict[tuple[int, int], str] = {}
    ids = [panel["id"] for panel in dashboard["panels"]]
    if len(ids) != len(set(ids)):
        yield "two panels have one id"
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        if place["x"] + place["w"] > COLUMNS:
            yield f"{panel['title']} is wider than the page"
        for y in range(place["y"], place["y"] + place["h"]):
            for x in range(place["x"], place["x"] + place["w"]):
                other = taken.setdefault((x, y), panel["title"])
                if other != panel["title"]:
                    yield f"{panel['title']} covers {other}"
                    return


RULES: Final[dict[str, Rule]] = {
    "identity": _identity,
    "conventions": _conventions,
    "variables": _variables,
    "source": _source,
    "told": _told,
    "units": _units,
    "asks": _asks,
    "promql": _promql,
    "catalogue": _catalogue,
    "matchers": _matchers,
    "windows": _windows,
    "counters": _counters,
    "honest": _honest,
    "histograms": _histograms,
    "names": _names,
    "bounded": _bounded,
    "links": _links,
    "grid": _grid,
}
