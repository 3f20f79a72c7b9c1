"""The comparison itself: it finds what differs, is blind to what is new in every run, and to nothing else."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from tests.helpers import differences
from tests.helpers.differences import Difference, compared, entries
from tests.helpers.scripts import Recording, Step


def recording(outcome: Any, *events: tuple[str, str, dict[str, Any]], first_pid: int = 100) -> Recording:
    """One step, with the processes web.1 and web.2, in the directory /run/FIRST_PID."""
    return Recording(
        steps=[Step(name="step", outcome=outcome, events=list(events))],
        pids={first_pid: "web.1", first_pid + 1: "web.2"},
        places={f"/run/{first_pid}": "DIR"},
    )


def found(old: Recording, new: Recording) -> list[tuple[str, str, str]]:
    return [(one.path, one.old, one.new) for one in compared("script", old, new)]


def test_times_pids_places_and_ids_are_new_in_every_run() -> None:
    old = {"status": "ok", "time": 1.5, "pids": [100, 101], "info": {"100": "at /run/100"}, "id": "a" * 32}
    new = {"status": "ok", "time": 2.5, "pids": [7, 8], "info": {"7": "at /run/7"}, "id": "b" * 32}
    assert found(recording(old), recording(new, first_pid=7)) == []


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ({"status": "ok"}, {"status": "error"}, ("reply.status", '"ok"', '"error"')),
        ({"s": 1, "a": 1}, {"s": 1}, ("reply.a", "1", "")),
        ({"s": 1}, {"s": 1, "a": None}, ("reply.a", "", "null")),
        ({"n": 1}, {"n": 1.0}, ("reply.n", "1", "1.0")),
        ({"n": True}, {"n": 1}, ("reply.n", "true", "1")),
        ({"pids": [100, 101]}, {"pids": [101, 100]}, ("reply.pids", '["web.1", "web.2"]', '["web.2", "web.1"]')),
        ({"time": 1.0}, {"time": "soon"}, ("reply.time", "NUMBER", '"soon"')),
        ({"out": ["a", "b"]}, {"out": ["a", "c"]}, ("reply.out", "b", "c")),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, ("reply.a.0.b", "1", "2")),
        (0, 1, ("reply", "0", "1")),
    ],
)
def test_everything_else_is_found(old: Any, new: Any, difference: tuple[str, str, str]) -> None:
    assert found(recording(old), recording(new)) == [difference]


def test_events_are_compared_one_by_one() -> None:
    spawn, reap = (
        ("web", "spawn", {"process_pid": 100, "time": 1.0}),
        ("web", "reap", {"process_pid": 100, "exit_code": 0}),
    )
    assert found(recording({}, spawn), recording({}, reap, spawn)) == [
        ("events.web", "", 'reap exit_code=0 process_pid="web.1"')
    ]


def test_processes_that_raced_may_change_places_and_actions_may_not() -> None:
    one, two = (("web", "kill", {"process_pid": pid}) for pid in (100, 101))
    stop = ("web", "stop", {})
    assert found(recording({}, one, two, stop), recording({}, two, one, stop)) == []
    assert found(recording({}, one, stop, two), recording({}, one, two, stop))


@pytest.mark.parametrize(
    ("entry", "explains"),
    [
        ('path = "reply.tb"', True),
        ('path = "reply.*"\nold = "TRACE*"\nnew = "null"', True),
        ('path = "reply.tb"\nwhere = "script: a step"', True),
        ('path = "reply.tb"\nwhere = ["other: *", "script: *"]', True),
        ('path = "reply"', False),
        ('path = "reply.tb"\nold = ""', False),
        ('path = "reply.tb"\nnew = "nul"', False),
        ('path = "reply.tb"\nwhere = "script: another"', False),
    ],
)
def test_an_entry_explains_what_it_names_and_nothing_else(entry: str, explains: bool, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "list.toml"
    file.write_text(f'[[difference]]\nreason = "so"\n{entry}\n')
    difference = Difference(script="script", step="a step", path="reply.tb", old="TRACEBACK", new="null")
    assert [one.explains(difference) for one in entries(file)] == [explains]


def test_an_entry_needs_a_reason(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "list.toml"
    file.write_text('[[difference]]\nreason = " "\npath = "*"\n')
    with pytest.raises(AssertionError, match="no reason"):
        differences.entries(file)
