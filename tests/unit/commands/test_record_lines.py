"""How records and samples are told to people, in one line each."""

from __future__ import annotations

from typing import Any

import pytest

from circus.commands.story import told
from circus.commands.trail import detail, record_line


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
    assert lines[-1] == '  state=S resident_bytes=13295616 tree={"processes": 1} slow_time=1795809261.5'
