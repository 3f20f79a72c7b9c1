"""Histories in which the options of a watcher change while it lives, and in which it is left alone for good."""

from dataclasses import replace

import pytest

from circus.core import stimuli as told
from circus.core.origin import Origin
from circus.core.watcher_fsm import WatcherState
from circus.spec.fields import Effect
from circus.spec.streams import StreamSpec
from circus.spec.watcher import HookSpec
from tests.fakes.world import drain, world


def started(**options):
    w = world(**options)
    w.submit("start")
    w.run(1)
    return w


def actions(w):
    """What was published since the watcher was up."""
    told = [action for action, _ in w.events]
    return told[told.index("start") + 1 :]


def changed(w):
    return [record.data for record in w.records if record.record == "watcher.changed"]


def test_what_matters_later_is_in_force_at_once_and_touches_nothing():
    w = started(numprocesses=2)
    op = w.change(graceful_timeout=3.0)
    assert w.answers[op] == {"effect": "nothing"}
    assert w.life.spec.graceful_timeout == w.life.crew.spec.graceful_timeout == 3.0
    assert w.specs == [w.life.spec]
    assert list(w.alive) == [100, 101]
    assert actions(w) == ["updated"]
    (data,) = changed(w)
    assert data == {"options": [{"name": "graceful_timeout", "old": 30.0, "new": 3.0}], "effect": "nothing"}


def test_each_key_is_one_event_before_anything_happens():
    w = started()
    w.change(cmd="other", priority=3)
    w.run(1)
    assert actions(w) == ["updated", "updated", "spawn", "kill", "reap", "reload"]


def test_what_is_set_to_what_it_was_is_told_of_as_an_event_and_no_record():
    w = started()
    op = w.change(cmd="program")
    assert w.answers[op] == {"effect": "nothing"}
    assert actions(w) == ["updated"]
    assert not changed(w)


@pytest.mark.parametrize(("target", "alive"), [(3, [100, 101, 102]), (1, [101]), (0, [])])
def test_another_number_of_processes_is_reached_before_the_answer(target, alive):
    w = started(numprocesses=2)
    op = w.change(numprocesses=target)
    assert op not in w.answers
    w.run(1)
    assert w.answers[op] == {"effect": "resize"}
    assert list(w.alive) == alive
    assert w.life.spec.numprocesses == w.life.target == target


def test_another_command_replaces_the_processes_gracefully():
    w = started(numprocesses=2)
    op = w.change(cmd="other")
    w.run(0)
    assert sorted(w.alive) == [100, 101, 102, 103]
    w.run(1)
    assert sorted(w.alive) == [102, 103]
    assert w.answers[op] == {"effect": "reload"}
    assert [r.data["cause"] for r in w.records if r.record == "process.spawned"][-2:] == ["reload", "reload"]


@pytest.mark.parametrize("target", [1, 2, 5])
def test_another_command_and_another_number_together(target):
    w = started(numprocesses=3)
    op = w.change(cmd="other", numprocesses=target)
    w.run(1)
    assert w.answers[op] == {"effect": "reload"}
    assert len(w.alive) == target
    assert min(w.alive) > 102


@pytest.mark.parametrize("target", [1, 5])
def test_with_send_hup_a_signal_is_enough_and_the_number_is_reached_all_the_same(target):
    w = started(numprocesses=3, send_hup=True)
    op = w.change(cmd="other", numprocesses=target)
    w.run(1)
    assert w.answers[op] == {"effect": "signal"}
    assert len(w.alive) == target
    signalled = [r.data["by"] for r in w.records if r.record == "process.signalled"]
    assert "reload" in signalled


def test_a_socket_that_changed_replaces_the_processes_even_with_send_hup():
    w = started(numprocesses=2, send_hup=True)
    op = w.change(replacing=True)
    w.run(1)
    assert sorted(w.alive) == [102, 103]
    assert w.answers[op] == {"effect": "reload"}


def test_the_processes_of_a_stopped_watcher_come_with_the_new_options_when_it_starts():
    w = world()
    op = w.change(cmd="other", numprocesses=2)
    assert w.answers[op] == {"effect": "nothing"}
    w.submit("start")
    w.run(1)
    assert len(w.alive) == 2
    assert w.life.spec.cmd == "other"


def test_a_watcher_that_waits_for_its_socket_goes_on_waiting():
    w = world(on_demand=True)
    w.submit("start")
    op = w.change(cmd="other")
    assert w.answers[op] == {"effect": "nothing"}
    assert w.life.state is WatcherState.WAITING


def test_a_crash_loop_ends_at_once_with_the_command_that_works():
    w = world(max_retry=-1)
    w.failing_spawns = 20
    w.submit("start")
    w.run(12)
    assert w.life.state is WatcherState.BACKOFF
    w.failing_spawns = 0
    op = w.change(cmd="other")
    w.run(0)
    assert len(w.alive) == 1
    assert w.answers[op] == {"effect": "reload"}


def test_changes_queue_and_each_builds_upon_the_one_before():
    w = started()
    w.stop_seconds = 1.0
    first, second, third = w.change(cmd="one"), w.change(args="-x"), w.submit("resize", delta=1)
    fourth = w.change(stop_signal=2)
    w.run(10)
    assert set(w.answers) >= {first, second, third, fourth}
    assert (w.life.spec.cmd, w.life.spec.args, w.life.spec.stop_signal) == ("one", "-x", 2)
    assert len(w.alive) == w.life.spec.numprocesses == 2


def test_what_incr_made_of_the_number_stays_when_something_else_changes():
    w = started()
    w.submit("resize", delta=2)
    w.run(1)
    w.change(cmd="other")
    w.run(1)
    assert len(w.alive) == 3


def test_a_change_waits_until_a_start_that_nobody_asked_for_is_over():
    w = world(on_demand=True, numprocesses=3, warmup_delay=1.0)
    w.submit("start")
    w.tell(told.SocketReady())
    w.run(0.5)
    assert len(w.alive) == 1
    op = w.change(cmd="other")
    w.run(0.1)
    assert op not in w.answers
    w.run(20)
    assert w.answers[op] == {"effect": "reload"}
    assert min(w.alive) > 102


def test_a_stop_overtakes_a_change_that_waits_and_its_values_stay():
    w = started()
    w.stop_seconds = 1.0
    reload, change = w.submit("reload"), w.change(cmd="other")
    stop = w.submit("stop")
    assert w.refusals[reload] == "cancelled: stop overtook reload of 'web'"
    assert w.refusals[change] == (
        "cancelled: stop overtook set of 'web'; what it set is in force from the next start on"
    )
    w.run(5)
    assert w.answers[stop] is None
    assert w.life.spec.cmd == "other"
    assert len(changed(w)) == 1


def test_a_stop_overtakes_a_change_that_goes_on():
    w = started()
    w.stop_seconds = 1.0
    change = w.change(cmd="other")
    w.run(0.5)
    w.submit("stop")
    assert w.refusals[change].startswith("cancelled: stop overtook set of 'web'")
    w.run(5)
    assert not w.alive
    assert len(changed(w)) == 1


def test_a_change_whose_new_processes_do_not_come_keeps_the_old_ones_and_says_so():
    w = started(numprocesses=2, max_retry=2)
    w.failing_spawns = 10**6
    op = w.change(cmd="nonexistent")
    w.run(60)
    assert w.refusals[op] == "reload of 'web' failed: a new process did not start: program not found"
    assert sorted(w.alive) == [100, 101]


def test_a_lower_max_age_counts_from_the_spawn_of_what_runs():
    w = started(send_hup=True)
    w.run(100)
    w.change(max_age=50, max_age_variance=0)
    w.run(1)
    assert list(w.alive) == [101]
    w.change(max_age=0)
    w.run(1000)
    assert list(w.alive) == [101]


def test_without_a_warmup_delay_nobody_is_held_any_longer():
    w = world(numprocesses=4, warmup_delay=1.0)
    w.submit("start")
    w.run(10)
    for pid in list(w.alive):
        w.die(pid)
    w.run(0.5)
    assert len(w.alive) == 1
    w.change(warmup_delay=0.0)
    w.run(1)
    assert len(w.alive) == 4


def test_respawn_that_is_switched_on_fills_what_is_missing():
    w = started(numprocesses=2, respawn=False)
    w.die(100)
    w.run(1)
    assert list(w.alive) == [101]
    op = w.change(respawn=True)
    w.run(1)
    assert w.answers[op] == {"effect": "resize"}
    assert len(w.alive) == 2


def test_a_stream_where_there_was_one_is_changed_under_the_living():
    w = started(stdout_stream=StreamSpec(options={"filename": "a"}))
    op = w.change(stdout_stream=StreamSpec(options={"filename": "b"}))
    assert w.answers[op] == {"effect": "reopen"}
    assert list(w.alive) == [100]


def test_hooks_that_come_are_asked_from_the_next_process_on():
    w = started()
    w.change(hooks={"before_spawn": HookSpec(target="a.b")})
    w.die(100)
    w.run(1)
    assert w.hooks == ["before_spawn"]


def test_what_is_assigned_is_in_force_at_once_and_touches_nothing_that_runs():
    w = world(hooks={"before_start": HookSpec(target="a.b")})
    w.hook_seconds = 5
    start = w.submit("start")
    spec = replace(w.life.spec, cmd="other", graceful_timeout=1.0, numprocesses=9)
    w.tell(
        told.Assigned(Origin(kind="command", name="api"), told.Change(spec=spec, effect=Effect.NOTHING, keys=("cmd",)))
    )
    assert (w.life.spec.cmd, w.life.spec.graceful_timeout, w.life.target) == ("other", 1.0, 1)
    assert [action for action, _ in w.events] == ["updated"]
    assert start not in w.answers


def test_a_watcher_that_is_abandoned_leaves_its_processes_as_they_are():
    w = started(numprocesses=2, hooks={"before_stop": HookSpec(target="a.b")})
    start = w.submit("resize", delta=1, name="incr")
    w.tell(told.Abandoned(Origin(kind="command", name="rm")))
    w.run(100)
    assert w.refusals[start] == "cancelled: rm overtook incr of 'web'"
    assert w.left == [100, 101]
    assert w.life.state is WatcherState.STOPPED
    assert actions(w) == []
    assert not w.hooks
    lost = [r for r in w.records if r.record == "process.lost"]
    assert [(r.pid, r.data["outcome"]) for r in lost] == [(100, "lost"), (101, "lost")]


@pytest.mark.parametrize("seconds", [0, 0.5, 3, 40])
def test_a_watcher_can_be_abandoned_at_any_moment(seconds):
    w = world(numprocesses=3, warmup_delay=1.0, graceful_timeout=2.0)
    w.ignore_term = True
    w.submit("start")
    w.run(seconds)
    stop = w.submit("stop")
    w.run(0.1)
    w.tell(told.Abandoned(Origin(kind="command", name="rm")))
    w.run(100)
    assert stop in w.answers
    assert w.life.state is WatcherState.STOPPED
    assert not w.alive


def test_after_all_of_it_a_stop_leaves_nothing():
    w = started(numprocesses=2)
    w.change(cmd="other")
    w.change(numprocesses=4)
    drain(w)
    assert not w.alive


def test_a_number_that_was_the_one_in_force_when_it_was_asked_for_is_reached_when_its_turn_comes():
    w = started(numprocesses=2)
    w.stop_seconds = 1.0
    w.change(numprocesses=0)
    change = told.Change(spec=replace(w.life.spec, numprocesses=2), effect=Effect.NOTHING, target=2)
    op = w.submit("change", name="set", start_cause="reload", change=change)
    w.run(10)
    assert w.answers[op] == {"effect": "resize"}
    assert w.life.state is WatcherState.ACTIVE
    assert len(w.alive) == 2


def test_the_number_to_come_is_the_one_when_all_that_waits_is_done():
    w = started(numprocesses=2)
    w.stop_seconds = 1.0
    w.submit("restart")
    assert w.life.coming_target == 2
    w.submit("resize", delta=3)
    assert w.life.coming_target == 5
    w.change(priority=1)
    w.submit("resize", target=1)
    w.submit("resize", delta=-3)
    assert w.life.coming_target == 0
    w.change(numprocesses=4)
    assert (w.life.target, w.life.coming_target) == (2, 4)
    w.run(10)
    assert w.life.target == w.life.coming_target == len(w.alive) == 4
