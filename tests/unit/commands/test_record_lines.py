"""How records and samples are told to people, in one line each."""

from __future__ import annotations

from typing import Any

import pytest

from circus.commands.record_text import detail, record_line
from circus.commands.story import told
from circus.commands.story_lines import lasting


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1795809346.25, "1795809346.25"), (139223040.0, "139223040"), (0.00282255123, "0.00282255"), (999.5, "999.5"),
        (True, "yes"), ({"processes": 1}, '{"processes": 1}'), ("two words", '"two words"'), ("one", "one"),
    ],
)  # fmt: skip
def test_moments_and_sizes_are_told_in_full_and_short_times_shortened(value: Any, text: str) -> None:
    assert detail(value) == text


def test_the_line_of_a_silence_says_when_it_is_over() -> None:
    data = {"id": 1, "alert": "*", "until": 1795809346.25, "comment": ""}
    record = {
        "time": 0.5,
        "seq": 7,
        "watcher": None,
        "record": "alert.silenced",
        "data": data,
        "cause": {"kind": "boot"},
    }
    assert record_line(record).endswith(".500 #7 - alert.silenced id=1 alert=* until=1795809346.25 (boot)")


def test_the_last_sample_of_a_process_is_told_like_a_record() -> None:
    data = {
        "lifetime_seconds": 2.0, "reason": "killed", "initiator": "external", "outcome": "signal", "signal": "SIGKILL",
        "sample": {"state": "S", "resident_bytes": 13295616, "tree": {"processes": 1}, "slow_time": 1795809261.5},
    }  # fmt: skip
    record = {"time": 0.5, "seq": 7, "watcher": "web", "wid": 1, "pid": 9, "record": "process.exited", "data": data,
              "cause": {"kind": "boot"}}  # fmt: skip
    end = {"wid": 1, "record": record, "because": [], "after": []}
    lines = list(told({"watcher": "web", "state": "active", "state_because": [], "end": end}))
    assert lines[-1] == "  state=S resident_bytes=13295616 tree_processes=1"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.00239694, "2.4 ms"), (0.0525499, "53 ms"), (0.5140672, "514 ms"), (1.20738, "1.21 s"), (10.0248, "10 s"), (3900.0, "1h 5m")],
)  # fmt: skip
def test_durations_in_a_story_are_rounded(seconds: float, text: str) -> None:
    assert lasting(seconds) == text


def crash_loop() -> dict[str, Any]:
    """What `why` answers of a watcher that has died three times."""
    records: list[dict[str, Any]] = []
    for pid in (11, 12, 13):
        because = {"kind": "record", "seq": len(records)} if records else {"kind": "boot"}
        spawned = {"cause": "crash", "replacement": True, "generation": pid - 10, "spawn_seconds": 0.000827779,
                   "respawn_seconds": 0.514067}  # fmt: skip
        exited = {"reason": "exit_error", "initiator": "process", "outcome": "error", "exit_code": 3, "core": False,
                  "lifetime_seconds": 0.00239694, "tail": {"stdout": ["here"], "stderr": ["boom"]}}  # fmt: skip
        for kind, data in (("process.spawned", spawned), ("process.exited", exited)):
            records.append({"time": 1000.5, "seq": len(records) + 1, "watcher": "web", "wid": 1, "pid": pid,
                            "record": kind, "data": data, "cause": because})  # fmt: skip
            because = {"kind": "record", "seq": len(records)}
    backoff = {"from": "active", "to": "backoff", "want": "up", "backoff_seconds": 4.59249, "consecutive_failures": 3}
    state = {"time": 1001.0, "seq": 7, "watcher": "web", "record": "watcher.state", "data": backoff,
             "cause": {"kind": "record", "seq": 6}}  # fmt: skip
    end = {"wid": 1, "record": records[-1], "because": records[:-1], "after": [state]}
    return {"time": 1002.0, "watcher": "web", "state": "backoff", "state_because": [*records[2:], state], "end": end}


def test_a_story_says_what_is_the_matter_first_and_no_record_twice() -> None:
    lines = list(told(crash_loop()))
    assert lines[0] == "web is backoff"
    assert lines[1].startswith("  3 failures in a row; the next attempt is due in 3.59 s, at ")
    assert lines[2:7] == [
        "process 13 of worker 1 ended after 2.4 ms: it ended by itself with exit status 3",
        "its last lines on stderr:",
        "  boom",
        "its last lines on stdout:",
        "  here",
    ]
    seqs = [word for line in lines[7:] for word in line.split() if word.startswith("#") and ")" not in word]
    assert seqs == [f"#{seq}" for seq in range(1, 8)]
    assert max(map(len, lines)) < 140
    (state,) = [line for line in lines if "watcher.state" in line]
    assert lines[lines.index(state) - 1] == "what followed:"
    assert "backoff_seconds=4.59 " in state
