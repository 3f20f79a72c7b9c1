"""Rows as text, in terminals of all widths."""

from __future__ import annotations

import pytest

from circus.stats.viewer.columns import heading, layout, line, table
from circus.stats.viewer.rows import Row
from circus.stats.viewer.units import age_text, delay_text, printable, short_span_text, size_text, span_text
from circus.stats.viewer.usage import Process, Watcher
from tests.fakes import fleet

TITLES = ["WATCHER / PID", "WID", "CPU (%)", "MEMORY (%)", "THREADS", "FDS", "AGE (s)", "RESTARTS", "STATE",
          "LAST EXIT"]  # fmt: skip


def a_process(**changes: object) -> Process:
    fields: dict[str, object] = {
        "wid": 1, "pid": 4242, "heard": 0.0, "cpu_percent": 12.34, "memory_bytes": 30_000_000, "memory_percent": 1.2,
        "threads": 4, "open_fds": 17, "age_seconds": 100.0, "state": "running", "system_state": "S",
    }  # fmt: skip
    return Process(**{**fields, **changes})  # type: ignore[arg-type]  # test data


def a_watcher(*processes: Process, **changes: object) -> Watcher:
    found = dict(enumerate(processes))
    fields: dict[str, object] = {"name": "web", "processes": found, "desired": 2, "restarts": 7, "state": "active",
                                 "cpu_percent": 12.34}  # fmt: skip
    return Watcher(**{**fields, **changes})  # type: ignore[arg-type]  # test data


def cells(row: Row, time: float | None = None) -> dict[str, str]:
    """The cells of a row by the titles of their columns."""
    return {one.column.title: one.column.cell(row, time) for one in layout(400, [row], legacy=False)}


def test_the_titles_are_those_of_0_19_and_more() -> None:
    assert list(cells(Row(a_watcher(), None))) == TITLES


def test_a_process() -> None:
    told = cells(Row(a_watcher(), a_process()))
    assert list(told.values()) == ["  4242", "1", "12.3", "28.6M   1.2", "4", "17", "100", "", "running", ""]


def test_a_watcher() -> None:
    told = cells(Row(a_watcher(a_process()), None))
    assert (told["WATCHER / PID"], told["WID"], told["RESTARTS"], told["STATE"]) == ("web 1/2", "", "7", "active")


def test_a_watcher_without_processes_tells_no_use() -> None:
    told = cells(Row(a_watcher(), None))
    assert [told[title] for title in ("CPU (%)", "MEMORY (%)", "THREADS", "FDS", "AGE (s)")] == [""] * 5
    assert told["WATCHER / PID"] == "web 0/2"


def test_a_slot_that_waits_tells_for_how_long() -> None:
    told = cells(Row(a_watcher(), a_process(pid=None, state="backoff", backoff_seconds=2.5, system_state=None)))
    assert (told["WATCHER / PID"], told["STATE"], told["CPU (%)"]) == ("  -", "backoff 2.5s", "")


def test_what_is_unknown_is_no_zero() -> None:
    told = cells(Row(a_watcher(), a_process(cpu_percent=None, memory_bytes=None, memory_percent=None, threads=None)))
    assert (told["CPU (%)"], told["MEMORY (%)"].split(), told["THREADS"]) == ("-", ["-", "-"], "-")


def test_a_zombie_shows() -> None:
    assert cells(Row(a_watcher(), a_process(system_state="Z")))["STATE"] == "running Z"


def test_the_last_exit_tells_how_long_ago() -> None:
    exited = fleet.last_exit(time=1000.0)
    told = cells(Row(a_watcher(last_exit=exited), None), time=1300.0)
    assert told["LAST EXIT"] == "exit_error 3, 5m ago"


def test_a_folded_watcher_is_marked() -> None:
    assert cells(Row(a_watcher(), None, True))["WATCHER / PID"] == "▸ web 0/2"
    assert cells(Row(a_watcher(), None, False))["WATCHER / PID"] == "▾ web 0/2"


def test_a_name_cannot_move_the_cursor() -> None:
    assert "\x1b" not in cells(Row(a_watcher(name="\x1b[2Jweb"), None))["WATCHER / PID"]


@pytest.mark.parametrize("width", [1, 10, 20, 40, 60, 80, 100, 120, 200])
def test_lines_never_exceed_the_terminal_while_two_columns_fit(width: int) -> None:
    shown = [Row(a_watcher(a_process()), None), Row(a_watcher(), a_process())]
    placed = layout(width, shown, legacy=False)
    assert len(heading(placed)) <= max(width, 9)
    assert all(len(line(row, placed, 0.0)) == len(heading(placed)) for row in shown)


def test_a_narrow_terminal_keeps_what_matters_most() -> None:
    shown = [Row(a_watcher(), None)]
    assert [one.column.title for one in layout(80, shown, legacy=False)] == [
        "WATCHER / PID", "CPU (%)", "MEMORY (%)", "AGE (s)", "RESTARTS", "STATE", "LAST EXIT",
    ]  # fmt: skip
    assert [one.column.title for one in layout(24, shown, legacy=False)] == ["WATCHER / PID", "CPU (%)"]


def test_the_last_column_takes_what_is_left() -> None:
    placed = layout(200, [Row(a_watcher(), None)], legacy=False)
    assert len(heading(placed)) == 200


def test_long_names_are_cut_with_a_sign() -> None:
    row = Row(a_watcher(name="x" * 100), None)
    assert line(row, layout(80, [row], legacy=False), None).startswith("x" * 10)
    assert "…" in line(row, layout(80, [row], legacy=False), None)


def test_from_0_19_there_are_only_the_columns_that_it_gives() -> None:
    shown = [Row(a_watcher(), None)]
    assert [one.column.title for one in layout(200, shown, legacy=True)] == [
        "WATCHER / PID", "CPU (%)", "MEMORY (%)", "AGE (s)",
    ]  # fmt: skip


def test_a_printed_table_cuts_nothing_and_aligns_everything() -> None:
    rows = [Row(a_watcher(name="x" * 100), None), Row(a_watcher(), a_process())]
    titles, watcher, process = table(rows, None, legacy=False)
    assert "x" * 100 in watcher
    assert titles.index("CPU (%)") + len("CPU (%)") == process.index("12.3") + len("12.3")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "-"), (0, "0B"), (999, "999B"), (1000, "1.0K"), (8192, "8.0K"), (30_000_000, "28.6M"),
        (122_683_392, "117M"), (1_047_000_000, "998M"), (1_048_500_000, "1.0G"), (2**50, "1.0P"), (2**60, "1.0E"),
    ],
)  # fmt: skip
def test_sizes(size: int | None, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.2, "0"), (59.0, "59"), (3599.0, "3599"), (9999.0, "2h46m"), (274_000.0, "3d04h")],
)
def test_ages(seconds: float | None, text: str) -> None:
    assert age_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text", "short"),
    [
        (-1.0, "0s", "0s"),
        (7.0, "7s", "7s"),
        (725.0, "12m05s", "12m"),
        (9960.0, "2h46m", "2h"),
        (90_000.0, "1d01h", "1d"),
    ],
)
def test_spans(seconds: float, text: str, short: str) -> None:
    assert (span_text(seconds), short_span_text(seconds)) == (text, short)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0004, "0.4 ms"), (0.0123, "12 ms"), (0.9997, "1.0 s"), (1.54, "1.5 s")]
)
def test_delays(seconds: float, text: str) -> None:
    assert delay_text(seconds) == text


def test_printable_text_stays_as_it_is() -> None:
    assert printable("wéb server") == "wéb server"
