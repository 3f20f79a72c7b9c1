"""CPU percentages from sums, and slots beside processes."""

from __future__ import annotations

import pytest

from circus.stats.viewer.usage import Process, Rate, Watcher, total
from circus.wire.snapshot import SlotSnapshot
from tests.fakes import fleet


def slot(wid: int, pid: int | None, state: str = "running", backoff: float = 0.0) -> SlotSnapshot:
    return SlotSnapshot(
        wid=wid, pid=pid, state=state, started=None, ready=True, generation=1, backoff_seconds=backoff,
        consecutive_failures=0, last_exit=fleet.last_exit(),
    )  # fmt: skip


def test_one_reading_gives_no_percentage() -> None:
    rate = Rate()
    rate.take(12.0, 100.0)
    assert rate.percent is None


def test_two_readings_give_the_percentage_between_them() -> None:
    rate = Rate()
    rate.take(12.0, 100.0)
    rate.take(13.0, 102.0)
    assert rate.percent == pytest.approx(50.0)


def test_one_reading_is_enough_for_a_whole_life() -> None:
    rate = Rate()
    rate.take(0.5, 101.0, since=100.0)
    assert rate.percent == pytest.approx(50.0)


def test_readings_that_lie_too_close_together_are_not_compared() -> None:
    rate = Rate()
    rate.take(12.0, 100.0)
    rate.take(12.01, 100.01)
    rate.take(12.5, 101.0)
    assert rate.percent == pytest.approx(50.0)


def test_a_sum_that_went_down_belongs_to_somebody_else() -> None:
    rate = Rate()
    rate.take(12.0, 100.0)
    rate.take(13.0, 101.0)
    rate.take(1.0, 102.0)
    rate.take(1.5, 103.0)
    assert rate.percent == pytest.approx(50.0)


def test_a_clock_that_was_set_back_spoils_no_percentage() -> None:
    rate = Rate()
    rate.take(12.0, 100.0)
    rate.take(12.5, 101.0)
    rate.take(13.0, 50.0)
    assert rate.percent == pytest.approx(50.0)
    rate.take(13.25, 51.0)
    assert rate.percent == pytest.approx(25.0)


def test_an_unknown_sum_makes_the_percentage_unknown() -> None:
    rate = Rate()
    rate.take(12.0, 100.0)
    rate.take(13.0, 101.0)
    rate.take(None, 102.0)
    assert rate.percent is None


def test_a_total_of_nothing_known_is_unknown() -> None:
    assert total([None, None]) is None
    assert total([None, 3, 4]) == 7


def a_watcher(*processes: Process, sample_time: float = 10.0) -> Watcher:
    found = {process.wid or 0: process for process in processes}
    return Watcher(name="web", processes=found, sample_time=sample_time)


def test_a_process_has_the_state_and_the_last_exit_of_its_slot() -> None:
    watcher = a_watcher(Process(wid=1, pid=7, heard=0.0))
    watcher.slots, watcher.slots_time = {1: slot(1, 7, "stopping")}, 11.0
    watcher.place_slots()
    assert watcher.processes[1].state == "stopping"
    assert watcher.processes[1].last_exit == fleet.last_exit()


def test_a_process_younger_than_the_snapshot_of_its_slot_runs() -> None:
    watcher = a_watcher(Process(wid=1, pid=8, heard=0.0))
    watcher.slots, watcher.slots_time = {1: slot(1, None, "backoff", 3.0)}, 9.0
    watcher.place_slots()
    assert watcher.processes[1].state == "running"
    assert watcher.waiting == []


def test_a_slot_that_waits_is_a_row_without_pid() -> None:
    watcher = a_watcher()
    watcher.slots, watcher.slots_time = {2: slot(2, None, "backoff", 3.0)}, 11.0
    watcher.place_slots()
    (waiting,) = watcher.waiting
    assert (waiting.wid, waiting.pid, waiting.state, waiting.backoff_seconds) == (2, None, "backoff", 3.0)


def test_a_process_that_a_newer_sample_does_not_have_any_more_is_no_row() -> None:
    watcher = a_watcher(sample_time=12.0)
    watcher.slots, watcher.slots_time = {1: slot(1, 7)}, 11.0
    watcher.place_slots()
    assert watcher.waiting == []


def test_a_process_that_no_sample_has_yet_is_a_row() -> None:
    watcher = a_watcher(sample_time=10.0)
    watcher.slots, watcher.slots_time = {1: slot(1, 7)}, 11.0
    watcher.place_slots()
    assert [process.pid for process in watcher.waiting] == [7]
