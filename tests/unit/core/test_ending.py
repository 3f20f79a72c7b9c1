"""Histories of ends: signals with the hooks around them, and what a death sets off."""

import pytest

from circus.core import stimuli as told
from circus.core.exit_status import Leftover
from circus.core.origin import Origin
from circus.spec.watcher import HookSpec
from tests.fakes.world import World, drain, world

ENDING_HOOKS = ("before_signal", "after_signal", "before_reap", "after_reap")
TERM, KILL, USR1 = 15, 9, 10


def running(*hooks: str, **options) -> World:
    w = world(hooks={name: HookSpec(target="x") for name in hooks}, **options)
    w.submit("start")
    w.run(1)
    assert w.life.public_state == "active"
    w.told.clear()
    w.asked.clear()
    return w


def operator(kind="command"):
    return Origin(kind=kind, name="signal", actor="uid:0")


def test_a_stop_with_all_hooks_goes_in_the_order_of_0_19():
    w = running("before_stop", "after_stop", *ENDING_HOOKS)
    w.submit("stop")
    w.run(5)
    assert w.told == ["before_stop", "before_signal", "after_signal", "kill", "before_reap", "reap", "after_reap",
                      "stop", "after_stop"]  # fmt: skip


def test_a_crash_with_all_hooks_goes_in_the_order_of_0_19():
    w = running("before_spawn", "after_spawn", *ENDING_HOOKS)
    w.die(100)
    w.run(1)
    assert w.told == ["before_reap", "reap", "after_reap", "before_spawn", "after_spawn", "spawn"]


def test_the_hooks_are_told_what_0_19_told_them():
    w = running(*ENDING_HOOKS)
    w.submit("stop")
    w.run(1)
    assert w.asked == [
        ("before_signal", {"pid": 100, "signum": TERM}),
        ("after_signal", {"pid": 100, "signum": TERM}),
        ("before_reap", {"process_pid": 100}),
        ("after_reap", {"process_pid": 100, "exit_code": -15, "process_status": None}),
    ]
    w.submit("start")
    w.run(1)
    w.die(101, 3)
    w.run(0.015)
    assert w.asked[-1] == ("after_reap", {"process_pid": 101, "exit_code": 3, "process_status": 2})


def test_before_signal_says_no_and_the_grace_runs_all_the_same():
    w = running(*ENDING_HOOKS, graceful_timeout=2.0)
    w.veto = {"before_signal"}
    w.submit("stop")
    w.run(1.9)
    assert w.signals == []
    assert w.told == ["before_signal", "after_signal", "kill"]
    w.run(0.3)
    assert w.signals == [(100, KILL)]
    assert not w.alive


def test_a_before_signal_that_fails_has_not_said_no():
    w = running("before_signal")
    w.failing = {"before_signal"}
    w.submit("stop")
    w.run(1)
    assert w.signals == [(100, TERM)]


def test_the_grace_begins_when_the_signal_has_gone_out():
    w = running("before_signal", graceful_timeout=2.0)
    w.alive[100].ignores_term = True
    w.hook_seconds = 10.0
    w.submit("stop")
    w.run(11.9)
    assert w.signals == [(100, TERM)]
    w.run(10.2)
    assert w.signals == [(100, TERM), (100, KILL)]


@pytest.mark.parametrize("hangs", ENDING_HOOKS)
def test_a_hook_that_hangs_holds_its_watcher_up_until_it_is_hastened(hangs):
    w = running(*ENDING_HOOKS, numprocesses=3)
    w.silent = {hangs}
    stop = w.submit("stop")
    w.run(50)
    assert stop not in w.answers
    w.tell(told.Hastened(Origin(kind="signal", name="SIGTERM")))
    w.run(0.1)
    assert stop in w.answers
    assert w.life.status == "stopped"
    assert [a for a in w.told if a in ("kill", "reap")].count("reap") == 3
    assert not w.alive


def test_a_hook_that_hangs_at_sigkill_is_hastened_too():
    w = running("before_signal", graceful_timeout=0.0)
    w.silent = {"before_signal"}
    stop = w.submit("stop")
    w.run(50)
    assert w.signals == []
    w.tell(told.Hastened(Origin(kind="signal", name="SIGTERM")))
    w.run(0.1)
    assert (w.signals, stop in w.answers) == ([(100, KILL)], True)


def test_a_hurry_lasts_until_the_watcher_is_down():
    w = running("before_stop", "after_stop")
    w.silent = {"before_stop", "after_stop"}
    stop = w.submit("stop")
    w.run(50)
    assert w.alive
    w.tell(told.Hastened(Origin(kind="signal", name="SIGTERM")))
    w.run(0.1)
    assert stop in w.answers
    assert (w.life.status, w.alive) == ("stopped", {})
    w.silent = set()
    w.submit("start")
    w.run(1)
    w.silent = {"after_stop"}
    stop = w.submit("stop")
    w.run(50)
    assert stop not in w.answers  # that of one stop is not that of the next


def test_a_late_answer_after_the_hurry_changes_nothing():
    w = running(*ENDING_HOOKS)
    w.hook_seconds = 5.0
    w.submit("stop")
    w.tell(told.Hastened(Origin(kind="signal", name="SIGTERM")))
    w.run(0.1)
    events = list(w.events)
    w.run(50)
    assert w.events == events
    assert w.signals == [(100, KILL)]


def test_a_process_that_dies_while_before_signal_is_asked_is_not_signalled():
    w = running("before_signal")
    w.hook_seconds = 5.0
    stop = w.submit("stop")
    w.die(100, 0)
    w.run(10)
    assert (w.signals, stop in w.answers) == ([], True)


def test_the_death_waits_for_after_signal_so_that_kill_is_told_before_reap():
    w = running("after_signal")
    w.hook_seconds = 5.0
    stop = w.submit("stop")
    w.run(1)
    assert not w.alive
    assert stop not in w.answers
    w.run(5)
    assert w.told == ["after_signal", "kill", "reap", "stop"]
    assert stop in w.answers


def test_a_signal_of_an_operator_asks_the_hooks_and_is_no_kill_event():
    w = running(*ENDING_HOOKS)
    w.tell(told.SignalAsked(operator(), 1, USR1))
    w.run(0.05)
    assert w.told == ["before_signal", "after_signal"]
    assert w.signals == [(100, USR1)]
    signalled = next(r for r in w.records if r.record == "process.signalled")
    assert (signalled.data["by"], signalled.origin.actor) == ("command", "uid:0")


def test_a_signal_of_an_operator_can_be_vetoed_unless_it_is_sigkill():
    w = running("before_signal")
    w.veto = {"before_signal"}
    for signum in (USR1, KILL):
        w.tell(told.SignalAsked(operator(), 1, signum))
    w.run(0.05)
    assert w.signals == [(100, KILL)]


def test_a_vetoed_signal_does_not_excuse_a_death_by_it():
    w = running("before_signal")
    w.veto = {"before_signal"}
    w.tell(told.SignalAsked(operator(), 1, TERM))
    w.run(0.1)
    w.die(100, signum=TERM)
    exited = next(r for r in w.records if r.record == "process.exited")
    assert exited.data["initiator"] == "external"


def test_a_kill_command_asks_the_hooks():
    w = running(*ENDING_HOOKS)
    w.tell(told.KillAsked(operator(), 100, USR1))
    w.run(1)
    assert w.told == ["before_signal", "after_signal", "kill", "before_reap", "reap", "after_reap", "spawn"]
    assert w.signals == [(100, USR1)]


def test_a_reload_by_hup_asks_no_hook():
    w = running(*ENDING_HOOKS, send_hup=True)
    w.submit("reload")
    w.run(1)
    assert w.told == ["reload"]
    assert w.signals == [(100, 1)]


def test_a_stop_while_a_crash_waits_for_its_hooks_ends_without_a_successor():
    w = running("before_reap")
    w.hook_seconds = 5.0
    w.die(100)
    stop = w.submit("stop")
    assert stop not in w.answers
    w.run(6)
    assert stop in w.answers
    assert w.told == ["before_reap", "reap", "stop"]
    assert not w.life.crew.slots


def test_a_watcher_whose_only_process_waits_for_its_reap_is_not_empty():
    w = running("before_reap", respawn=False)
    w.hook_seconds = 5.0
    w.die(100, 0)
    assert w.life.public_state == "active"
    w.run(6)
    assert w.life.public_state == "stopped"


@pytest.mark.parametrize("sequential", [False, True])
def test_a_reload_while_a_crash_waits_for_its_hooks_ends_with_the_target(sequential):
    w = running("before_reap", numprocesses=3)
    w.hook_seconds = 5.0
    w.die(101)
    w.submit("reload", sequential=sequential)
    w.run(60)
    assert len(w.alive) == 3
    assert w.life.public_state == "active"


def test_a_smaller_target_while_a_crash_waits_for_its_hooks_is_kept():
    w = running("before_reap", numprocesses=3)
    w.hook_seconds = 5.0
    w.die(101)
    w.submit("resize", delta=-2)
    w.run(60)
    assert len(w.alive) == 1


def test_hooks_of_an_end_are_records_with_the_cause_of_the_end():
    w = running(*ENDING_HOOKS)
    w.submit("stop")
    w.run(1)
    finished = [r for r in w.records if r.record == "hook.finished"]
    assert [r.data["hook"] for r in finished] == list(ENDING_HOOKS)
    assert [r.origin.kind for r in finished] == ["command", "command", "record", "record"]
    exited = next(i for i, r in enumerate(w.records, 1) if r.record == "process.exited")
    assert finished[-1].origin.seq == exited


def test_nothing_is_left_of_many_with_all_hooks():
    w = running(*ENDING_HOOKS, numprocesses=4)
    assert drain(w) in w.answers
    assert (w.alive, dict(w.life.crew.slots), w.life.crew.orders, w.life.crew.hook_tokens) == ({}, {}, {}, {})


def with_kids(kids=2, **options) -> World:
    w = world(**({"kill_scope": "tree"} | options))
    w.kids = kids
    w.submit("start")
    w.run(1)
    w.told.clear()
    return w


def told_of(w, record):
    return [r.data for r in w.records if r.record == record]


def test_a_stop_of_a_tree_signals_all_of_it_and_waits_for_all():
    w = with_kids(stop_children=True, kill_scope=None)
    stop = w.submit("stop")
    assert w.signals == [(100, TERM), (100000, TERM), (100001, TERM)]
    w.run(1)
    assert stop in w.answers
    assert w.told == ["kill", "kill", "kill", "reap", "stop"]
    (signalled,) = told_of(w, "process.signalled")
    assert (signalled["scope"], signalled["count"]) == ("tree", 3)
    assert not any(w.orphans.values())


def test_who_outlives_its_parent_keeps_the_rest_of_the_grace():
    w = with_kids(graceful_timeout=2.0)
    for kid in w.alive[100].kids:
        w.alive[100].kids[kid] = True
    stop = w.submit("stop")
    w.run(1.9)
    assert not w.alive
    assert stop not in w.answers
    assert w.told == ["kill"] * 3
    w.run(0.2)
    assert stop in w.answers
    (escalated,) = told_of(w, "process.escalated")
    assert escalated["left"] == [100000, 100001]
    assert told_of(w, "process.exited")[0]["outcome"] == "success"
    (drained,) = told_of(w, "process.drained")
    assert drained["left"] == []
    assert 1.5 < drained["seconds"] < 2.2
    assert w.told == ["kill"] * 5 + ["reap", "stop"]


def test_after_a_crash_the_rest_of_the_tree_ends_before_the_next_process_starts():
    w = with_kids(graceful_timeout=2.0)
    w.die(100)
    w.run(0.05)
    assert not w.alive
    assert w.signals == [(100000, TERM), (100001, TERM)]
    w.run(0.2)
    assert list(w.alive) == [101]


def test_the_rest_of_a_tree_that_ignores_sigterm_is_killed_when_hastened():
    w = with_kids()
    for kid in w.alive[100].kids:
        w.alive[100].kids[kid] = True
    stop = w.submit("stop")
    w.run(1)
    w.tell(told.Hastened(operator("signal")))
    w.run(0.1)
    assert stop in w.answers


def test_with_the_process_alone_in_scope_those_who_stay_are_named():
    w = with_kids(kill_scope="main", stop_children=True)
    stop = w.submit("stop")
    w.run(1)
    assert stop in w.answers
    (exited,) = told_of(w, "process.exited")
    assert [(each.pid, each.name) for each in exited["leftovers"]] == [(100000, "kid"), (100001, "kid")]
    assert w.signals == [(100, TERM)]
    assert not told_of(w, "process.drained")


def test_signals_of_operators_and_reloads_are_for_the_process_alone():
    w = with_kids(send_hup=True)
    w.tell(told.SignalAsked(operator(), 1, USR1))
    w.submit("reload")
    assert w.signals == [(100, USR1), (100, 1)]


def stopped_without_the_kids():
    """(a watcher whose process SIGKILL has ended, and whose kids no signal reaches; the stop that waits for them)."""
    w = with_kids(graceful_timeout=0.0)
    send = w._SendSignal

    def spare_the_kids(effect):
        kids, w.alive[100].kids = w.alive[100].kids, {}
        send(effect)
        w.alive[100].kids = kids

    w._SendSignal = spare_the_kids
    stop = w.submit("stop")
    w._SendSignal = lambda effect: w.tell(told.Signalled(effect.order, ()))
    return w, stop


def test_what_not_even_sigkill_ends_is_given_up():
    w, stop = stopped_without_the_kids()
    w.run(29)
    assert stop not in w.refusals
    w.run(2)
    assert w.refusals[stop] == "stop of 'web': SIGKILL did not end 100000 (kid), 100001 (kid)"
    assert told_of(w, "process.drained")[0]["left"] == [100000, 100001]
    again = w.submit("stop")
    assert w.answers[again] is None


def test_who_has_ended_meanwhile_is_not_said_to_live_on():
    w, stop = stopped_without_the_kids()
    w.run(1)
    w.tell(told.Swept(1, w.life.crew.slots[1].generation, (Leftover(100001, "kid"),)))
    w.run(31)
    assert w.refusals[stop] == "stop of 'web': SIGKILL did not end 100001 (kid)"
    assert told_of(w, "process.drained")[0]["left"] == [100001]


@pytest.mark.parametrize("kind", ["stop", "restart", "reload", "resize"])
def test_nothing_that_ends_a_process_is_said_to_be_done_when_sigkill_did_not_end_it(kind):
    w = running(graceful_timeout=0.0)
    w._SendSignal = lambda effect: w.tell(told.Signalled(effect.order, (effect.pid,)))
    asked = w.submit(kind, **({"target": 0} if kind == "resize" else {}))
    w.run(29)
    assert asked not in w.refusals
    w.run(2)
    assert w.refusals[asked] == f"{kind} of 'web': SIGKILL did not end 100"
    assert told_of(w, "process.lost")[0]["why"] == "SIGKILL did not end it"
    if kind not in ("stop", "resize"):
        assert w.life.public_state == "active"


def exceeded(w: World, pid: int):
    process = w.alive[pid]
    w.tell(told.MemoryExceeded(process.wid, process.generation, "rss was 9 bytes, above its memory_limit of 8"))


def test_a_process_above_its_memory_limit_is_replaced_and_says_so():
    w = running(numprocesses=2)
    exceeded(w, 100)
    w.run(1)
    assert sorted(w.alive) == [101, 102]
    (exited,) = told_of(w, "process.exited")
    assert (exited["reason"], exited["initiator"], exited["outcome"]) == ("memory_limit", "supervisor", "success")
    assert exited["evidence"] == "rss was 9 bytes, above its memory_limit of 8"
    assert told_of(w, "process.spawned")[-1]["cause"] == "memory_limit"
    assert told_of(w, "process.signalled")[0]["by"] == "limit"


def test_of_many_above_their_memory_limit_one_is_replaced_at_a_time():
    w = running(numprocesses=3)
    for pid in (100, 101, 102):
        exceeded(w, pid)
    w.run(1)
    assert sorted(w.alive) == [101, 102, 103]
    exceeded(w, 101)
    w.run(1)
    assert sorted(w.alive) == [102, 103, 104]


def failing(**options) -> World:
    w = world(on_failure="exit", **options)
    w.submit("start")
    w.run(1)
    return w


@pytest.mark.parametrize(("code", "signum", "status"), [(3, None, 3), (None, 11, 139)])
def test_a_watcher_whose_last_process_failed_fails_with_its_status(code, signum, status):
    w = failing(respawn=False, numprocesses=2)
    w.die(100, code, signum)
    w.run(1)
    assert w.failed == []
    w.die(101, 0)
    w.run(1)
    assert w.failed == [status]


def test_a_watcher_whose_processes_did_well_has_not_failed():
    w = failing(respawn=False)
    w.die(100, 0)
    w.run(1)
    assert (w.life.status, w.failed) == ("stopped", [])


def test_a_watcher_that_is_given_up_fails_as_a_shell_would():
    w = world(on_failure="exit", max_retry=1)
    w.failing_spawns = 1
    w.submit("start")
    w.run(1)
    assert w.failed == [127]


def test_what_an_operator_stops_has_not_failed():
    w = failing(respawn=False)
    w.submit("stop")
    w.run(1)
    assert w.failed == []


def test_a_failure_before_the_last_start_is_forgotten():
    w = failing(respawn=False, numprocesses=2)
    w.die(100, 3)
    w.submit("restart")
    w.run(1)
    for pid in list(w.alive):
        w.die(pid, 0)
    w.run(1)
    assert w.failed == []


def test_a_failure_is_ignored_unless_it_shall_end_everything():
    w = running(respawn=False)
    w.die(100, 3)
    w.run(1)
    assert w.failed == []


def test_the_rest_of_a_tree_gets_the_signal_that_its_process_did_not_live_to_get():
    w = with_kids(hooks={"before_signal": HookSpec(target="x")})
    w.hook_seconds = 5.0
    stop = w.submit("stop")
    w.die(100, 0)
    assert w.signals == [(100000, TERM), (100001, TERM)]
    w.run(1)
    assert stop in w.answers
