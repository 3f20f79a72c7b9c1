"""Selectors made from rows of the catalogue: the only place where a metric becomes text of a query.

Owns how a metric and its labels are written down. It refuses to know any alert. Invariant: a metric, a label or a value
of a closed label that the catalogue does not have is an error here, so a rename breaks the build and not an alert.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

from circus_exporters.metric import Metric

Part = Literal["", "bucket", "sum", "count"]

_LABEL_VALUE: Final = re.compile(r"[\w.:/-]+")


class UnknownName(Exception):
    """A query names something that the catalogue does not have."""


def select(metric: Metric, part: Part = "", /, over: str = "", **wanted: str | Sequence[str]) -> str:
    """The series of a metric whose labels have the wanted values; one of several where a list is given.

    `part` is which series of a histogram is meant. `over` is a window such as `5m`, for a range of values.
    """
    if (metric.type == "histogram") != bool(part):
        raise UnknownName(f"{metric.name} is a {metric.type}: it has no series {metric.name}{part and '_' + part}")
    matchers = []
    for label, value in wanted.items():
        values = [value] if isinstance(value, str) else list(value)
        _check(metric, label, values)
        text, operator = "|".join(values), "=" if len(values) == 1 else "=~"
        matchers.append(f'{label}{operator}"{text}"')
    name = f"{metric.name}_{part}" if part else metric.name
    shown = f"{{{','.join(matchers)}}}" if matchers else ""
    return f"{name}{shown}{f'[{over}]' if over else ''}"


def others(metric: Metric, label: str, *values: str) -> tuple[str, ...]:
    """The values that a closed label has beside these."""
    _check(metric, label, values)
    return tuple(value for value in metric.closed[label] if value not in values)


def without(metric: Metric, *labels: str) -> str:
    """`without (a, b)`: an aggregation that keeps all labels but these, those of the scrape included."""
    for label in labels:
        _check(metric, label, ())
    return f"without ({', '.join(labels)})"


def _check(metric: Metric, label: str, values: Sequence[str]) -> None:
    if label not in metric.labels:
        raise UnknownName(f"{metric.name} has no label {label!r}, only {', '.join(metric.labels) or 'none'}")
    for value in values:
        known = metric.closed.get(label)
        if known is not None and value not in known:
            raise UnknownName(f"{metric.name}: {label} is never {value!r}, but one of {', '.join(known)}")
        if not _LABEL_VALUE.fullmatch(value):
            raise UnknownName(f"{metric.name}: {label}={value!r} would need quoting")
