"""The kinds of panels that the dashboards are made of, each with one look.

Owns looks: legends, colours, units of axes, tables from several queries. It refuses to know metrics. Invariant: a panel cannot
be made without title, description and unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from grafana_foundation_sdk.builders import common as looks
from grafana_foundation_sdk.builders import dashboard, heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import heatmap as heatmaps
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Panel,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PanelBuilder = Builder[Panel]
SOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, YELLOW, ORANGE, RED, BLUE, PURPLE, GREY = "green", "yellow", "orange", "red", "blue", "purple", "#8e8e8e"

Meaning = tuple[str, str]  # what is shown for a value, and its colour
_FAULTS: Final = {
    3: "SIGQUIT",
    4: "SIGILL",
    5: "SIGTRAP",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    11: "SIGSEGV",
    31: "SIGSYS",
}
_OTHERS: Final = {
    1: "SIGHUP",
    2: "SIGINT",
    9: "SIGKILL",
    10: "SIGUSR1",
    12: "SIGUSR2",
    13: "SIGPIPE",
    14: "SIGALRM",
    15: "SIGTERM",
}
# As Linux counts them; one that is not here is shown as its number.
SIGNALS: Final[dict[int, Meaning]] = {
    **{number: (name, ORANGE) for number, name in _FAULTS.items()},
    **{number: (name, "transparent") for number, name in _OTHERS.items()},
}


@dataclass(frozen=True, slots=True)
class Query:
    """An expression and how its series are called. `exemplar` asks for the traces behind the numbers too."""

    expression: str
    legend: str = ""
    exemplar: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One query of a table: its title, unit and thresholds, and where a click on a cell leads."""

    title: str
    expression: str
    unit: str = "short"
    steps: Sequence[tuple[float, str]] = ()
    meanings: Mapping[int, Meaning] = field(default_factory=dict)
    whole: bool = False
    hidden: bool = False


def target(query: Query, letter: str) -> prometheus.Dataquery:
    """A query over time."""
    made = prometheus.Dataquery().expr(query.expression).ref_id(letter).range().datasource(SOURCE)
    made.legend_format(query.legend or "__auto")
    return made.exemplar(True) if query.exemplar else made


def instant(expression: str, letter: str, *, as_table: bool = False) -> prometheus.Dataquery:
    """A query of what is now."""
    made = prometheus.Dataquery().expr(expression).ref_id(letter).instant().datasource(SOURCE)
    return made.format(PromQueryFormat.TABLE) if as_table else made


def _letters(count: int) -> list[str]:
    return [chr(ord("A") + number) for number in range(count)]


def _thresholds(steps: Sequence[tuple[float, str]], first: str = GREEN) -> dashboard.ThresholdsConfig:
    made = [Threshold(value=None, color=first), *(Threshold(value=value, color=color) for value, color in steps)]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(made)


def _mappings(meanings: Mapping[int, Meaning]) -> list[ValueMapping]:
    options = {
        str(value): ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(meanings.items())
    }
    return [ValueMap(options=options)]


def graph(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    span: int = 12,
    height: int = 8,
    stacked: bool = False,
    bars: bool = False,
    dashed: str = "",
    colors: Mapping[str, str] | None = None,
    least: float | None = 0,
    most: float | None = None,
    limit: float | None = None,
) -> PanelBuilder:
    """Values over time. `dashed` matches the names of series that are limits; `limit` draws a constant one."""
    made = timeseries.Panel().title(title).description(description).datasource(SOURCE).unit(unit)
    made.span(span).height(height)
    made.legend(
        looks.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.TABLE)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["max", "lastNotNull"])
    )
    made.tooltip(looks.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    made.line_width(1).fill_opacity(60 if bars else 25 if stacked else 5).show_points(common.VisibilityMode.NEVER)
    if bars:
        made.draw_style(common.GraphDrawStyle.BARS).decimals(0)  # increases are extrapolated: 3.02 exits are 3
    if stacked:
        made.stacking(looks.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if least is not None:
        made.min(least)
    if most is not None:
        made.max(most)
    if limit is not None:
        made.thresholds(_thresholds([(limit, RED)], "transparent"))
        made.thresholds_style(looks.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED))
    if dashed:
        line = {"fill": "dash", "dash": [10, 10]}
        plain = {"custom.lineStyle": line, "custom.fillOpacity": 0, "custom.stacking": {"mode": "none"}}
        made.override_by_regexp(f"/{dashed}/", _properties({**plain, "color": _fixed(RED)}))
    for name, color in (colors or {}).items():
        made.override_by_name(name, _properties({"color": _fixed(color)}))
    for letter, query in zip(_letters(len(queries)), queries, strict=True):
        made.with_target(target(query, letter))
    return made


def _fixed(color: str) -> dict[str, str]:
    return {"mode": "fixed", "fixedColor": color}


def _properties(values: Mapping[str, Any]) -> list[DynamicConfigValue]:
    return [DynamicConfigValue(id_val=name, value=value) for name, value in values.items()]


def number(
    title: str,
    description: str,
    expression: str,
    *,
    unit: str,
    steps: Sequence[tuple[float, str]] = (),
    first: str = GREEN,
    meanings: Mapping[int, Meaning] | None = None,
    none: str = "none",
    legend: str = "",
    span: int = 4,
    height: int = 4,
    link: str = "",
) -> PanelBuilder:
    """What is now, large. `none` is shown where nothing is; `link` is where a click leads."""
    made = stat.Panel().title(title).description(description).datasource(SOURCE).unit(unit).no_value(none)
    made.span(span).height(height).thresholds(_thresholds(steps, first))
    made.graph_mode(common.BigValueGraphMode.NONE)
    made.color_mode(common.BigValueColorMode.BACKGROUND if steps or meanings else common.BigValueColorMode.NONE)
    made.text_mode(common.BigValueTextMode.VALUE_AND_NAME if legend else common.BigValueTextMode.VALUE)
    if unit == "short":
        made.decimals(0)
    made.reduce_options(looks.ReduceDataOptions().calcs(["lastNotNull"]))
    if meanings:
        made.mappings(_mappings(meanings))
    if link:
        made.data_links([dashboard.DashboardLink("Show").url(link)])
    query = instant(expression, "A")
    return made.with_target(query.legend_format(legend) if legend else query)


def timeline(
    title: str,
    description: str,
    query: Query,
    meanings: Mapping[int, Meaning],
    *,
    span: int = 24,
    height: int = 8,
    link: str = "",
) -> PanelBuilder:
    """Which of some states each series was in, over time."""
    made = statetimeline.Panel().title(title).description(description).datasource(SOURCE).unit("none")
    made.span(span).height(height).mappings(_mappings(meanings)).merge_values(True)
    made.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS)).fill_opacity(80).line_width(0)
    made.show_value(common.VisibilityMode.AUTO).row_height(0.9)
    made.legend(looks.VizLegendOptions().show_legend(False).display_mode(common.LegendDisplayMode.HIDDEN))
    made.tooltip(looks.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE))
    if link:
        made.data_links([dashboard.DashboardLink("Show").url(link)])
    return made.with_target(target(query, "A"))


def constants(title: str, description: str, query: Query, *, span: int = 24, height: int = 5) -> PanelBuilder:
    """When which series was there, over time: for constants whose labels tell something."""
    shown = {1: ("there", BLUE)}
    return timeline(title, description, query, shown, span=span, height=height)


def rows(
    title: str,
    description: str,
    columns: Sequence[Column],
    *,
    labels: Sequence[str],
    link: str,
    link_on: str,
    sort: str,
    last: Sequence[str] = (),
    span: int = 24,
    height: int = 9,
) -> PanelBuilder:
    """A table with one row for each set of `labels`, and the labels `last` at its end.

    `link_on` is the column that leads somewhere, `sort` the one whose largest values come first.
    """
    letters = _letters(len(columns))
    made = table.Panel().title(title).description(description).datasource(SOURCE).unit("short").no_value("")
    made.span(span).height(height).show_header(True).filterable(True)
    made.sort_by([looks.TableSortByFieldState().display_name(sort).desc(True)])
    for letter, column in zip(letters, columns, strict=True):
        made.with_target(instant(column.expression, letter, as_table=True))
    titles = {f"Value #{letter}": column.title for letter, column in zip(letters, columns, strict=True)}
    only = {"Value": columns[0].title}  # how Grafana calls it where no other query gives anything
    made.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    order = [*labels, *only, *titles, *last]
    hidden = [name for name, column in zip(titles, columns, strict=True) if column.hidden]
    titles |= only
    made.with_transformation(
        DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": dict.fromkeys(["Time", "job", "__name__", *hidden], True),
                "indexByName": {name: index for index, name in enumerate(order)},
                "renameByName": {name: title for name, title in titles.items() if name not in hidden},
            },
        )
    )
    for column in columns:
        if not column.hidden:
            made.override_by_name(column.title, _properties(_cell(column)))
    made.override_by_name(link_on, _properties({"links": [{"title": "Show", "url": link, "targetBlank": False}]}))
    return made


def _cell(column: Column) -> dict[str, Any]:
    told: dict[str, Any] = {"unit": column.unit}
    if column.whole:
        told["decimals"] = 0
    if column.steps:
        told["thresholds"] = _thresholds(column.steps, "transparent").build().to_json()
        told["custom.cellOptions"] = {"type": "color-background", "mode": "basic"}
    if column.meanings:
        told["mappings"] = [mapping.to_json() for mapping in _mappings(column.meanings)]
        told["custom.cellOptions"] = {"type": "color-background", "mode": "basic"}
    return told


def density(
    title: str, description: str, expression: str, *, unit: str, traces: bool = True, span: int = 12, height: int = 8
) -> PanelBuilder:
    """A histogram over time; `traces` draws its exemplars too."""
    made = heatmap.Panel().title(title).description(description).datasource(SOURCE).unit(unit)
    made.span(span).height(height).calculate(False).y_axis(heatmap.YAxisConfig().unit(unit).min(0))
    made.color(
        heatmap.HeatmapColorOptions()
        .mode(heatmaps.HeatmapColorMode.SCHEME)
        .scheme("Oranges")
        .steps(64)
        .scale(heatmaps.HeatmapColorScale.EXPONENTIAL)
        .exponent(0.5)
        .fill("dark-orange")
        .min(0)
    )
    made.tooltip(
        heatmap.HeatmapTooltip().mode(common.TooltipDisplayMode.SINGLE).y_histogram(True).show_color_scale(False)
    )
    query = target(Query(expression, "{{le}}", exemplar=traces), "A").format(PromQueryFormat.HEATMAP)
    return made.with_target(query)
