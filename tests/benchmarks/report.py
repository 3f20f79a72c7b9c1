"""A line of the table: what was measured, against what.

A benchmark is a module `bench_NAME.py` with `run() -> Iterable[Row]`; its docstring's first line is its heading.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`measured` in `unit`, at most `target` when there is one; `note` says how it came about.

    A row without `measured` could not be taken on this machine; its note says why.
    """

    what: str
    measured: float | None
    unit: str
    target: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not taken"
        if self.target is None:
            return ""
        return "met" if self.measured <= self.target else "MISSED"


def number(value: float | None) -> str:
    """Three digits that matter."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(rows: Iterable[Row]) -> str:
    """Rows as aligned text."""
    lines = [("", "target", "measured", "", "")]
    for row in rows:
        target = "" if row.target is None else f"<= {number(row.target)} {row.unit}"
        lines.append((row.what, target, f"{number(row.measured)} {row.unit}", row.verdict, row.note))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[4]]).rstrip()
        for line in lines
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


median = statistics.median
