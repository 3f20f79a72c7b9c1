"""Expressions from the catalogue's metrics: a label or a value that a metric does not have cannot be written.

Owns how the variables of the dashboards stand in selectors. It refuses to know panels. Invariant: every selector has
the matchers of its scope, and every rate the interval that Grafana computes for it.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal

from circus_exporters.metric import Metric

Part = Literal["", "bucket", "count", "sum"]


class Scope(Enum):
    """The variables that narrow a selector, from wide to narrow."""

    FLEET = ("job", "instance")
    WATCHER = ("job", "instance", "watcher")
    PROCESS = ("job", "instance", "watcher", "wid")


TARGET: Final = Scope.FLEET.value
WATCHER: Final = Scope.WATCHER.value
PROCESS: Final = Scope.PROCESS.value
RATE: Final = "$__rate_interval"
RANGE: Final = "$__range"

_OPERATORS: Final = ("!~", "~", "!")


def select(metric: Metric, scope: Scope, part: Part = "", **matchers: str) -> str:
    """A selector. A matcher's value may begin with `!`, `~` or `!~`, for not equal, matching and not matching."""
    if (metric.type == "histogram") is not bool(part):
        raise ValueError(f"{metric.name} is a {metric.type}: no part {part!r} of it")
    conditions = [f'{name}=~"${name}"' for name in scope.value]
    for name, told in matchers.items():
        operator = next((each for each in _OPERATORS if told.startswith(each)), "")
        value = told.removeprefix(operator)
        _check(metric, name, value.split("|") if "~" in operator else [value])
        sign = {"": "=", "~": "=~", "!": "!=", "!~": "!~"}[operator]
        conditions.append(f'{name}{sign}"{value}"')
    missing = {*scope.value} - {*TARGET, *metric.labels}
    if missing:
        raise ValueError(f"{metric.name} has no {', '.join(sorted(missing))}")
    return f"{metric.name}{'_' if part else ''}{part}{{{', '.join(conditions)}}}"


def _check(metric: Metric, name: str, values: list[str]) -> None:
    known = {*TARGET, *metric.labels, *(("le",) if metric.type == "histogram" else ())}
    if name not in known:
        raise ValueError(f"{metric.name} has no label {name}, only {', '.join(sorted(known))}")
    closed = metric.closed.get(name)
    unknown = [value for value in values if closed is not None and value not in closed]
    if unknown:
        raise ValueError(f"{metric.name}: {name} is never {', '.join(unknown)}")


def rate(selector: str, window: str = RATE) -> str:
    """Increase a second, over an interval that always has samples enough, or over `RANGE`."""
    return f"rate({selector}[{window}])"


def increase(selector: str, window: str = RATE) -> str:
    """Increase over a window: that of a step, or `RANGE` for all that the dashboard shows."""
    return f"increase({selector}[{window}])"


def at_end(ranged: str) -> str:
    """The same of a function over `RANGE`, evaluated at the end of what is shown and not at each moment of it."""
    if not ranged.endswith(f"[{RANGE}])"):
        raise ValueError(f"{ranged} is not of {RANGE}")
    return f"{ranged.removesuffix(')')} @ end())"


def by(labels: tuple[str, ...], expression: str, operation: str = "sum") -> str:
    """An aggregation that keeps these labels."""
    return f"{operation} by ({', '.join(labels)}) ({expression})"


def on(labels: tuple[str, ...], left: str, operation: str, right: str) -> str:
    """Two vectors, matched by these labels."""
    return f"{left} {operation} on ({', '.join(labels)}) {right}"


def quantile(q: float, metric: Metric, scope: Scope, labels: tuple[str, ...], **matchers: str) -> str:
    """A quantile of a histogram by labels, over the interval of a step."""
    buckets = by((*labels, "le"), rate(select(metric, scope, "bucket", **matchers)))
    return f"histogram_quantile({q:g}, {buckets})"


def why(expression: str, *labels: str) -> str:
    """The same series with a label `why`: the command that tells what happened to the watcher, or to the slot."""
    if labels == ("watcher",):
        return f'label_replace({expression}, "why", "circusctl why $1", "watcher", "(.+)")'
    joined = ", ".join(f'"{label}"' for label in labels)
    return f'label_replace(label_join({expression}, "why", " ", {joined}), "why", "circusctl why $1", "why", "(.+)")'
