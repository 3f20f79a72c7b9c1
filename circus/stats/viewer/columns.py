"""Rows as text: the columns of circus-top, how wide they are, and how their cells are written for people.

Pure. Invariant: a cell that says nothing is empty or `-`, never a made-up 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from circus.stats.viewer.rows import Row, exit_words
from circus.stats.viewer.units import UNKNOWN, age_text, count_text, percent_text, printable, short_span_text, size_text

_GAP: Final = 1
_LONGEST_NAME: Final = 34
_MARKS: Final = {None: "", False: "▾ ", True: "▸ "}
# Letters of the system that say more than "it runs".
_NOTABLE: Final = frozenset("ZTtDX")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. `cell` makes its text from a row and the daemon's time. Where the terminal is narrow, columns of the
    smallest `weight` go first, but one that can be cut to its `least` width is cut before. `legacy`: circus 0.19 tells
    what stands in it.
    """

    title: str
    width: int
    least: int | None = None
    weight: int
    cell: Callable[[Row, float | None], str]
    left: bool = False
    legacy: bool = False


class Placed(NamedTuple):
    """A column and the width that it got."""

    column: Column
    width: int

    def fit(self, text: str) -> str:
        """The text, cut or padded to the width."""
        if len(text) > self.width:
            return f"{text[: self.width - 1]}…"
        return text.ljust(self.width) if self.column.left else text.rjust(self.width)


def _name(row: Row, time: float | None) -> str:
    del time
    watcher, process = row.watcher, row.process
    indent = " " * len(_MARKS[row.folded])
    if process is not None:
        named = f" ({printable(process.name)})" if process.name else ""
        return f"{indent}  {UNKNOWN if process.pid is None else process.pid}{named}"
    of = "" if watcher.desired is None else f"/{watcher.desired}"
    return f"{_MARKS[row.folded]}{printable(watcher.name)} {len(watcher.processes)}{of}"


def _wid(row: Row, time: float | None) -> str:
    del time
    return "" if row.process is None else count_text(row.process.wid)


def _cpu(row: Row, time: float | None) -> str:
    del time
    return percent_text((row.process or row.watcher).cpu_percent) if _runs(row) else ""


def _memory(row: Row, time: float | None) -> str:
    del time
    used = row.process or row.watcher
    return f"{size_text(used.memory_bytes)} {percent_text(used.memory_percent):>5}" if _runs(row) else ""


def _threads(row: Row, time: float | None) -> str:
    del time
    return count_text((row.process or row.watcher).threads) if _runs(row) else ""


def _fds(row: Row, time: float | None) -> str:
    del time
    return count_text((row.process or row.watcher).open_fds) if _runs(row) else ""


def _age(row: Row, time: float | None) -> str:
    del time
    return age_text((row.process or row.watcher).age_seconds) if _runs(row) else ""


def _restarts(row: Row, time: float | None) -> str:
    del time
    return count_text(row.watcher.restarts) if row.process is None else ""


def _state(row: Row, time: float | None) -> str:
    del time
    process = row.process
    if process is None:
        return row.watcher.state or UNKNOWN
    if process.state == "backoff" and process.backoff_seconds:
        seconds = process.backoff_seconds
        return f"backoff {seconds:.1f}s" if seconds < 10 else f"backoff {seconds:.0f}s"
    if process.system_state in _NOTABLE:
        return f"{process.state or ''} {process.system_state}".strip()
    return process.state or UNKNOWN


def _last_exit(row: Row, time: float | None) -> str:
    one = row.process or row.watcher
    if one.last_exit is None:
        return ""
    ago = "" if time is None else f", {short_span_text(time - one.last_exit.time)} ago"
    return exit_words(one) + ago


def _runs(row: Row) -> bool:
    """Where nothing runs there is no use to tell."""
    return bool(row.watcher.processes) if row.process is None else row.process.pid is not None


COLUMNS: Final[tuple[Column, ...]] = (
    Column(title="WATCHER / PID", width=20, weight=99, cell=_name, left=True, legacy=True),
    Column(title="WID", width=4, weight=3, cell=_wid),
    Column(title="CPU (%)", width=7, weight=98, cell=_cpu, legacy=True),
    Column(title="MEMORY (%)", width=12, weight=97, cell=_memory, legacy=True),
    Column(title="THREADS", width=7, weight=1, cell=_threads),
    Column(title="FDS", width=5, weight=2, cell=_fds),
    Column(title="AGE (s)", width=7, weight=96, cell=_age, legacy=True),
    Column(title="RESTARTS", width=8, weight=5, cell=_restarts),
    Column(title="STATE", width=12, weight=6, cell=_state, left=True),
    Column(title="LAST EXIT", width=24, least=12, weight=4, cell=_last_exit, left=True),
)


def columns_of(*, legacy: bool) -> list[Column]:
    """The columns for which there are numbers."""
    return [column for column in COLUMNS if column.legacy or not legacy]


def layout(width: int, shown: Iterable[Row], *, legacy: bool) -> list[Placed]:
    """The columns that fit into a terminal of this width, in order; the last takes what is left over."""
    chosen = columns_of(legacy=legacy)
    longest = max((len(_name(row, None)) for row in shown), default=0)
    widths = {column.title: column.width for column in chosen}
    widths[chosen[0].title] = min(max(longest, len(chosen[0].title)), _LONGEST_NAME)

    def spare() -> int:
        return width - sum(widths[column.title] for column in chosen) - _GAP * (len(chosen) - 1)

    while spare() < 0 and len(chosen) > 2:
        lightest = min(chosen, key=lambda column: column.weight)
        if lightest.least is not None and widths[lightest.title] > lightest.least:
            widths[lightest.title] = max(lightest.least, widths[lightest.title] + spare())
        else:
            chosen.remove(lightest)
    first, last = chosen[0], chosen[-1]
    if spare() < 0:
        widths[first.title] = max(widths[first.title] + spare(), 1)
    elif last.left:
        widths[last.title] += spare()
    return [Placed(column, widths[column.title]) for column in chosen]


def heading(placed: Sequence[Placed]) -> str:
    """The titles."""
    return (" " * _GAP).join(one.fit(one.column.title) for one in placed)


def line(row: Row, placed: Sequence[Placed], time: float | None) -> str:
    """One row."""
    return (" " * _GAP).join(one.fit(one.column.cell(row, time)) for one in placed)


def table(shown: Sequence[Row], time: float | None, *, legacy: bool) -> list[str]:
    """All rows below their titles, each column as wide as it needs to be."""
    chosen = columns_of(legacy=legacy)
    cells = [[column.cell(row, time) for column in chosen] for row in shown]
    widths = [max([len(column.title), *(len(line[index]) for line in cells)]) for index, column in enumerate(chosen)]
    placed = [Placed(column, width) for column, width in zip(chosen, widths, strict=True)]
    lines = [[column.title for column in chosen], *cells]
    return ["  ".join(one.fit(text) for one, text in zip(placed, line, strict=True)).rstrip() for line in lines]
