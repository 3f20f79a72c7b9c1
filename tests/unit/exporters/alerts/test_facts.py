"""What is known of watchers from records and snapshots, in whatever order these come."""

from __future__ import annotations

from typing import Any

import pytest

from circus.wire.events import Cause, Record
from circus_exporters.alerts.facts import GRACE_SECONDS, Fleet, within
from tests.fakes import fleet

BY_COMMAND = Cause(kind="command", id="1", name="stop", actor="uid:0")
BY_RECORD = Cause(kind="record", seq=1)


def state(seq: int, to: str, cause: Cause = BY_COMMAND) -> Record:
    data = {"from": "active", "to": to, "want": "up", "desired": 2, "backoff_seconds": 0.0, "consecutive_failures": 0}
    return fleet.record(seq, "watcher.state", data=data, cause=cause)


def exited(seq: int, reason: str = "exit_error", **changes: Any) -> Record:
    return fleet.record(
        seq, "process.exited", data={"reason": reason, "expected": reason in ("stopped", "completed")}, **changes
    )


@pytest.fixture
def known() -> Fleet:
    """A fleet that has seen a snapshot up to record 10."""
    made = Fleet()
    made.take_snapshot(fleet.telemetry(fleet.watcher("web", 2)), 100.0)
    return made


def test_a_snapshot_says_what_runs(known: Fleet) -> None:
    web = known.watchers["web"]
    assert (web.state, web.desired, web.running) == ("active", 2, 2)
    assert not web.down


def test_a_stop_is_known_from_its_record_on(known: Fleet) -> None:
    known.take_record(state(11, "stopping"), 101.0)
    assert known.watchers["web"].down
    assert known.watchers["web"].wished


def test_what_ends_because_its_program_is_done_was_not_stopped_by_anybody(known: Fleet) -> None:
    known.take_record(exited(11), 101.0)
    known.take_record(state(12, "stopping", BY_RECORD), 101.0)
    web = known.watchers["web"]
    assert web.down
    assert not web.wished
    assert within(web.ends, 0.0) == 1


def test_a_record_that_the_snapshot_knew_of_changes_no_state(known: Fleet) -> None:
    known.take_record(state(9, "stopping"), 101.0)
    assert known.watchers["web"].state == "active"
    assert not known.watchers["web"].wished


def test_a_snapshot_that_a_record_has_overtaken_changes_no_state(known: Fleet) -> None:
    known.take_record(state(12, "stopping"), 101.0)
    known.take_snapshot(fleet.telemetry(fleet.watcher("web", 2), seq=11), 101.1)
    assert known.watchers["web"].state == "stopping"
    known.take_snapshot(fleet.telemetry(fleet.watcher("web", 0, state="stopped"), seq=13), 101.2)
    assert known.watchers["web"].state == "stopped"
    assert known.watchers["web"].wished


def test_ends_count_also_when_a_snapshot_knew_of_them(known: Fleet) -> None:
    known.take_record(exited(8), 95.0)
    web = known.watchers["web"]
    assert within(web.ends, 90.0) == within(web.failures, 90.0) == 1
    assert within(web.ends, 95.0) == 0
    assert within(web.ends, 0.0, ("oom",)) == 0


def test_an_end_with_exit_code_0_is_a_failure_only_where_it_is_started_again(known: Fleet) -> None:
    web = known.watchers["web"]
    known.take_record(exited(11, "completed"), 101.0)
    assert within(web.failures, 0.0) == 0
    again = {"cause": "crash", "replacement": True, "generation": 3, "spawn_seconds": 0.0, "respawn_seconds": 0.002}
    known.take_record(fleet.record(12, data=again, cause=Cause(kind="record", seq=11)), 101.5)
    assert [event.what for event in web.failures] == ["completed"]
    known.take_record(exited(13), 102.0)
    known.take_record(fleet.record(14, data=again, cause=Cause(kind="record", seq=13)), 102.5)
    assert [event.what for event in web.failures] == ["completed", "exit_error"]


def test_a_stop_by_somebody_ends_what_went_wrong_before(known: Fleet) -> None:
    known.take_record(exited(11), 101.0)
    known.take_record(fleet.record(12, "hook.finished", data={"hook": "before_start", "ok": False}), 101.0)
    known.take_record(state(13, "stopping"), 102.0)
    web = known.watchers["web"]
    assert not web.ends
    assert not web.failures
    assert not web.hooks


def test_a_watcher_on_its_way_up_is_left_in_peace_until_it_is_up(known: Fleet) -> None:
    known.take_record(state(11, "stopping"), 101.0)
    known.take_record(state(12, "starting"), 102.0)
    assert known.watchers["web"].grace_until == 102.0 + GRACE_SECONDS
    known.take_record(state(13, "backoff", BY_RECORD), 103.0)
    known.take_record(state(14, "starting", BY_RECORD), 104.0)
    assert known.watchers["web"].grace_until == 102.0 + GRACE_SECONDS
    known.take_record(state(15, "active"), 105.0)
    assert known.watchers["web"].grace_until == 0.0


def test_a_reload_is_known_from_records_and_from_snapshots(known: Fleet) -> None:
    web = known.watchers["web"]
    known.take_record(fleet.record(11, "reload.started"), 101.0)
    assert web.reload_started == 101.0
    known.take_snapshot(fleet.telemetry(fleet.watcher("web", 2, reload_started=fleet.STARTED + 3), seq=11), 110.0)
    assert web.reload_started == 101.0
    known.take_record(fleet.record(12, "reload.finished"), 111.0)
    assert web.reload_started is None
    late = Fleet()
    late.take_snapshot(fleet.telemetry(fleet.watcher("web", 2, reload_started=fleet.STARTED + 3)), 110.0)
    assert late.watchers["web"].reload_started == 103.0


def test_since_when_output_is_silent_is_known_only_to_who_saw_it_begin(known: Fleet) -> None:
    web = known.watchers["web"]

    def written(number: int, seq: int, now: float) -> None:
        counters = fleet.counters(stream_bytes={"stdout": number})
        known.take_snapshot(fleet.telemetry(fleet.watcher("web", 2, counters=counters), seq=seq), now)

    assert web.output_changed is None
    written(100, 11, 110.0)
    assert (web.output_changed, web.output_seen) == (110.0, False)
    written(100, 12, 120.0)
    assert (web.output_changed, web.output_seen) == (110.0, False)
    written(101, 13, 130.0)
    assert (web.output_changed, web.output_seen) == (130.0, True)


def test_watchers_come_and_go(known: Fleet) -> None:
    known.take_record(fleet.record(11, "watcher.added", "api"), 101.0)
    assert known.watchers["api"].down
    known.take_snapshot(fleet.telemetry(fleet.watcher("web", 2), seq=10), 102.0)
    assert "api" in known.watchers
    known.take_record(fleet.record(12, "watcher.removed", "web"), 103.0)
    assert "web" not in known.watchers
    known.take_snapshot(fleet.telemetry(seq=13), 104.0)
    assert known.watchers == {}


def test_the_end_of_the_daemon_is_known_from_its_record_on(known: Fleet) -> None:
    known.take_record(fleet.record(11, "arbiter.stopping", None), 101.0)
    assert known.stopping
    late = Fleet()
    late.take_snapshot(fleet.telemetry(arbiter={"state": "stopping"}), 100.0)
    assert late.stopping
    known.begin()
    assert not known.stopping
    assert known.watchers == {}


def test_only_what_a_snapshot_tells_more_of_asks_for_one(known: Fleet) -> None:
    known.dirty = False
    known.take_record(fleet.record(11, "command.started", None), 101.0)
    known.take_record(fleet.record(12, "alert.firing"), 101.0)
    assert not known.dirty
    known.take_record(exited(13), 101.0)
    assert known.dirty
