"""Counters and histograms: born at 0, folded from records."""

from circus.events.counters import LIFETIME_BOUNDS, WatcherTally, new_histogram, observe
from circus.wire.events import (
    CRASH_SIGNALS,
    INITIATORS,
    OUTCOMES,
    RESTART_CAUSES,
    SPAWN_STAGES,
    START_CAUSES,
    Cause,
    Record,
)

EXIT = {"reason": "crash", "initiator": "process", "outcome": "signal", "exit_code": None, "signal": "SIGSEGV",
        "lifetime_seconds": 12.0, "stop_seconds": None, "cpu_user_seconds": 1.5, "cpu_system_seconds": 0.5}  # fmt: skip


def record(name, data, **fields):
    return Record(boot="b", seq=1, previous=None, time=9.0, record=name, watcher="web",
                  cause=Cause(kind="boot"), data=data, **fields)  # fmt: skip


def folded(*records):
    tally = WatcherTally()
    for each in records:
        tally.fold(each)
    return tally


def test_every_closed_enum_is_there_at_0():
    counters = WatcherTally().counters()
    assert counters.starts == dict.fromkeys(START_CAUSES, 0)
    assert counters.restarts == dict.fromkeys(RESTART_CAUSES, 0)
    assert {(e.initiator, e.outcome) for e in counters.exits} == {(i, o) for i in INITIATORS for o in OUTCOMES}
    assert set(counters.signal_exits) == set(CRASH_SIGNALS)
    assert set(counters.spawn_failures) == set(SPAWN_STAGES)


def test_a_replacement_counts_as_start_and_restart():
    tally = folded(record("process.spawned", {"cause": "crash", "replacement": True, "respawn_seconds": 0.002}))
    assert (tally.starts["crash"], tally.restarts["crash"]) == (1, 1)
    assert tally.histograms.respawn_seconds.sum == 0.002


def test_a_first_start_is_no_restart():
    tally = folded(record("process.spawned", {"cause": "manual", "replacement": False, "respawn_seconds": None}))
    assert (tally.starts["manual"], tally.restarts["manual"]) == (1, 0)
    assert sum(tally.histograms.respawn_seconds.counts) == 0


def test_an_exit_counts_once_everywhere():
    tally = folded(record("process.exited", EXIT, wid=3, pid=42, generation=7))
    assert tally.exits["process", "signal"] == 1
    assert sum(tally.exits.values()) == 1
    assert tally.signal_exits["SIGSEGV"] == 1
    assert (tally.cpu_user_seconds, tally.cpu_system_seconds) == (1.5, 0.5)
    assert sum(tally.histograms.lifetime_seconds.counts) == 1
    assert sum(tally.histograms.stop_seconds.counts) == 0
    assert (tally.last_exit.pid, tally.last_exits[3].reason) == (42, "crash")


def test_who_is_left_is_counted():
    two = EXIT | {"leftovers": [{"pid": 1, "name": "a"}, {"pid": 2, "name": "b"}]}
    unknown = EXIT | {"leftovers": None}
    assert folded(record("process.exited", two), record("process.exited", unknown)).leftovers == 2


def test_an_unknown_signal_gets_its_own_count():
    assert folded(record("process.exited", EXIT | {"signal": "SIGRTMIN+3"})).signal_exits["SIGRTMIN+3"] == 1


def test_a_reload_is_there_while_it_runs():
    begun = record("reload.started", {"mode": "graceful", "workers": 2})
    ended = record("reload.finished", {"ok": False, "seconds": 2.0})
    assert folded(begun).reload_started == 9.0
    tally = folded(begun, ended)
    assert (tally.reload_started, tally.reloads, tally.reload_failures) == (None, 1, 1)


def test_a_value_on_an_edge_belongs_to_the_bucket_below():
    histogram = new_histogram(LIFETIME_BOUNDS)
    for value in (1.0, 1.1, 10**9):
        observe(histogram, value, "trace")
    assert (histogram.counts[0], histogram.counts[1], histogram.counts[-1]) == (1, 1, 1)
    assert histogram.last_trace == "trace"


def test_output_is_counted_by_stream():
    tally = WatcherTally()
    tally.chunk("stdout", 100, 3)
    tally.drop("stderr", 50, 2)
    assert (tally.stream_bytes["stdout"], tally.stream_lines["stdout"], tally.stream_drops["stderr"]) == (100, 3, 2)


TRACE = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"


def test_each_bucket_keeps_the_last_value_with_its_trace():
    histogram = new_histogram((1.0, 2.0))
    for value, trace in ((0.5, "a"), (1.5, "b"), (1.75, "c"), (9.0, "d"), (0.75, None)):
        observe(histogram, value, trace, 100.0 + value)
    assert sorted((e.bucket, e.value, e.time, e.trace) for e in histogram.exemplars) == [
        (0, 0.5, 100.5, "a"),
        (1, 1.75, 101.75, "c"),
        (2, 9.0, 109.0, "d"),
    ]


def test_durations_lead_to_their_traces():
    tally = folded(
        record("process.ready", {"seconds": 0.2}, traceparent=TRACE),
        record("process.exited", EXIT | {"stop_seconds": 0.4}, traceparent=TRACE),
        record("reload.finished", {"ok": True, "seconds": 3.0}, traceparent=TRACE),
        record("hook.finished", {"hook": "before_start", "ok": True, "seconds": 0.1}, traceparent=TRACE),
    )
    histograms = tally.histograms
    for histogram, value in (
        (histograms.start_seconds, 0.2), (histograms.stop_seconds, 0.4), (histograms.lifetime_seconds, 12.0),
        (histograms.reload_seconds, 3.0), (histograms.hook_seconds["before_start"], 0.1),
    ):  # fmt: skip
        assert [(e.value, e.time, e.trace) for e in histogram.exemplars] == [(value, 9.0, "ab" * 16)]


def test_hooks_are_counted_and_timed():
    tally = folded(
        *(record("hook.finished", {"hook": "after_stop", "ok": ok, "seconds": 0.1}) for ok in (True, False, False))
    )
    assert tally.hook_failures == {"after_stop": 2}
    assert sum(tally.histograms.hook_seconds["after_stop"].counts) == 3


def test_the_most_memory_of_the_last_process_is_kept():
    assert folded(record("process.exited", EXIT | {"max_resident_bytes": 4096})).last_exit.max_resident_bytes == 4096
