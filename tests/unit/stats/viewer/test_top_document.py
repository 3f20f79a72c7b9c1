"""The JSON document: typed numbers, null for the unknown."""

from __future__ import annotations

import json
from typing import Any

from circus.stats.viewer.document import document
from circus.stats.viewer.rows import rows
from circus.stats.viewer.view import View
from tests.fakes import fleet


def told(view: View, **keywords: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document(view, rows(view, **keywords), "ipc:///run/stats", ["a note"]))
    return found


def view() -> View:
    made = View()
    for second in (0, 1):
        samples = [fleet.sample(name, 2, time=fleet.STARTED + 100 + second) for name in ("web", "api")]
        for sample in samples:
            sample.totals.cpu_user_seconds += second / 2
            made.take_sample(sample, float(second))
        made.take_daemon(fleet.daemon_sample(second + 1, machine_memory_bytes=2**30), float(second))
    made.take_telemetry(fleet.telemetry(fleet.watcher("web", last_exit=fleet.last_exit()), fleet.watcher("api")))
    return made


def test_it_tells_where_its_numbers_come_from() -> None:
    found = told(view())
    assert (found["endpoint"], found["source"], found["notes"]) == ("ipc:///run/stats", "sample", ["a note"])
    assert found["daemon"]["version"] == "1.0.0"
    assert found["daemon"]["machine_memory_bytes"] == 2**30


def test_watchers_hold_their_processes() -> None:
    api, web = told(view())["watchers"]
    assert (api["name"], web["name"]) == ("api", "web")
    assert [process["pid"] for process in web["processes"]] == [1001, 1002]
    assert web["cpu_percent"] == 50.0
    assert web["last_exit"]["reason"] == "exit_error"
    assert web["processes"][0]["resident_bytes"] == 29_188_096


def test_totals_are_of_everything() -> None:
    assert told(view())["totals"] == {
        "watchers": 2, "processes": 4, "cpu_percent": 100.0, "resident_bytes": 116760576,
    }  # fmt: skip


def test_a_filter_leaves_out_the_rest() -> None:
    assert [watcher["name"] for watcher in told(view(), needle="web")["watchers"]] == ["web"]


def test_the_unknown_is_null() -> None:
    made = View()
    made.take_stat("web", "7", {"pid": 7, "cpu": "N/A", "mem": 0.1, "mem_info1": "N/A", "age": 3, "subtopic": 7}, 1.0)
    found = told(made)
    (process,) = found["watchers"][0]["processes"]
    assert found["source"] == "stat"
    assert found["daemon"] is None
    assert process["wid"] is process["cpu_percent"] is process["resident_bytes"] is process["state"] is None
    assert process["memory_percent"] == 0.1


def test_a_lag_beyond_the_histogram_is_null() -> None:
    made = view()
    made.take_daemon(fleet.daemon_sample(9, time=fleet.STARTED + 500, loop_lag=fleet.histogram(*[100.0] * 90)), 3.0)
    assert told(made)["daemon"]["loop_lag_p99_seconds"] is None
