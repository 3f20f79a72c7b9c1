"""What all dashboards have in common: variables, annotations, the links between them, and how they become text.

Owns uids and the addresses of the dashboards. It refuses to know what a dashboard shows. Invariant: every dashboard
leads to every other with its time range and its variables.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    DashboardCursorSync,
    DashboardLinkType,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from circus_exporters import catalogue
from dashboards.grafana.panels import SOURCE, PanelBuilder, instant
from dashboards.grafana.promql import Scope

TAG: Final = "circus"
OVERVIEW: Final = "circus-overview"
WATCHER: Final = "circus-watcher"
PROCESS: Final = "circus-process"
DEPLOYS: Final = "circus-deploys"
INTERNALS: Final = "circus-internals"

ANY: Final = ".+"
_HIDDEN: Final = "inControlsMenu"
_ALL: Final = VariableOption(selected=True, text=["All"], value=["$__all"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that happened, told on every graph: an expression whose values are Unix times in seconds."""

    name: str
    expression: str
    title: str
    text: str = ""
    tags: tuple[str, ...] = ("instance",)
    color: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A row and its panels."""

    title: str
    panels: Sequence[PanelBuilder]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One dashboard before it is made."""

    uid: str
    title: str
    description: str
    scope: Scope
    sections: Sequence[Section]
    marks: Sequence[Mark] = field(default_factory=tuple)
    since: str = "now-1h"


def address(uid: str, *labels: str, source: str = "__data.fields") -> str:
    """Where a click on a row or a series leads: a dashboard, narrowed to the labels of what was clicked."""
    narrowed = "".join(f"&var-{label}=${{{source}.{label}}}" for label in labels)
    return f"/d/{uid}?${{datasource:queryparam}}&${{job:queryparam}}{narrowed}&${{__url_time_range}}"


def _variables(frame: Frame) -> list[Any]:
    source = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    made: list[Any] = [source.current(VariableOption(selected=False, text="default", value="default"))]
    known = ""
    for name in frame.scope.value:
        metric = catalogue.PROCESS_START_TIME if name == "wid" else catalogue.WATCHER_STATE
        metric = catalogue.UP if name in {"job", "instance"} else metric
        query = f"label_values({metric.name}{{{known}}}, {name})" if known else f"label_values({metric.name}, {name})"
        variable = dashboard.QueryVariable(name).label(name).datasource(SOURCE).definition(query)
        variable.query({"query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery", "qryType": 1})
        variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.NATURAL_ASC)
        made.append(variable.multi(True).include_all(True).all_value(ANY).current(_ALL))
        known += f'{", " if known else ""}{name}=~"${name}"'
    return made


def _annotation(mark: Mark) -> AnnotationQuery:
    return AnnotationQuery(
        name=mark.name, datasource=SOURCE, enable=True, hide=False, icon_color=mark.color,
        target=instant(f"({mark.expression}) * 1000", "Anno").range().build(),
        title_format=mark.title, text_format=mark.text, tag_keys=",".join(mark.tags), use_value_for_time=True,
    )  # fmt: skip


class _Made(dashboard.Dashboard):
    """A dashboard with annotations that have no builder, and numbered panels."""

    def marked(self, marks: Sequence[Mark]) -> None:
        self._internal.annotations.list_val = [_annotation(mark) for mark in marks]

    def numbered(self) -> None:
        for number, panel in enumerate(self._internal.panels or [], 1):
            panel.id_val = number


def text(frame: Frame) -> str:
    """The dashboard as Grafana reads it."""
    made = _Made(frame.title).uid(frame.uid).description(frame.description).tags([TAG]).readonly()
    made.refresh("30s").time(frame.since, "now").timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR)
    made.link(
        dashboard.DashboardLink("Circus")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
        .icon("external link")
    )
    for variable in _variables(frame):
        made.with_variable(variable)
    for section in frame.sections:
        made.with_row(dashboard.Row(section.title))
        for panel in section.panels:
            made.with_panel(panel)
    made.marked(frame.marks)
    made.numbered()
    plain = in_sight(json.loads(json.dumps(made.build(), cls=JSONEncoder)))
    return json.dumps(plain, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def in_sight(told: Any) -> Any:
    """The same without `placement`: the SDK knows only one, which hides links and annotations in a menu."""
    if isinstance(told, dict):
        return {name: in_sight(value) for name, value in told.items() if name != "placement" or value != _HIDDEN}
    return [in_sight(value) for value in told] if isinstance(told, list) else told
