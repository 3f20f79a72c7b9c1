"""An exporter that is started tells what nobody told, by what the journal says of it and its predecessor."""

from __future__ import annotations

from circus.spec.exporters import EXPORTER_WATCHER
from circus.wire.events import Cause, Record
from circus_exporters.otel.resume import OVERLAP_SECONDS, Resume
from circus_exporters.otel.spans import Span

OWN = 500


def record(name: str, time: float, pid: int | None = None, watcher: str = EXPORTER_WATCHER) -> Record:
    return Record(
        boot="b", seq=1, previous=None, time=time, record=name, watcher=watcher, pid=pid, cause=Cause(kind="boot")
    )


def span(end: float, trace: str = "aa") -> Span:
    return Span(trace=trace, span=str(end), parent=None, name="x", start=0.0, end=end)


def test_the_first_exporter_of_a_boot_tells_all() -> None:
    resume = Resume(OWN, now=1000.0)
    resume.fold(record("arbiter.booted", 10.0, watcher="web"), [span(10.0)])
    resume.fold(record("process.spawned", 11.0, OWN), [])
    assert [each.end for each in resume.untold(set())] == [10.0]


def test_a_successor_goes_on_where_the_one_before_ended() -> None:
    resume = Resume(OWN, now=1000.0)
    for moment in (10.0, 99.0 - OVERLAP_SECONDS, 101.0 - OVERLAP_SECONDS, 150.0):
        resume.fold(record("process.ready", moment, watcher="web"), [span(moment)])
    resume.fold(record("process.spawned", 5.0, 400), [])
    resume.fold(record("process.exited", 100.0, 400), [])
    resume.fold(record("process.spawned", 100.5, OWN), [])
    assert [each.end for each in resume.untold(set())] == [101.0 - OVERLAP_SECONDS, 150.0]


def test_one_by_hand_tells_what_is_to_come_and_operations_that_run_whole() -> None:
    resume = Resume(OWN, now=1000.0)
    resume.fold(record("process.ready", 10.0, watcher="web"), [span(10.0), span(11.0, "open")])
    assert [each.trace for each in resume.untold({"open"})] == ["open"]
