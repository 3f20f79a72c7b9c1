"""Histories of one watcher, played against a world without processes."""

import re

import pytest

from circus.core import stimuli as told
from circus.core.origin import Origin
from circus.core.watcher_fsm import WatcherState
from circus.spec.watcher import HookSpec
from tests.fakes.world import drain, world


def started(**options):
    w = world(**options)
    op = w.submit("start")
    w.run(1)
    assert op in w.answers
    return w


def actions(w):
    return [action for action, _ in w.events]


def exits(w):
    return [r.data for r in w.records if r.record == "process.exited"]


def test_a_start_answers_with_the_pids_it_started():
    w = world(numprocesses=2)
    op = w.submit("start")
    w.run(0)
    assert w.answers[op] == {"started": [100, 101], "kept": []}
    assert actions(w) == ["spawn", "spawn", "start"]


def test_the_time_to_readiness_counts_the_fork():
    w = started()
    ready = next(r for r in w.records if r.record == "process.ready")
    assert ready.data["seconds"] == pytest.approx(0.001)


def test_a_start_of_what_runs_keeps_it():
    w = started(numprocesses=2)
    op = w.submit("start")
    w.run(0)
    assert w.answers[op] == {"started": [], "kept": [100, 101]}


def test_a_death_is_followed_by_a_spawn_at_once():
    w = started()
    w.die(100)
    w.run(0)
    assert list(w.alive) == [101]
    assert actions(w)[-2:] == ["reap", "spawn"]
    assert w.life.status == "active"


def test_the_respawn_is_told_as_a_crash_that_came_from_the_death():
    w = started()
    w.run(20)
    w.die(100)
    w.run(0)
    exited = next(i for i, r in enumerate(w.records, 1) if r.record == "process.exited")
    spawned = [r for r in w.records if r.record == "process.spawned"][-1]
    assert spawned.data["cause"] == "crash"
    assert spawned.data["replacement"]
    assert spawned.origin.kind == "record"
    assert spawned.origin.seq == exited


def test_how_long_a_process_was_missing_is_told_when_it_is_there_again():
    w = started(backoff=5.0, backoff_max=5.0, backoff_jitter=0.0)
    for _ in range(3):
        w.die(*w.alive)
        w.run(1)
    w.die(*w.alive)
    w.run(60)
    w.submit("restart")
    w.run(1)
    gaps = [r.data["respawn_seconds"] for r in w.records if r.record == "process.spawned"]
    assert gaps[0] is gaps[-1] is None
    assert all(gap < 1 for gap in gaps[1:4])
    assert 5 <= gaps[4] < 6


def test_a_crash_loop_cools_down_and_never_gives_up():
    w = started()
    for _ in range(3):
        w.die(*w.alive)
        w.run(0)
        assert w.alive
    w.die(*w.alive)
    w.run(0.4)
    assert not w.alive
    assert w.life.state is WatcherState.BACKOFF
    assert w.life.status == "active"
    w.run(0.2)
    assert w.alive
    for _ in range(30):
        w.die(*w.alive)
        w.run(5.0)
    assert w.alive


def test_what_a_watcher_does_after_a_crash_points_back_to_the_crash():
    w = started()
    for _ in range(4):
        w.run(0)
        w.die(*w.alive)
    exited = max(i for i, r in enumerate(w.records, 1) if r.record == "process.exited")
    backoff = next(r for r in w.records if r.record == "watcher.state" and r.data["to"] == "backoff")
    assert (backoff.origin.kind, backoff.origin.seq) == ("record", exited)


def test_a_long_life_makes_the_next_restart_immediate():
    w = started()
    for _ in range(10):
        w.run(11)
        w.die(*w.alive)
        w.run(0)
        assert w.alive


def test_a_program_that_cannot_be_started_parks_the_watcher_after_max_retry():
    w = world(max_retry=5)
    w.failing_spawns = 1000
    op = w.submit("start")
    w.run(10)
    assert w.names().count("process.spawn_failed") == 5
    assert w.life.public_state == "fatal"
    assert w.life.status == "stopped"
    assert w.answers[op] == {"started": [], "kept": []}


def test_a_parked_watcher_starts_again_when_asked():
    w = world(max_retry=2)
    w.failing_spawns = 2
    w.submit("start")
    w.run(10)
    assert w.life.public_state == "fatal"
    w.submit("start")
    w.run(0)
    assert w.life.public_state == "active"


def test_a_parked_watcher_that_is_stopped_is_stopped():
    w = world(max_retry=1)
    w.failing_spawns = 1
    w.submit("start")
    w.run(1)
    told = w.names().count("watcher.state")
    for _ in range(2):
        w.submit("stop")
        w.run(0)
        assert w.life.public_state == "stopped"
    assert w.names().count("watcher.state") == told + 1


def test_max_retry_minus_one_tries_for_ever_without_haste():
    w = world(max_retry=-1)
    w.failing_spawns = 10**6
    w.submit("start")
    w.run(60)
    attempts = w.names().count("process.spawn_failed")
    assert 10 < attempts < 25
    assert w.life.public_state == "backoff"


def test_a_stop_signals_all_and_answers_when_they_are_gone():
    w = started(numprocesses=3)
    op = w.submit("stop")
    assert op not in w.answers
    w.run(1)
    assert w.answers[op] is None
    assert not w.alive
    assert actions(w)[-7:] == ["kill", "kill", "kill", "reap", "reap", "reap", "stop"]
    assert {e["reason"] for e in exits(w)} == {"stopped"}


def test_what_ignores_the_signal_is_killed_when_the_grace_is_over():
    w = world(graceful_timeout=2.0)
    w.ignore_term = True
    w.submit("start")
    w.run(0)
    w.submit("stop")
    w.run(1.9)
    assert w.alive
    w.run(0.2)
    assert not w.alive
    assert exits(w)[0]["outcome"] == "stop_timeout"
    assert "process.escalated" in w.names()


def test_hastened_ends_the_grace():
    w = world()
    w.ignore_term = True
    w.submit("start")
    w.run(0)
    w.submit("stop")
    w.tell(told.Hastened(Origin(kind="signal", name="SIGTERM")))
    w.run(0.1)
    assert not w.alive


def test_a_stop_overtakes_a_start_that_is_warming_up():
    w = world(numprocesses=5, warmup_delay=10.0)
    start = w.submit("start")
    w.run(15)
    assert len(w.alive) == 2
    stop = w.submit("stop")
    w.run(1)
    assert w.refusals[start] == "cancelled: stop overtook start of 'web'"
    assert stop in w.answers
    assert not w.alive
    w.run(100)
    assert not w.alive


def test_a_start_after_a_stop_waits_for_it():
    w = started()
    stop, start = w.submit("stop"), w.submit("start")
    w.run(1)
    assert w.answers[stop] is None
    assert w.answers[start] == {"started": [101], "kept": []}


def test_a_stop_overtakes_everything_that_waits():
    w = started()
    w.stop_seconds = 1.0
    restart, incr, reload = w.submit("restart"), w.submit("resize", delta=1), w.submit("reload")
    stop = w.submit("stop")
    w.run(5)
    assert set(w.refusals) == {restart, incr, reload}
    assert stop in w.answers
    assert w.life.status == "stopped"
    assert w.life.target == 1


def test_a_restart_replaces_all():
    w = started(numprocesses=2)
    op = w.submit("restart")
    w.run(1)
    assert w.answers[op] == {"stopped": [100, 101], "started": [102, 103], "kept": []}
    spawned = [r for r in w.records if r.record == "process.spawned"][-1]
    assert (spawned.data["cause"], spawned.data["replacement"]) == ("manual", True)


def test_a_graceful_reload_starts_the_new_before_it_ends_the_old():
    w = started(numprocesses=2)
    op = w.submit("reload")
    w.run(0)
    assert sorted(w.alive) == [100, 101, 102, 103]
    w.run(1)
    assert sorted(w.alive) == [102, 103]
    assert w.answers[op] == {"stopped": [100, 101], "started": [102, 103], "kept": []}
    assert actions(w)[-1] == "reload"
    assert sorted(w.life.crew.slots) == [3, 4]


def test_a_second_reload_goes_back_to_the_first_slots():
    w = started(numprocesses=2)
    for _ in range(2):
        w.submit("reload")
        w.run(1)
    assert sorted(w.life.crew.slots) == [1, 2]


def test_a_reload_whose_new_processes_fail_keeps_the_old_ones():
    w = started(numprocesses=2, max_retry=2)
    w.failing_spawns = 10**6
    op = w.submit("reload")
    w.run(60)
    assert w.refusals[op] == "reload of 'web' failed: a new process did not start: program not found"
    assert sorted(w.alive) == [100, 101]
    finished = next(r for r in w.records if r.record == "reload.finished")
    assert not finished.data["ok"]
    assert "reload" not in actions(w)


def test_a_stop_in_the_middle_of_a_reload_ends_old_and_new():
    w = started(numprocesses=2)
    reload = w.submit("reload")
    w.run(0)
    stop = w.submit("stop")
    w.run(1)
    assert w.refusals[reload] == "cancelled: stop overtook reload of 'web'"
    assert stop in w.answers
    assert not w.alive


def test_a_sequential_reload_replaces_one_after_the_other():
    w = started(numprocesses=3)
    op = w.submit("reload", sequential=True)
    before = len(w.events)
    w.run(2)
    assert [action for action, _ in w.events[before - 1 :]] == ["kill", "reap", "spawn"] * 3 + ["reload"]
    assert w.answers[op] == {"stopped": [100, 101, 102], "started": [103, 104, 105], "kept": []}


def test_a_singleton_is_never_there_twice():
    w = started(singleton=True)
    w.submit("reload")
    for _ in range(100):
        w.run(0.01)
        assert len(w.alive) <= 1
    assert list(w.alive) == [101]


def test_a_reload_of_what_is_stopped_starts_it_and_is_told_as_both():
    w = started()
    w.submit("stop")
    w.run(1)
    op = w.submit("reload")
    w.run(1)
    assert w.answers[op] == {"stopped": [], "started": [101], "kept": []}
    assert actions(w)[-3:] == ["spawn", "start", "reload"]


def test_the_answer_to_a_reload_by_hup_names_the_processes_it_kept():
    w = started(numprocesses=2, send_hup=True)
    op = w.submit("reload")
    w.run(1)
    assert w.answers[op] == {"stopped": [], "started": [], "kept": [100, 101]}


def test_a_reload_by_hup_keeps_the_pids():
    w = started(numprocesses=2, send_hup=True)
    op = w.submit("reload")
    w.run(1)
    assert sorted(w.alive) == [100, 101]
    assert op in w.answers


def test_decr_ends_the_oldest_and_answers_when_they_are_gone():
    w = started(numprocesses=3)
    op = w.submit("resize", delta=-2)
    assert op not in w.answers
    w.run(1)
    assert w.answers[op] == 1
    assert list(w.alive) == [102]


def test_decr_to_nothing_stays_active_and_incr_brings_it_back():
    w = started()
    w.submit("resize", delta=-5)
    w.run(1)
    assert (w.life.status, w.life.target) == ("active", 0)
    op = w.submit("resize", delta=2)
    w.run(1)
    assert w.answers[op] == 2
    assert len(w.alive) == 2


def test_a_watcher_started_with_no_processes_is_stopped():
    w = world(numprocesses=0)
    op = w.submit("start")
    w.run(1)
    assert w.life.status == "stopped"
    assert op in w.answers


def test_resizing_a_stopped_watcher_only_changes_the_number():
    w = world()
    op = w.submit("resize", delta=3)
    w.run(1)
    assert w.answers[op] == 4
    assert not w.alive


def test_without_respawn_the_watcher_stops_with_its_last_process():
    w = started(numprocesses=2, respawn=False)
    w.die(100, 0)
    w.run(1)
    assert w.life.status == "active"
    w.die(101, 0)
    w.run(1)
    assert w.life.status == "stopped"
    assert not w.alive


def test_max_age_replaces_a_process_and_says_so():
    w = started(max_age=60, max_age_variance=0)
    w.run(59)
    assert list(w.alive) == [100]
    w.run(3)
    assert list(w.alive) == [101]
    assert exits(w)[0]["reason"] == "max_age"
    assert [r.data["cause"] for r in w.records if r.record == "process.spawned"][-1] == "max_age"


def test_a_killed_process_is_replaced():
    w = started(numprocesses=2)
    w.tell(told.KillAsked(Origin(kind="command", name="kill"), 100))
    w.run(1)
    assert sorted(w.alive) == [101, 102]


ALL_HOOKS = ("before_start", "after_start", "before_spawn", "after_spawn", "before_stop", "after_stop")


def hooked(*names, **options):
    return world(hooks={name: HookSpec(target="x") for name in names or ALL_HOOKS}, **options)


def test_hooks_are_called_in_order():
    w = hooked()
    w.submit("start")
    w.run(1)
    w.submit("stop")
    w.run(1)
    assert w.hooks == ["before_start", "before_spawn", "after_spawn", "after_start", "before_stop", "after_stop"]


def test_before_start_says_no_and_nothing_is_started():
    w = hooked()
    w.veto = {"before_start"}
    op = w.submit("start")
    w.run(1)
    assert w.life.status == "stopped"
    assert w.hooks == ["before_start"]
    assert w.events == []
    assert w.answers[op] == {"started": [], "kept": []}


@pytest.mark.parametrize("hook", ["before_spawn", "after_spawn", "after_start"])
def test_a_veto_on_the_way_up_stops_the_watcher(hook):
    w = hooked(hook)
    w.veto = {hook}
    op = w.submit("start")
    w.run(1)
    assert w.life.status == "stopped"
    assert not w.alive
    assert w.answers[op] == {"started": [], "kept": []}


@pytest.mark.parametrize("hook", ["before_start", "before_spawn", "after_spawn", "after_start"])
def test_a_stop_does_not_wait_for_a_hook_on_the_way_up(hook):
    w = hooked(hook)
    w.silent = {hook}
    start = w.submit("start")
    w.run(1)
    stop = w.submit("stop")
    w.run(1)
    assert start in w.refusals
    assert stop in w.answers
    assert w.life.status == "stopped"
    assert w.hooks == [hook]


def test_a_late_answer_of_a_hook_does_no_harm():
    w = hooked("before_start")
    w.submit("start")
    stop = w.submit("stop")
    w.run(1)
    assert stop in w.answers
    assert w.life.status == "stopped"


def test_on_demand_waits_for_a_connection():
    w = world(on_demand=True)
    op = w.submit("start")
    assert op in w.answers
    assert w.life.public_state == "waiting"
    assert w.life.status == "stopped"
    w.tell(told.SocketReady())
    w.run(0)
    assert w.alive
    assert w.life.public_state == "active"


def test_a_process_that_sigkill_does_not_end_is_given_up_as_lost():
    w = started(graceful_timeout=0.0)
    w.stop_seconds = 10**9
    w._SendSignal = lambda effect: w.tell(told.Signalled(effect.order, (effect.pid,)))
    op = w.submit("stop")
    w.run(60)
    assert "process.lost" in w.names()
    assert w.refusals[op] == "stop of 'web': SIGKILL did not end 100"
    assert w.life.status == "stopped"


def test_draining_leaves_nothing():
    w = started(numprocesses=4)
    assert drain(w) in w.answers
    assert not w.alive
    assert not w.life.crew.slots


def awake(**options):
    w = world(on_demand=True, **options)
    w.submit("start")
    w.tell(told.SocketReady())
    w.run(1)
    assert w.life.public_state == "active"
    return w


def test_on_demand_sleeps_when_its_last_process_is_gone_and_tells_no_stop():
    w = awake()
    w.run(20)
    w.die(100, 0)
    w.run(1)
    assert (w.life.public_state, w.life.status) == ("waiting", "stopped")
    assert actions(w) == ["spawn", "start", "reap"]
    assert w.watching
    w.tell(told.SocketReady())
    w.run(1)
    assert actions(w)[3:] == ["spawn", "start"]


def test_as_many_are_started_as_the_hook_before_the_start_says():
    w = hooked("before_start", "after_start")
    w.silent = {"before_start"}
    start = w.submit("start")
    resize = w.submit("resize", target=3)
    assert w.answers[resize] == 3
    w.answer("before_start", w.life.crew.token)
    w.run(1)
    assert len(w.answers[start]["started"]) == 3
    assert w.life.target == 3


def test_a_stop_overtakes_the_hook_of_a_start_that_a_connection_began():
    w = world(on_demand=True, hooks={"before_start": HookSpec(target="x")})
    w.submit("start")
    w.silent = {"before_start"}
    w.tell(told.SocketReady())
    assert w.life.public_state == "starting"
    stop = w.submit("stop")
    w.run(1)
    assert stop in w.answers
    assert w.life.public_state == "stopped"


@pytest.mark.parametrize("numprocesses", [1, 2])
def test_on_demand_sleeps_when_all_its_processes_were_killed(numprocesses):
    w = awake(numprocesses=numprocesses)
    w.tell(told.KillAsked(Origin(kind="command", name="kill")))
    w.run(1)
    assert (w.life.public_state, w.alive, w.watching) == ("waiting", {}, True)


def test_on_demand_replaces_who_is_killed_while_others_live():
    w = awake(numprocesses=2)
    w.tell(told.KillAsked(Origin(kind="command", name="kill"), 100))
    w.run(1)
    assert (w.life.public_state, len(w.alive), 100 in w.alive) == ("active", 2, False)


def test_on_demand_sleeps_when_its_only_process_is_too_old():
    w = awake(max_age=10, max_age_variance=0)
    w.run(30)
    assert (w.life.public_state, w.watching) == ("waiting", True)


def test_on_demand_replaces_who_dies_while_others_live():
    w = awake(numprocesses=2)
    w.die(100)
    w.run(1)
    assert len(w.alive) == 2


def test_on_demand_that_dies_at_each_connection_listens_less_and_less():
    w = awake()
    naps = []
    for _ in range(6):
        w.die(*w.alive)
        began = w.now
        while not w.watching:
            w.run(0.01)
        naps.append(round(w.now - began, 1))
        w.tell(told.SocketReady())
        w.run(0)
    assert naps == [0.0, 0.0, 0.0, 0.5, 1.0, 2.0]


def test_a_restart_of_an_on_demand_watcher_leaves_it_waiting():
    w = awake()
    op = w.submit("restart")
    w.run(1)
    assert w.life.public_state == "waiting"
    assert w.answers[op] == {"stopped": [100], "started": [], "kept": []}
    assert w.watching


def test_a_stop_of_a_sleeping_watcher_ends_the_sleep():
    w = awake()
    for _ in range(3):
        w.die(*w.alive)
        w.tell(told.SocketReady())
        w.run(0)
    w.die(*w.alive)
    assert (w.life.public_state, w.watching) == ("waiting", False)
    op = w.submit("stop")
    w.run(100)
    assert op in w.answers
    assert (w.life.public_state, w.watching) == ("stopped", False)


def test_on_demand_without_respawn_sleeps_too():
    w = awake(respawn=False)
    w.die(100, 0)
    w.run(1)
    assert w.life.public_state == "waiting"


def test_a_graceful_reload_does_not_wait_between_its_spawns():
    w = world(numprocesses=3, warmup_delay=10.0)
    w.submit("start")
    w.run(30)
    assert sorted(w.alive) == [100, 101, 102]
    w.submit("reload")
    w.run(1)
    assert sorted(w.alive) == [103, 104, 105]


def test_a_sequential_reload_waits_between_two_processes_with_all_of_them_there():
    w = world(numprocesses=3, warmup_delay=10.0)
    w.submit("start")
    w.run(40)
    op = w.submit("reload", sequential=True)
    seen = []
    for _ in range(30):
        w.run(1)
        seen.append(len(w.alive))
        if op in w.answers:
            break
    assert set(seen) == {3}
    assert len(seen) > 20
    assert sorted(w.alive) == [103, 104, 105]


def test_incr_without_respawn_changes_the_number_only():
    w = started(respawn=False)
    op = w.submit("resize", delta=2)
    w.run(1)
    assert w.answers[op] == 3
    assert len(w.alive) == 1


def test_the_same_failure_to_start_is_told_ten_times_and_then_once_a_minute():
    w = world(numprocesses=50, max_retry=-1, backoff=1.0, backoff_max=1.0, backoff_jitter=0.0)
    w.failing_spawns = 10**6
    w.submit("start")
    w.run(59)
    assert len(w.lines) == 10
    assert all(line.startswith(f"error in 'web': {MISSING} (wid ") for line in w.lines)
    w.run(60)
    assert len(w.lines) == 11
    assert re.fullmatch(
        rf"error in 'web': {MISSING} \(wid 1, attempt \d+, the next in 1 s; \d+ more in between\)", w.lines[-1]
    )
    w.submit("restart")
    w.run(1)
    assert sum("error in 'web'" in line for line in w.lines[11:]) == 10


def test_a_failure_to_start_says_which_attempt_it_was_and_when_the_next_comes():
    w = world(max_retry=6, backoff=0.5, backoff_max=60.0, backoff_jitter=0.0)
    w.failing_spawns = 10
    w.submit("start")
    w.run(60)
    said = ["attempt 1, the next at once", "attempt 2, the next at once", "attempt 3, the next at once",
            "attempt 4, the next in 0.5 s", "attempt 5, the next in 1 s", "attempt 6"]  # fmt: skip
    assert w.lines[:6] == [f"error in 'web': {MISSING} ({each})" for each in said]
    assert w.lines[6] == "'web' gives up after 6 failed attempts to start a process"


def test_no_next_attempt_is_promised_after_the_last_one():
    w = world(numprocesses=2, max_retry=2)
    w.failing_spawns = 10
    w.submit("start")
    w.run(60)
    told = ["wid 1, attempt 1, the next at once", "wid 2, attempt 1, the next at once", "wid 1, attempt 2",
            "wid 2, attempt 2"]  # fmt: skip
    assert w.lines[:4] == [f"error in 'web': {MISSING} ({each})" for each in told]


def test_an_attempt_that_waits_for_the_warm_up_is_not_said_to_come_at_once():
    w = world(warmup_delay=5.0)
    w.failing_spawns = 2
    w.submit("start")
    w.run(1)
    assert w.lines == [f"error in 'web': {MISSING} (attempt 1)"]


MISSING = "program not found"


def test_a_start_that_leads_nowhere_has_its_reason():
    w = world(max_retry=5)
    w.failing_spawns = 4
    w.submit("start")
    w.run(0)
    assert w.life.shortfall == f"{MISSING} (it is tried again)"
    w.run(10)
    assert (w.life.status, w.life.shortfall) == ("active", None)


def test_a_start_that_was_given_up_has_its_reason_until_it_is_stopped_or_started():
    w = world(max_retry=2)
    w.failing_spawns = 4
    w.submit("start")
    w.run(10)
    assert w.life.public_state == "fatal"
    assert w.life.shortfall == f"{MISSING} (it is given up after 2 attempts)"
    w.submit("start")
    w.run(10)
    w.submit("start")
    w.run(10)
    assert (w.life.status, w.life.shortfall) == ("active", None)
    w.submit("stop")
    w.run(10)
    assert (w.life.status, w.life.shortfall) == ("stopped", None)


def test_a_start_of_which_a_part_fails_has_its_reason():
    w = world(numprocesses=3, max_retry=-1)
    w.failing_spawns = 10
    op = w.submit("start")
    w.run(0)
    assert len(w.answers[op]["started"]) == 2
    assert w.life.shortfall == f"1 of 3 processes: {MISSING} (it is tried again)"


def test_a_crash_loop_has_its_reason_while_nothing_runs():
    w = started()
    while w.life.state is not WatcherState.BACKOFF:
        w.die(next(iter(w.alive)))
        w.run(0)
    assert w.life.shortfall == "its processes end as soon as they are started (it is tried again)"


@pytest.mark.parametrize("hook", ["before_start", "before_spawn", "after_spawn", "after_start"])
def test_a_hook_that_does_not_let_a_watcher_run_is_the_reason(hook):
    w = hooked(hook)
    w.veto = {hook}
    w.submit("start")
    w.run(1)
    assert w.life.shortfall == f"its hook {hook} said no (it did not return True)"
    w.veto, w.failing = set(), {hook}
    w.submit("start")
    w.run(1)
    assert w.life.shortfall.startswith(f"its hook {hook} failed: ")


@pytest.mark.parametrize("change", [False, True])
def test_what_comes_up_and_is_resized_to_nothing_is_active_without_processes(change):
    w = world(max_retry=-1)
    w.failing_spawns = 1000
    w.submit("start")
    w.run(0.1)
    assert w.life.status == "starting"
    op = w.change(numprocesses=0) if change else w.submit("resize", target=0)
    w.run(0)
    assert op in w.answers
    assert (w.life.status, w.life.shortfall, actions(w)[-1]) == ("active", None, "start")
    w.failing_spawns = 0
    w.submit("resize", target=2)
    w.run(1)
    assert len(w.alive) == 2


def test_a_watcher_that_waits_to_spawn_again_and_is_resized_to_nothing_stays_active():
    w = started(max_retry=-1)
    w.failing_spawns = 1000
    w.die(100)
    w.run(1)
    assert w.life.state is WatcherState.BACKOFF
    w.submit("resize", target=0)
    assert (w.life.status, w.life.state) == ("active", WatcherState.ACTIVE)
