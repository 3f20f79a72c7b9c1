"""Which rows, in which order."""

from __future__ import annotations

import pytest

from circus.stats.viewer.rows import Order, Row, exit_words, rows
from circus.stats.viewer.usage import Process, Watcher
from circus.stats.viewer.view import View
from tests.fakes import fleet


def process(wid: int, cpu: float | None = None, **changes: object) -> Process:
    return Process(wid=wid, pid=100 + wid, heard=0.0, cpu_percent=cpu, **changes)  # type: ignore[arg-type]  # test data


def view() -> View:
    made = View()
    made.watchers = {
        "web": Watcher(name="web", processes={1: process(1, 5.0), 2: process(2, 50.0), 3: process(3)},
                       cpu_percent=55.0, memory_bytes=10, age_seconds=9.0, restarts=0, state="active"),
        "Api": Watcher(name="Api", processes={1: process(1, 70.0, state="stopping")},
                       cpu_percent=70.0, memory_bytes=30, age_seconds=5.0, restarts=4, state="active"),
        "idle": Watcher(name="idle", state="stopped"),
    }  # fmt: skip
    return made


def names(found: list[Row]) -> list[str]:
    return [row.watcher.name for row in found if row.process is None]


def wids(found: list[Row], watcher: str) -> list[int | None]:
    return [row.process.wid for row in found if row.process is not None and row.watcher.name == watcher]


def test_watchers_are_sorted_by_name_whatever_the_case_and_processes_by_slot() -> None:
    found = rows(view())
    assert names(found) == ["Api", "idle", "web"]
    assert wids(found, "web") == [1, 2, 3]


def test_each_process_stands_below_its_watcher() -> None:
    found = rows(view(), "cpu")
    assert [row.process and row.process.wid for row in found] == [None, 1, None, 2, 1, 3, None]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("cpu", ["Api", "web", "idle"]),
        ("memory", ["Api", "web", "idle"]),
        ("age", ["web", "Api", "idle"]),
        ("restarts", ["Api", "web", "idle"]),
    ],
)
def test_the_largest_comes_first_and_the_unknown_last(order: Order, expected: list[str]) -> None:
    assert names(rows(view(), order)) == expected


def test_reversed_the_smallest_comes_first_and_the_unknown_still_last() -> None:
    found = rows(view(), "cpu", reverse=True)
    assert names(found) == ["web", "Api", "idle"]
    assert wids(found, "web") == [1, 2, 3]


def test_names_can_be_reversed() -> None:
    assert names(rows(view(), reverse=True)) == ["web", "idle", "Api"]


def test_equal_ones_stand_in_the_order_of_their_names_in_both_directions() -> None:
    made = View()
    made.watchers = {name: Watcher(name=name, cpu_percent=1.0) for name in ("b", "a", "c")}
    assert names(rows(made, "cpu")) == ["a", "b", "c"]
    assert names(rows(made, "cpu", reverse=True)) == ["a", "b", "c"]


def test_a_filter_that_names_a_watcher_keeps_all_of_it() -> None:
    found = rows(view(), needle="WE")
    assert names(found) == ["web"]
    assert wids(found, "web") == [1, 2, 3]


def test_a_filter_on_a_pid_keeps_that_process_and_its_watcher() -> None:
    found = rows(view(), needle="102")
    assert names(found) == ["web"]
    assert wids(found, "web") == [2]


def test_a_filter_looks_at_states() -> None:
    assert names(rows(view(), needle="stopp")) == ["Api", "idle"]


def test_a_filter_looks_at_last_exits() -> None:
    made = view()
    made.watchers["web"].processes[3].last_exit = fleet.last_exit(reason="oom", exit_code=None, signal="SIGKILL")
    found = rows(made, needle="oom sigkill")
    assert wids(found, "web") == [3]


def test_processes_of_a_folded_watcher_are_hidden() -> None:
    found = rows(view(), folded={"web"})
    assert wids(found, "web") == []
    assert wids(found, "Api") == [1]
    assert [row.folded for row in found if row.process is None] == [False, False, True]


def test_slots_that_wait_are_rows() -> None:
    made = view()
    made.watchers["web"].waiting = [Process(wid=4, pid=None, heard=0.0, state="backoff")]
    assert wids(rows(made), "web") == [1, 2, 3, 4]


def test_a_slot_keeps_its_key_when_it_gets_another_pid() -> None:
    made = view()
    before = rows(made)[-1].key
    made.watchers["web"].processes[3].pid = 999
    assert rows(made)[-1].key == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reason": "exit_error", "exit_code": 3}, "exit_error 3"),
        ({"reason": "completed", "exit_code": 0}, "completed"),
        ({"reason": "crash", "exit_code": None, "signal": "SIGSEGV"}, "crash SIGSEGV"),
    ],
)
def test_exits_in_words(changes: dict[str, object], words: str) -> None:
    assert exit_words(process(1, last_exit=fleet.last_exit(**changes))) == words
