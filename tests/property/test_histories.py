"""Random histories never break what must always hold (see `World.check`), and every operation is answered once."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from circus.core import stimuli as told
from circus.core.origin import Origin
from circus.spec.watcher import HookSpec
from tests.fakes.world import drain, world

HOOKS = (
    "before_start", "after_start", "before_spawn", "after_spawn", "before_stop", "after_stop", "before_signal",
    "after_signal", "before_reap", "after_reap",
)  # fmt: skip

tame_changes = {
    "cmd": st.sampled_from(["program", "other"]),
    "numprocesses": st.integers(0, 4),
    "warmup_delay": st.sampled_from([0.0, 0.05]),
    "graceful_timeout": st.sampled_from([0.0, 0.3, 30.0]),
    "max_retry": st.sampled_from([1, 3, -1]),
    "send_hup": st.booleans(),
}
wild_changes = {
    "respawn": st.booleans(),
    "max_age": st.sampled_from([0, 2]),
    "kill_scope": st.sampled_from(["main", "tree"]),
    "hooks": st.sets(st.sampled_from(HOOKS)).map(lambda names: {name: HookSpec(target="x") for name in names}),
}


def change(values):
    return st.tuples(st.just("change"), st.fixed_dictionaries({}, optional=values), st.booleans())


moves = st.one_of(
    change(tame_changes),
    st.tuples(st.sampled_from(["start", "stop", "restart", "reload", "sequential"])),
    st.tuples(st.just("resize"), st.integers(-3, 3)),
    st.tuples(st.just("die"), st.integers(0, 7), st.sampled_from([0, 1, None])),
    st.tuples(st.just("kill"), st.integers(0, 7)),
    st.tuples(st.just("fail"), st.integers(1, 8)),
    st.tuples(st.just("veto"), st.sampled_from([*HOOKS, "none"])),
    st.tuples(st.just("break"), st.sampled_from([*HOOKS, "none"])),
    st.tuples(st.just("hang"), st.sampled_from([*HOOKS, "none"])),
    st.tuples(st.just("slow"), st.sampled_from([0.0, 0.01, 0.4, 2.0])),
    st.tuples(st.just("signal"), st.integers(0, 7), st.sampled_from([1, 9, 15])),
    st.tuples(st.just("grow"), st.integers(0, 7)),
    st.tuples(st.just("stubborn"), st.booleans()),
    st.tuples(st.just("kids"), st.integers(0, 2), st.booleans()),
    st.tuples(st.just("hasten")),
    st.tuples(st.just("connect")),
    st.tuples(st.just("run"), st.sampled_from([0.0, 0.005, 0.02, 0.15, 0.6, 3.0, 12.0])),
)

options = st.fixed_dictionaries(
    {
        "numprocesses": st.integers(0, 4),
        "warmup_delay": st.sampled_from([0.0, 0.0, 0.05]),
        "respawn": st.sampled_from([True, True, False]),
        "max_retry": st.sampled_from([1, 3, -1]),
        "graceful_timeout": st.sampled_from([0.0, 0.3, 30.0]),
        "max_age": st.sampled_from([0, 0, 2]),
        "send_hup": st.sampled_from([False, False, True]),
        "on_demand": st.sampled_from([False, False, True]),
        "kill_scope": st.sampled_from([None, "main", "tree"]),
        "hooks": st.sets(st.sampled_from(HOOKS)).map(lambda names: {name: HookSpec(target="x") for name in names}),
    }
)


def play(w, move):
    kind, *rest = move
    if kind in ("start", "stop", "restart", "reload"):
        w.submit(kind)
    elif kind == "sequential":
        w.submit("reload", sequential=True)
    elif kind == "resize":
        w.submit("resize", delta=rest[0])
    elif kind == "die" and w.alive:
        pid = sorted(w.alive)[rest[0] % len(w.alive)]
        w.die(pid, code=rest[1] or 0, signum=11 if rest[1] is None else None)
    elif kind == "kill":
        pids = sorted(w.alive)
        w.tell(told.KillAsked(Origin(kind="command"), pids[rest[0] % len(pids)] if pids else None))
    elif kind == "fail":
        w.failing_spawns = rest[0]
    elif kind == "veto":
        w.veto = {rest[0]}
    elif kind == "break":
        w.failing = {rest[0]}
    elif kind == "hang":
        w.silent = {rest[0]}
    elif kind == "slow":
        w.hook_seconds = rest[0]
    elif kind == "signal" and w.alive:
        process = w.alive[sorted(w.alive)[rest[0] % len(w.alive)]]
        w.tell(told.SignalAsked(Origin(kind="command"), process.wid, rest[1]))
    elif kind == "grow" and w.alive:
        process = w.alive[sorted(w.alive)[rest[0] % len(w.alive)]]
        w.tell(told.MemoryExceeded(process.wid, process.generation, "too much"))
    elif kind == "stubborn":
        w.ignore_term = rest[0]
    elif kind == "kids":
        w.kids, w.kids_ignore_term = rest
    elif kind == "hasten":
        w.tell(told.Hastened(Origin(kind="signal")))
    elif kind == "connect":
        w.tell(told.SocketReady())
    elif kind == "change":
        w.change(**rest[0], replacing=rest[1])
    elif kind == "abandon":
        w.tell(told.Abandoned(Origin(kind="command")))
    elif kind == "run":
        w.run(rest[0])


@settings(max_examples=300, deadline=None)
@given(options=options, history=st.lists(st.one_of(moves, change(tame_changes | wild_changes)), max_size=40))
def test_no_history_breaks_the_watcher(options, history):
    w = world(**options)
    submitted = 0
    for move in history:
        play(w, move)
    last = {name: value for move in history if move[0] == "change" for name, value in move[1].items()}
    w.veto, w.silent = set(), set()
    stop = w.submit("stop")
    w.run(1)
    # What hung before is waited for no longer.
    w.tell(told.Hastened(Origin(kind="signal")))
    submitted = drain(w)
    assert stop in w.answers
    assert w.life.status == "stopped"
    assert not w.alive
    assert not w.life.crew.slots
    # Where it was not always so, what an earlier scope had left may be there still.
    scopes = {options["kill_scope"], *(move[1].get("kill_scope", "tree") for move in history if move[0] == "change")}
    assert scopes != {"tree"} or not any(w.orphans.values())
    for name, value in last.items():
        if name != "numprocesses":
            assert getattr(w.life.spec, name) == value
    assert set(w.answers) | set(w.refusals) == set(range(1, submitted + 1))
    assert not set(w.answers) & set(w.refusals)


@settings(max_examples=100, deadline=None)
@given(options=options, history=st.lists(moves, max_size=25))
def test_a_watcher_left_alone_reaches_its_target(options, history):
    w = world(**(options | {"on_demand": False, "respawn": True, "hooks": {}, "max_age": 0}))
    for move in history:
        play(w, move)
    w.failing_spawns, w.ignore_term = 0, False
    w.submit("start")
    w.run(200)
    if w.life.target:
        assert len(w.alive) == w.life.target
        assert w.life.public_state == "active"


@settings(max_examples=100, deadline=None)
@given(options=options, history=st.lists(st.one_of(moves, change(tame_changes | wild_changes)), max_size=25))
def test_a_watcher_can_be_abandoned_at_any_moment(options, history):
    w = world(**options)
    for move in history:
        play(w, move)
    w.submit("start")
    play(w, ("abandon",))
    left = set(w.alive)
    assert not left
    assert not w.life.crew.slots
    w.run(200)
    assert w.life.status == "stopped"
    assert not w.alive
    submitted = w.submit("stop")
    assert set(w.answers) | set(w.refusals) == set(range(1, submitted + 1))


quiet_options = st.fixed_dictionaries(
    {
        "numprocesses": st.integers(0, 3),
        "warmup_delay": st.sampled_from([0.0, 0.05]),
        "respawn": st.sampled_from([True, True, False]),
        "max_retry": st.sampled_from([1, 3, -1]),
        "graceful_timeout": st.sampled_from([0.0, 0.3, 30.0]),
        "max_age": st.sampled_from([0, 2]),
        "on_demand": st.sampled_from([False, False, True]),
        "kill_scope": st.sampled_from([None, "tree"]),
        "hooks": st.sets(st.sampled_from(HOOKS), max_size=2).map(lambda ns: {n: HookSpec(target="x") for n in ns}),
    }
)


def told_by(w):
    records = [(r.record, r.wid, r.pid, r.generation, r.origin, r.data) for r in w.records]
    return records, w.events, w.answers, w.refusals, w.signals, sorted(w.alive), w.watching


@settings(max_examples=300, deadline=None)
@given(options=quiet_options, history=st.lists(st.tuples(st.booleans(), moves), max_size=30))
def test_a_machine_that_is_taken_over_goes_on_as_if_nothing_had_been(options, history):
    stays, taken = world(**options), world(**options)
    for over, move in history:
        if over and taken.upgrade():
            # What it writes down now is what it was made from.
            before = taken.life.record()
            assert taken.upgrade()
            assert replace(taken.life.record(), epoch=0) == replace(before, epoch=0)
        play(stays, move)
        play(taken, move)
        assert told_by(taken) == told_by(stays)
