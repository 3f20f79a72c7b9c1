"""What is handed over, as bytes and back, and what is said of bytes that are something else."""

import marshal
import os

import msgspec
import pytest

from circus import handover
from circus.core.lifecycle import Lifecycle
from circus.core.origin import Origin
from circus.events.bus import Bus
from circus.events.counters import LAG_BOUNDS, new_histogram
from circus.exc import CircusError
from circus.runtime.clock import SystemClock
from circus.spec.arbiter import ArbiterSpec
from circus.spec.watcher import WatcherSpec
from circus.wire.events import Cause

SPEC = WatcherSpec(name="web", cmd="program", env={"A": "\udcfe"})


def bus():
    made = Bus(SystemClock(), boot="0123456789abcdef")
    exited = {
        "reason": "crash", "initiator": "process", "outcome": "signal", "exit_code": None, "signal": "SIGSEGV",
        "cpu_user_seconds": 1.5, "cpu_system_seconds": 0.5, "lifetime_seconds": 3.0, "stop_seconds": None,
    }  # fmt: skip
    made.record("process.exited", "web", Cause(kind="boot"), exited, wid=1, pid=5, generation=1)
    made.record("arbiter.booted", None, Cause(kind="boot"), {"seconds": 1.0})
    return made


def record(**other):
    machine = Lifecycle(SPEC, random=lambda: 0.5, signal_names={}).record()
    outputs = handover.OutputsRecord(
        life="ab",
        opened=True,
        pipes=[handover.PipeRecord(fd=9, name="stdout", pid=5, wid=1, carry=b"half \xff")],
        rings=[handover.RingRecord(wid=1, name="stdout", following=7, chunks=[(7, 1.0, 5, b"x\n")])],
        streams=[("stdout", 0, {"filename": "f\udc80", "source": (5, "stdout"), "open": True, "pending": b"p"})],
        drops={"stdout": (1, 2)},
    )
    watcher = handover.WatcherRecord(
        spec=handover.dumped(SPEC),
        machine=machine,
        env={"A": "\udcfe"},
        processes=[handover.ProcessRecord(pid=5, wid=1, generation=1, started=1.0, began=2.0, ended=(None,))],
        outputs=outputs,
    )
    lag = new_histogram(LAG_BOUNDS)
    counts = handover.CountsRecord(
        control=handover.ControlRecord(command_counts={"list": 1}, command_errors={}, command_error_kinds={},
                                       command_seconds={"list": lag}, drops=0),
        events=handover.EventsRecord(published={"log": 1}, dropped={}),
        samples=handover.SamplesRecord(seqs={b"sample.w\xc3": 4}, passes=1, skipped=0, loop_lag=lag, pass_duration=lag,
                                       drops=0, errors={}),
        illegal_transitions=0,
        strangers=0,
    )  # fmt: skip
    listener = handover.ListenerRecord(option="endpoint", endpoint="tcp://127.0.0.1:1", fd=11, identity=None)
    made = {
        "version": "1", "taken_at": 5.0, "origin": Origin(kind="signal", name="SIGUSR2"), "upgrades": 0,
        "spec": handover.dumped(ArbiterSpec(watchers=(SPEC,))), "started": 1.0, "applied": 1.0, "refused": None,
        "soft_limit": 1024, "fd_base": None, "channels": handover.ChannelsRecord(listeners=[listener]),
        "sockets": [handover.SocketRecord(name="s", fd=10, host="", port=0, bound=(1, 2)),
                    handover.SocketRecord(name="r", fd=None, host="h", port=1, bound=None)],
        "watchers": [watcher], "bus": bus().handed(), "counts": counts,
        "alerts": handover.AlertsRecord(firing=[], silences=[], last_silence=0, notifiers=[], refused=0),
    }  # fmt: skip
    return handover.ArbiterRecord(**(made | other))


def test_everything_comes_back():
    made = record()
    found = handover.read(handover.written(made))
    assert found == made
    assert found.arbiter_spec().watchers == (SPEC,)
    assert handover.spec_of(found.watchers[0]) == SPEC


def test_the_descriptors_of_everything_are_named():
    assert sorted(record().descriptors()) == [9, 10, 11]


def test_the_bus_goes_on_with_its_records_and_counters():
    before = bus()
    after = Bus.resumed(SystemClock(), record().bus, journal_size=10)
    assert (after.boot, after.seq) == (before.boot, 2)
    seq, _ = after.record("process.ready", "web", Cause(kind="boot"), {"seconds": 1.0}, wid=1)
    bodies, first, _ = after.journal.replay()
    told = [msgspec.json.decode(body) for body in bodies]
    assert (seq, first) == (3, 1)
    assert [each["previous"] for each in told] == [None, None, 1]
    tally = after.tally("web")
    assert tally.exits["process", "signal"] == 1
    assert tally.signal_exits["SIGSEGV"] == 1
    assert tally.histograms.lifetime_seconds.counts == before.tally("web").histograms.lifetime_seconds.counts
    assert tally.last_exits[1].signal == "SIGSEGV"
    assert tally.ends[1] == bodies[0]


@pytest.mark.parametrize("field", ["format", "machine_format"])
def test_another_format_is_told(field):
    with pytest.raises(CircusError, match=r"has the format .*9.*, this release knows 1\.1"):
        handover.decode(handover.encode(record(**{field: 9})))


@pytest.mark.parametrize(
    "data", [b"", b"nonsense", marshal.dumps(5), marshal.dumps({"format": 1}), marshal.dumps({"format": 1, "machine_format": 1})]
)  # fmt: skip
def test_what_is_something_else_is_an_error_and_no_accident(data):
    with pytest.raises(CircusError, match="cannot be read"):
        handover.decode(data)


def test_a_descriptor_that_is_none():
    reader, writer = os.pipe()
    os.close(writer)
    os.close(reader)
    with pytest.raises(OSError, match="descriptor"):
        handover.read(reader)
