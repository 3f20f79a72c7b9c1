"""The bus: seqs without holes, previous by watcher, the same record to journal, counters and sink."""

import msgspec

from circus.events.bus import Bus
from circus.wire import events
from circus.wire.events import Cause

BOOT = Cause(kind="boot")


class Clock:
    def monotonic(self):
        return 5.0

    def time(self):
        return 1_795_000_000.5


class Collected:
    def __init__(self, *prefixes):
        self.prefixes, self.messages = prefixes, []

    def wants(self, topic):
        return topic.startswith(self.prefixes)

    def send(self, topic, body):
        self.messages.append((topic, body))


def spawned(bus, watcher="web"):
    data = {"cause": "boot", "replacement": False, "generation": 1, "spawn_seconds": 0.001, "respawn_seconds": None}
    return bus.record("process.spawned", watcher, BOOT, data, wid=1, pid=7, generation=1)


def test_seqs_have_no_holes_whether_anybody_listens_or_not():
    bus = Bus(Clock())
    assert [spawned(bus)[0] for _ in range(3)] == [1, 2, 3]


def test_previous_leads_to_the_record_before_of_the_same_watcher():
    bus = Bus(Clock())
    for watcher in ("web", "api", "web"):
        spawned(bus, watcher)
    bodies, *_ = bus.journal.replay()
    assert [events.decode(body).previous for body in bodies] == [None, None, 1]


def test_a_trace_is_drawn_once_and_carried_on():
    bus = Bus(Clock())
    _, trace = spawned(bus)
    assert len(trace) == 32
    assert bus.record("process.ready", "web", BOOT, {"seconds": 0.1}, trace=trace)[1] == trace
    spans = {events.decode(body).traceparent.split("-")[2] for body in bus.journal.replay()[0]}
    assert len(spans) == 2


def test_who_subscribed_gets_the_record_that_the_journal_keeps():
    bus = Bus(Clock())
    bus.sink = Collected(b"lifecycle.my_web.")
    spawned(bus, "My Web")
    spawned(bus, "other")
    assert bus.sink.messages == [(b"lifecycle.my_web.process.spawned", bus.journal.replay()[0][0])]


def test_the_counters_are_the_folded_history():
    bus = Bus(Clock())
    spawned(bus)
    assert bus.tally("web").starts["boot"] == 1
    assert bus.tally("web").restarts["crash"] == 0


def test_an_event_of_0_19_gets_its_time_unless_it_has_one_and_the_name_as_configured():
    bus = Bus(Clock())
    bus.sink = Collected(b"watcher.")
    bus.event("My Web", "start", {})
    bus.event("web", "spawn", {"process_pid": 7, "time": 3.0})
    assert [(topic, msgspec.json.decode(body)) for topic, body in bus.sink.messages] == [
        (b"watcher.my_web.start", {"time": 1_795_000_000.5, "watcher": "My Web"}),
        (b"watcher.web.spawn", {"process_pid": 7, "time": 3.0, "watcher": "web"}),
    ]


def test_a_removed_watcher_is_forgotten():
    bus = Bus(Clock())
    spawned(bus)
    bus.forget("web")
    assert bus.tally("web").starts["boot"] == 0


def test_text_of_no_encoding_is_recorded_escaped():
    bus = Bus(Clock())
    bus.record("watcher.changed", "web", BOOT, {"cmd": "x\udcff"})
    (body,), *_ = bus.journal.replay()
    assert events.decode(body).data["cmd"] == "x\\udcff"
