"""What the fleet state takes, and for how long it holds it true."""

from __future__ import annotations

import pytest

from circus.wire.samples import Totals
from circus_exporters.state import FleetState, Missing, stale_after
from tests.fakes import fleet


@pytest.fixture
def state() -> FleetState:
    """A daemon with a watcher of two processes, attached and sampled at 100."""
    made = FleetState("ipc:///run/c/control")
    made.attach(fleet.telemetry(fleet.watcher("web", 2)), 100.0)
    made.fold_daemon(fleet.daemon_sample(seq=1), 100.0)
    made.fold_sample(fleet.sample("web", 2, seq=1), 100.0)
    return made


def shown(state: FleetState, now: float) -> dict[str, int]:
    return {sample.watcher: len(sample.processes) for sample in state.samples(now)}


def test_nothing_is_up_before_a_daemon_answers() -> None:
    state = FleetState()
    assert not state.up(1000.0)
    assert state.watchers() == []


def test_a_daemon_that_answers_is_up_while_its_first_sample_is_on_the_way() -> None:
    state = FleetState()
    state.attach(fleet.telemetry(), 100.0)
    assert state.up(101.0)
    assert not state.up(100.0 + stale_after(0.0) + 1.0)


def test_a_daemon_without_stats_channel_is_up_when_it_answers() -> None:
    state = FleetState()
    state.attach(fleet.telemetry(), 100.0, sampled=False)
    assert state.up(9999.0)


def test_a_stale_sample_makes_it_down_and_drops_the_processes(state: FleetState) -> None:
    assert state.up(130.0)
    assert shown(state, 130.0) == {"web": 2}
    assert not state.up(130.5)
    assert shown(state, 130.5) == {}


@pytest.mark.parametrize(("interval", "limit"), [(1.0, 30.0), (3.0, 30.0), (60.0, 600.0)])
def test_stale_is_ten_intervals_and_thirty_seconds_at_least(interval: float, limit: float) -> None:
    assert stale_after(interval) == limit


def test_processes_of_a_watcher_that_is_not_sampled_any_more_are_dropped(state: FleetState) -> None:
    state.fold_daemon(fleet.daemon_sample(seq=2), 103.0)
    assert shown(state, 103.0) == {"web": 2}
    state.fold_daemon(fleet.daemon_sample(seq=3), 104.0)
    assert shown(state, 104.0) == {}


def test_processes_of_a_watcher_without_living_ones_are_dropped_at_once(state: FleetState) -> None:
    stopped = fleet.watcher("web", 0, state="stopped")
    state.fold_telemetry(fleet.telemetry(stopped))
    assert shown(state, 100.0) == {}


def test_a_removed_watcher_takes_its_samples_with_it(state: FleetState) -> None:
    state.fold_telemetry(fleet.telemetry(fleet.watcher("api", 1)))
    state.fold_telemetry(fleet.telemetry(fleet.watcher("web", 2)))
    assert shown(state, 100.0) == {}


def test_after_the_end_of_the_daemon_nothing_of_it_is_told(state: FleetState) -> None:
    state.detach()
    assert not state.up(100.0)
    assert state.watchers() == []
    assert shown(state, 100.0) == {}


def test_the_same_daemon_is_known_again_and_another_one_told_apart(state: FleetState) -> None:
    state.detach()
    assert not state.attach(fleet.telemetry(), 200.0)
    state.detach()
    assert state.attach(fleet.telemetry(boot="other"), 300.0)


def test_samples_of_another_boot_are_refused(state: FleetState) -> None:
    assert not state.fold_sample(fleet.sample("web", 5, boot="other"), 101.0)
    assert not state.fold_daemon(fleet.daemon_sample(boot="other"), 101.0)
    assert shown(state, 101.0) == {"web": 2}


def test_holes_in_the_seq_of_a_topic_are_counted(state: FleetState) -> None:
    state.fold_sample(fleet.sample("web", 2, seq=2), 101.0)
    state.fold_sample(fleet.sample("web", 2, seq=6), 105.0)
    state.fold_daemon(fleet.daemon_sample(seq=3), 105.0)
    assert state.stats_gaps == 4


def test_the_first_message_of_a_topic_is_no_hole() -> None:
    state = FleetState()
    state.attach(fleet.telemetry(fleet.watcher("web", 2)), 0.0)
    state.fold_sample(fleet.sample("web", 2, seq=5000), 1.0)
    assert state.stats_gaps == 0


def test_records_up_to_the_snapshot_are_passed_over(state: FleetState) -> None:
    assert state.fold_record(fleet.record(10)) is None
    assert list(state.recent) == []


def test_a_hole_before_a_record_is_told_and_the_record_not_taken(state: FleetState) -> None:
    missing = state.fold_record(fleet.record(14))
    assert missing == Missing(11, 13)
    assert missing is not None
    assert missing.count == 3
    assert state.last_seq == 10


def test_records_in_order_are_kept_up_to_a_bound(state: FleetState) -> None:
    for seq in range(11, 61):
        assert state.fold_record(fleet.record(seq)) is None
    assert [record.seq for record in state.recent] == list(range(41, 61))


def test_records_that_cannot_be_had_are_counted_once(state: FleetState) -> None:
    state.lose_records(14)
    state.lose_records(12)
    assert state.events_lost == 4
    assert state.fold_record(fleet.record(15)) is None


def test_the_cpu_of_a_watcher_is_the_sample_while_its_processes_live(state: FleetState) -> None:
    (watcher,) = state.watchers()
    assert state.watcher_cpu(watcher) == (13.25 + 14.25, 7.0)


def test_the_cpu_of_a_watcher_takes_the_exact_end_when_that_is_newer(state: FleetState) -> None:
    ended = fleet.counters(cpu_user_seconds=40.0, cpu_system_seconds=1.0)
    state.fold_telemetry(fleet.telemetry(fleet.watcher("web", 0, counters=ended)))
    assert state.watcher_cpu(state.watchers()[0]) == (40.0, 7.0)


def test_the_cpu_of_a_watcher_is_unknown_before_its_first_sample() -> None:
    state = FleetState()
    state.attach(fleet.telemetry(fleet.watcher("web", 2), fleet.watcher("idle", 0)), 0.0)
    busy, idle = state.watchers()
    assert state.watcher_cpu(busy) is None
    assert state.watcher_cpu(idle) == (0.0, 0.0)


def test_the_cpu_of_a_watcher_stays_when_its_samples_go_stale(state: FleetState) -> None:
    before = state.watcher_cpu(state.watchers()[0])
    assert list(state.samples(500.0)) == []
    assert state.watcher_cpu(state.watchers()[0]) == before


def test_the_cpu_of_a_watcher_never_falls_over_exits_and_samples() -> None:
    state = FleetState()
    told = []
    # A process burns 5 s, is sampled at 4, ends (its 5 s become exact), and the next one is sampled at 1.
    steps = [(2.0, 0.0, 1), (4.0, 0.0, 1), (4.0, 5.0, 0), (4.0, 5.0, 1), (6.0, 5.0, 1)]
    for seq, (total, ended, alive) in enumerate(steps):
        counters = fleet.counters(cpu_user_seconds=ended)
        telemetry = fleet.telemetry(fleet.watcher("web", alive, counters=counters))
        if not seq:
            state.attach(telemetry, 0.0)
        state.fold_telemetry(telemetry)
        sample = fleet.sample("web", alive, seq=seq, totals=Totals(alive, total, 0.0, 0))
        state.fold_sample(sample, float(seq))
        cpu = state.watcher_cpu(state.watchers()[0])
        assert cpu is not None
        told.append(cpu[0])
    assert told == sorted(told)
