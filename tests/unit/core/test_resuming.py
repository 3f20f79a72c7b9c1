"""A machine that is written down and built again: what is in the record, and that it goes on as if nothing had been."""

import msgspec
import pytest

from circus.core import effects as do
from circus.core import stimuli as told
from circus.core.lifecycle import Lifecycle
from circus.core.origin import Origin
from circus.core.process_fsm import ProcessState
from circus.core.resuming import FORMAT, MachineRecord, adopted
from circus.core.watcher_fsm import Want, WatcherState
from circus.spec.watcher import HookSpec
from tests.fakes.world import NAMES, world


def started(**options):
    w = world(**options)
    w.submit("start")
    w.run(1)
    return w


def through_json(record):
    return msgspec.json.decode(msgspec.json.encode(record), type=MachineRecord)


def test_a_record_survives_json():
    w = started(numprocesses=2, max_age=100)
    record = w.life.record()
    assert record.format == FORMAT
    assert through_json(record) == record
    assert [(each.name, each.wid) for each in record.timers] == [("max_age", 1), ("max_age", 2)]


def test_what_runs_runs_on_and_nothing_is_told():
    w = started(numprocesses=2)
    before = w.names(), list(w.events)
    w.upgrade()
    assert (w.names(), w.events) == before
    assert w.life.status == "active"
    w.die(100)
    w.run(0)
    assert sorted(w.alive) == [101, 102]
    assert w.records[-1].generation == 3


def test_a_command_after_it_works():
    w = started(numprocesses=2)
    w.upgrade()
    op = w.submit("restart")
    w.run(1)
    assert w.answers[op] == {"stopped": [100, 101], "started": [102, 103], "kept": []}


def test_a_grace_goes_on_for_the_rest_of_its_time():
    w = started(graceful_timeout=5.0)
    w.ignore_term = True
    w.alive[100].ignores_term = True
    w.tell(told.KillAsked(Origin(kind="command")))
    w.run(2)
    assert w.life.crew.slots[1].state is ProcessState.STOPPING
    w.upgrade()
    w.run(2.9)
    assert 100 in w.alive
    w.run(0.2)
    assert 100 not in w.alive
    assert "process.escalated" in w.names()
    assert w.life.crew.slots[1].pid == 101


def test_a_delay_goes_on_for_the_rest_of_its_time():
    w = started()
    for _ in range(4):
        w.die(*w.alive)
        w.run(0)
    assert w.life.state is WatcherState.BACKOFF
    w.run(0.3)
    w.upgrade()
    assert w.life.state is WatcherState.BACKOFF
    w.run(0.15)
    assert not w.alive
    w.run(0.1)
    assert w.alive
    assert w.life.crew.slots[1].failures == 4


def test_one_that_gave_up_stays_fatal():
    w = world(max_retry=1)
    w.failing_spawns = 1
    w.submit("start")
    w.run(1)
    assert w.life.public_state == "fatal"
    w.upgrade()
    assert w.life.public_state == "fatal"
    w.submit("start")
    w.run(1)
    assert w.life.public_state == "active"


def test_one_that_waits_for_a_connection_goes_on_waiting():
    w = world(on_demand=True)
    w.submit("start")
    w.watching = True
    w.upgrade()
    assert w.watching
    assert w.life.state is WatcherState.WAITING
    w.tell(told.SocketReady())
    w.run(1)
    assert w.life.state is WatcherState.ACTIVE


def test_what_the_warm_up_delay_holds_is_let_go_in_time():
    w = started(numprocesses=3, warmup_delay=0.2)
    for pid in list(w.alive):
        w.die(pid)
    w.upgrade()
    w.run(0.1)
    assert len(w.alive) == 1
    w.run(0.2)
    assert len(w.alive) == 2
    w.run(0.2)
    assert len(w.alive) == 3


def test_the_rest_of_a_tree_is_still_waited_for():
    w = world(kill_scope="tree", graceful_timeout=5.0)
    w.kids, w.kids_ignore_term = 1, True
    w.submit("start")
    w.run(1)
    w.die(100)
    w.run(1)
    assert w.life.crew.slots[1].parting
    w.upgrade()
    w.run(3)
    assert not w.alive
    w.run(2)
    assert list(w.alive) == [101]


@pytest.mark.parametrize("kind", ["start", "stop", "restart", "reload"])
def test_an_operation_in_progress_is_named(kind):
    w = started(hooks={"before_stop": HookSpec(target="x"), "before_spawn": HookSpec(target="x")})
    w.silent = {"before_stop", "before_spawn"}
    if kind == "start":
        w = world(hooks={"before_start": HookSpec(target="x")})
        w.silent = {"before_start"}
    w.submit(kind)
    assert w.life.busy == f"{kind} is in progress"


def test_a_hook_that_has_not_answered_is_named():
    w = started(hooks={"after_spawn": HookSpec(target="x")})
    assert w.life.busy is None
    w.silent = {"after_spawn"}
    w.die(100)
    w.run(0)
    assert w.life.busy == "hook after_spawn has not answered"


def test_adoption_keeps_what_runs_and_fills_what_is_missing():
    w = world(numprocesses=3)
    origin = Origin(kind="record", seq=7)
    record = MachineRecord(
        state=WatcherState.ACTIVE, want=Want.UP, target=3, generation=9, been_active=True, opened=True, origin=origin,
        slots=[adopted(2, 77, 5, spawned_at=-100.0, origin=origin)],
    )  # fmt: skip
    w.adopt(record)
    assert w.life.status == "active"
    op = w.submit("start")
    w.run(1)
    assert w.answers[op] == {"started": [100, 101], "kept": [77]}
    assert [slot.wid for slot in w.life.crew.slots.values()] == [2, 1, 3]
    assert [record.generation for record in w.records if record.record == "process.spawned"] == [10, 11]


def test_the_end_of_an_adopted_process_has_no_status_and_is_followed_by_another():
    life = Lifecycle(world().life.spec, random=lambda: 0.5, signal_names=NAMES)
    origin = Origin(kind="record", seq=7)
    record = MachineRecord(state=WatcherState.ACTIVE, want=Want.UP, target=1, generation=1, origin=origin,
                           slots=[adopted(1, 77, 1, spawned_at=0.0, origin=origin)])  # fmt: skip
    assert life.resume(50.0, record) == []
    effects = life.handle(60.0, told.Vanished(1, 1, "its parent was another circusd"))
    ends = [each for each in effects if isinstance(each, do.Tell) and each.record == "process.lost"]
    assert [(each.data["outcome"], each.data["lifetime_seconds"], each.origin.seq) for each in ends] == [
        ("lost", 60, 7)
    ]
    assert do.Spawn(1, 2) in effects


def test_a_record_of_a_machine_that_did_nothing_resumes_to_one_that_did_nothing():
    fresh = Lifecycle(world().life.spec, random=lambda: 0.5, signal_names=NAMES)
    other = Lifecycle(world().life.spec, random=lambda: 0.5, signal_names=NAMES)
    assert other.resume(1.0, through_json(fresh.record())) == []
    assert other.record() == fresh.record()
