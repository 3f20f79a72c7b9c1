"""Whatever a watcher goes through, its records become whole traces: ids once, parents there, and nothing left open."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from circus.core import stimuli as told
from circus.core.origin import Origin
from circus.events.bus import Bus
from circus.events.cause import cause_of
from circus.spec.watcher import HookSpec, WatcherSpec
from circus.wire import events
from circus_exporters.otel.traces import TraceFold
from tests.fakes.world import World, drain
from tests.property.test_histories import moves, options, play


class RecordingWorld(World):
    """Also makes the records, as the driver does."""

    def __init__(self, spec):
        self.bus = Bus(self, boot="0123456789abcdef")
        super().__init__(spec)

    def monotonic(self):
        return self.now

    def time(self):
        return 1_795_000_000.0 + self.now

    def _Tell(self, effect):
        origin, opens, data = effect.origin, effect.opens, dict(effect.data)
        self.records.append(effect)
        seq, trace = self.bus.record(
            effect.record, "web", cause_of(origin), data, trace=origin.trace, wid=effect.wid, pid=effect.pid,
            generation=effect.generation,
        )  # fmt: skip
        origin.trace = origin.trace or trace
        if opens is not None:
            opens.seq, opens.trace = seq, opens.trace or trace

    def recorded(self):
        return [events.decode(body) for body in self.bus.journal.replay()[0]]


@settings(max_examples=150, deadline=None)
@given(options=options, history=st.lists(moves, max_size=30))
@example(
    options={
        "numprocesses": 1,
        "graceful_timeout": 30.0,
        "hooks": {name: HookSpec(target="x") for name in ("before_start", "after_start")},
    },
    history=[("start",), ("restart",), ("run", 0.02), ("signal", 0, 1)],
)
@example(
    options={"numprocesses": 1, "graceful_timeout": 30.0},
    history=[("start",), ("run", 0.6), ("stubborn", True), ("restart",), ("run", 0.02), ("signal", 0, 1)],
)
def test_records_become_whole_traces(options, history):
    w = RecordingWorld(WatcherSpec(name="web", cmd="program", **options))
    for move in history:
        play(w, move)
    w.veto, w.silent = set(), set()
    w.submit("stop")
    w.run(1)
    w.tell(told.Hastened(Origin(kind="signal")))
    drain(w)
    fold, spans = TraceFold(), []
    for record in w.recorded():
        spans += fold.fold(record)
    assert fold.open_traces == set()
    ids = [(span.trace, span.span) for span in spans]
    assert len(set(ids)) == len(ids)
    assert {(span.trace, span.parent) for span in spans if span.parent is not None} <= set(ids)
    assert all(span.start <= span.end for span in spans)
    ended = [record for record in w.recorded() if record.record in ("process.exited", "process.lost")]
    assert len([span for span in spans if span.name == "process.life"]) == len(ended)
