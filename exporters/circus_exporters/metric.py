"""What there is to say of one metric before it has a value: name, type, labels, help.

Owns the shape of the table's rows and what follows from a name. It refuses to know any metric. Invariant: a row is a
constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

MetricType = Literal["counter", "gauge", "histogram", "info"]
Group = Literal["target", "watcher", "process", "internals"]
Detail = Literal["cpu_mem", "full"]

_OWN_SUFFIX: Final = {"counter": "_total", "info": "_info"}
_UNITS: Final = ("seconds", "bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One family. `name` is what a query names (with `_total` or `_info`). `closed` lists the values of labels whose
    values are known beforehand: their series exist from the start, at 0. `detail` is, for metrics of worker
    processes, the least level of detail that shows them. `prefix` begins the labels that configurations add.
    """

    name: str
    type: MetricType
    group: Group
    source: str
    help: str
    labels: tuple[str, ...] = ()
    closed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    detail: Detail = "full"
    prefix: str = ""

    @property
    def family(self) -> str:
        """The name without the suffix that its type adds: what OpenMetrics calls the family."""
        return self.name.removesuffix(_OWN_SUFFIX.get(self.type, ""))

    @property
    def unit(self) -> str:
        """`seconds`, `bytes` or nothing."""
        return next((unit for unit in _UNITS if self.family.endswith(f"_{unit}")), "")


def gauge(group: Group, source: str, name: str, text: str, *labels: str, **closed: tuple[str, ...]) -> Metric:
    return Metric(name=name, type="gauge", group=group, source=source, help=text, labels=labels, closed=closed)


def counter(group: Group, source: str, name: str, text: str, *labels: str, **closed: tuple[str, ...]) -> Metric:
    return Metric(name=name, type="counter", group=group, source=source, help=text, labels=labels, closed=closed)


def histogram(group: Group, source: str, name: str, text: str, *labels: str) -> Metric:
    return Metric(name=name, type="histogram", group=group, source=source, help=text, labels=labels)


def info(group: Group, source: str, name: str, text: str, *labels: str) -> Metric:
    return Metric(name=name, type="info", group=group, source=source, help=text, labels=labels)
