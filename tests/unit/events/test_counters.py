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
    tally = folded(record("process.spawned", {"cause": "crash", "replacement": True}))
    assert (tally.starts["crash"], tally.restarts["crash"]) == (1, 1)


def test_a_first_start_is_no_restart():
    tally = folded(record("process.spawned", {"cause": "manual", "replacement": False}))
    assert (tally.starts["manual"], tally.restarts["manual"]) == (1, 0)


def test_an_exit_counts_once_everywhere():
    tally = folded(record("process.exited", EXIT, wid=3, pid=42, generation=7))
    assert tally.exits["process", "signal"] == 1
    assert sum(tally.exits.values()) == 1
    assert tally.signal_exits["SIGSEGV"] == 1
    assert (tally.cpu_user_seconds, tally.cpu_system_seconds) == (1.5, 0.5)
    assert sum(tally.histograms.lifetime_seconds.counts) == 1
    assert sum(tally.histograms.stop_seconds.counts) == 0
    assert (tally.last_exit.pid, tally.last_exits[3].reason) == (42, "crash")


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
