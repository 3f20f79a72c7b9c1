"""Whatever happens to a watcher, an alert fires once and is resolved once, and never for what somebody wished for."""

from hypothesis import given, settings
from hypothesis import strategies as st

from circus.core import stimuli as told
from circus.core.origin import Origin
from circus.spec.alert_fields import UNEXPECTED
from circus.spec.alerts import AlertSpec
from circus.spec.amounts import Amount
from circus.spec.watcher import WatcherSpec
from circus_exporters.alerts.engine import Engine, Key, Patience
from circus_exporters.alerts.evaluation import Evaluation
from tests.fakes import fleet
from tests.fakes.world import drain
from tests.property.test_histories import moves, options, play
from tests.property.test_traces import RecordingWorld

LEVELS = st.sampled_from(["high", "high", "band", "low", "low", "hold", "gone"])
KEY = Key("rule", "web", 1)


@settings(max_examples=500, deadline=None)
@given(
    before=st.sampled_from([0.0, 3.0]),
    after=st.sampled_from([0.0, 4.0]),
    seen=st.lists(st.tuples(st.sampled_from([0.5, 1.0, 2.5]), LEVELS), max_size=40),
)
def test_any_sequence_of_observations_fires_and_resolves_by_turns(before, after, seen):
    engine, now, turns = Engine({"rule": Patience(before, after)}), 0.0, []
    past = []
    for pause, level in seen:
        now += pause
        past.append((now, level))
        turn = engine.see(KEY, level, now)
        if turn is not None:
            turns.append(turn)
        if turn == "firing":
            assert level in ("high", "band")
            recent = [each for at, each in past if at > now - before]
            assert not {"low", "hold", "gone"} & set(recent)
        if turn == "resolved" and level != "gone":
            assert all(each != "high" for at, each in past if at > now - after)
            assert level != "hold"
        assert (KEY in engine.firing()) == (turns[-1:] == ["firing"])
    assert turns == ["firing", "resolved"] * (len(turns) // 2) + ["firing"] * (len(turns) % 2)


RULES = tuple(
    AlertSpec(
        name=kind, kind=kind, above=above, below=below, window_seconds=86_400.0, keep_seconds=keep, reasons=UNEXPECTED
    )
    for kind, above, below, keep in (
        ("flapping", Amount(1.0, "count"), None, 1000.0),
        ("down", None, None, 0.0),
        ("replicas_missing", None, Amount(100.0, "percent"), 0.0),
        ("exit", Amount(0.0, "count"), None, 0.0),
        ("stuck_reload", Amount(100.0, "seconds"), None, 0.0),
        ("hook_failed", Amount(0.0, "count"), None, 0.0),
    )
)
ON_PROCESSES = (
    AlertSpec(name="memory", kind="memory", above=Amount(100.0, "bytes")),
    AlertSpec(name="cpu", kind="cpu", above=Amount(50.0, "percent"), window_seconds=2.0),
)


class Watched:
    """A world and what is made of it: records as they come, a snapshot and a sample each now and then."""

    def __init__(self, spec, rules=RULES):
        self.world = RecordingWorld(spec)
        self.evaluation = Evaluation(rules)
        self.turns = {}
        self.state = "stopped"
        self._folded = 0
        self._passes = 0
        self.evaluation.begin(0.0)

    def look(self, *, heavy=False):
        world, now = self.world, self.world.now
        for record in world.recorded()[self._folded :]:
            self._folded = record.seq
            if record.record == "watcher.state":
                self.state = record.data["to"]
            self.evaluation.record(record, now)
        running = sum(slot.public_state == "running" for slot in world.life.crew.slots.values())
        told_of = fleet.watcher("web", running, state=self.state, desired=world.life.coming_target)
        self.evaluation.snapshot(fleet.telemetry(told_of, seq=world.bus.seq, time=world.time()), now)
        self._passes += 1
        used = 1000 if heavy else 10
        processes = [
            fleet.process(each.wid, pid, resident_bytes=used, cpu_user_seconds=now * heavy, cpu_system_seconds=0.0)
            for pid, each in world.alive.items()
        ]
        self.evaluation.passed(1.0, now)
        changes = self.evaluation.sample(fleet.sample("web", processes, seq=self._passes), now)
        for change in changes + self.evaluation.tick(now, attached=True):
            self.turns.setdefault(change.key, []).append(change.turn)

    def run(self, seconds):
        for _ in range(int(seconds / 0.5) + 1):
            self.world.run(min(seconds, 0.5))
            self.look()


@settings(max_examples=150, deadline=None)
@given(options=options, history=st.lists(st.tuples(moves, st.booleans()), max_size=30))
def test_whatever_happens_alerts_take_turns_and_end_when_somebody_stops_the_watcher(options, history):
    watched = Watched(WatcherSpec(name="web", cmd="program", **options), RULES + ON_PROCESSES)
    for move, heavy in history:
        play(watched.world, move)
        watched.look(heavy=heavy)
    watched.world.veto, watched.world.silent, watched.world.failing = set(), set(), set()
    watched.world.submit("start")
    watched.run(1)
    watched.world.submit("stop")
    watched.world.run(1)
    watched.world.tell(told.Hastened(Origin(kind="signal")))
    drain(watched.world)
    watched.look()
    assert watched.state in ("stopped", "fatal")
    for key, turns in watched.turns.items():
        assert turns == ["firing", "resolved"] * (len(turns) // 2) + ["firing"] * (len(turns) % 2), key
    if watched.state == "stopped":
        assert watched.evaluation.engine.firing() == []


wishes = st.one_of(
    st.tuples(st.sampled_from(["start", "stop", "restart", "reload", "sequential"])),
    st.tuples(st.just("stubborn"), st.booleans()),
    st.tuples(st.just("run"), st.sampled_from([0.0, 0.02, 0.6, 3.0, 12.0, 40.0])),
)


@settings(max_examples=150, deadline=None)
@given(
    number=st.integers(0, 4),
    warmup=st.sampled_from([0.0, 0.5]),
    grace=st.sampled_from([0.3, 30.0]),
    history=st.lists(wishes, max_size=25),
)
def test_what_operators_wish_for_never_alarms(number, warmup, grace, history):
    watched = Watched(
        WatcherSpec(name="web", cmd="program", numprocesses=number, warmup_delay=warmup, graceful_timeout=grace)
    )
    for move in history:
        if move[0] == "run":
            watched.run(move[1])
        else:
            play(watched.world, move)
            watched.look()
    assert watched.turns == {}
