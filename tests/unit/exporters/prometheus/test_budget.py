"""How much is told of processes, and what is given up first."""

from __future__ import annotations

import logging
import math

import pytest

from circus_exporters.prometheus.budget import Budget, DetailChoice
from circus_exporters.prometheus.render import series_of_process

PLENTY = 10_000_000


def test_detail_is_full_up_to_a_number_of_processes_and_does_not_flap() -> None:
    choice = DetailChoice("auto")
    assert [choice.choose(count, PLENTY) for count in (500, 501, 500, 450, 401, 400, 500)] == [
        "full", "cpu_mem", "cpu_mem", "cpu_mem", "cpu_mem", "full", "full",
    ]  # fmt: skip


def test_detail_that_was_set_stays_while_there_is_room() -> None:
    assert DetailChoice("full").choose(100_000, PLENTY) == "full"
    assert DetailChoice("cpu_mem").choose(1, PLENTY) == "cpu_mem"
    assert DetailChoice("off").choose(1, PLENTY) == "off"


def test_detail_that_was_set_yields_to_the_limit() -> None:
    full, cpu_mem = series_of_process("full"), series_of_process("cpu_mem")
    for room, level in ((100 * full, "full"), (100 * full - 1, "cpu_mem"), (100 * cpu_mem - 1, "off"), (-5, "off")):
        assert DetailChoice("full").choose(100, room) == level


def test_no_process_needs_no_room() -> None:
    assert DetailChoice("auto").choose(0, 0) == "full"


def test_more_is_told_again_only_when_there_is_room_to_spare() -> None:
    choice = DetailChoice("full")
    needed = 100 * series_of_process("full")
    assert choice.choose(100, needed - 1) == "cpu_mem"
    assert choice.choose(100, needed + 1) == "cpu_mem"
    assert choice.choose(100, math.ceil(needed / 0.9)) == "full"
    assert choice.choose(100, needed) == "full"


def test_what_is_left_out_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    budget = Budget(5000)
    for left_out in ({}, {"processes": 3}, {"processes": 4}, {"processes": 4, "watchers": 1}, {"processes": 2}, {}, {}):
        budget.tell(left_out)
    assert caplog.messages == [
        "a page may have 5000 series (max_series), so this is left out: processes (3)",
        "a page may have 5000 series (max_series), so this is left out: processes (4), watchers (1)",
        "all series fit again into the limit of 5000",
    ]
