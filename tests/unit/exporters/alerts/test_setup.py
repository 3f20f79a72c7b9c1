"""Who is told of what: an exporter that begins, silences, tests, alerts of others."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from circus.exc import CallError, CircusError
from circus.spec.alerts import NotifySpec, read_alerts
from circus.wire import alerts as wire
from circus.wire.events import Record
from circus_exporters.alerts.engine import Key
from circus_exporters.alerts.setup import AlertExport
from circus_exporters.state import FleetState
from tests.fakes import fleet

MIB = 1 << 20
LEAK = Key("leak", "web", 1)


def fires(**changes: Any) -> wire.Alert:
    fields: dict[str, Any] = {
        "alert": "leak", "kind": "memory", "watcher": "web", "wid": 1, "severity": "critical", "since": fleet.STARTED,
        "fired": fleet.STARTED, "seq": 8, "value": 200.0 * MIB, "threshold": 100.0 * MIB, "unit": "bytes",
        "labels": {"alertname": "leak"}, "annotations": {"summary": "much"},
    }  # fmt: skip
    return wire.Alert(**{**fields, **changes})


def state_of(*, ok: bool) -> wire.DeliveryState:
    return wire.DeliveryState(ok=ok, time=fleet.STARTED, attempts=1)


def silence(number: int = 1) -> wire.Silence:
    return wire.Silence(id=number, alert="*", watcher="web", wid=None, since=0.0, until=1e12, author="", comment="")


class Told:
    """An exporter that is told by hand, with two notifiers that nobody delivers to: what waits for them is what counts."""

    def __init__(self, alerts: list[wire.Alert] | None = None, silences: list[wire.Silence] | None = None) -> None:
        rules, _, _ = read_alerts({"leak": {"kind": "memory", "above": "100MiB", "for": "0"}}, {})
        notifiers = [NotifySpec(name=name, type="exec", cmd="true") for name in ("ops", "pager")]
        self.state = FleetState()
        self.problem: CircusError | None = None
        self.answer = wire.AlertsAnswer(
            boot=fleet.BOOT, seq=10, time=fleet.STARTED, alerts=alerts or [], silences=silences or [], notifiers=[],
            refused=0, configured=[],
        )  # fmt: skip
        self.export = AlertExport(self.state, rules, notifiers, self._ask, self._refresh, instance="host-1")
        self.seq = 10

    async def _ask(self, command: str, **_: Any) -> dict[str, Any]:
        assert command == "alerts"
        if self.problem is not None:
            raise self.problem
        answer: dict[str, Any] = msgspec.to_builtins(self.answer)
        return answer

    async def _refresh(self) -> bool:
        return True

    async def begin(self, *journal: Record) -> Told:
        self.state.attach(fleet.telemetry(fleet.watcher("web", 1)), 100.0)
        for record in journal:
            self.state.fold_record(record)
        self.state.last_seq = 10
        await self.export._learn()
        return self

    def record(self, name: str, watcher: str | None = None, /, **data: Any) -> None:
        self.seq += 1
        self.state.fold_record(fleet.record(self.seq, name, watcher, wid=None, data=data))

    def sample(self, size: int) -> None:
        self.state.fold_sample(fleet.sample("web", [fleet.process(1, resident_bytes=size * MIB)]), 100.0)

    def waits(self, name: str = "ops") -> list[tuple[str, str]]:
        queue = self.export.deliveries[name]._queue
        return [(notice.what, notice.alert.key.rule) for notice in queue]


async def test_nothing_is_judged_before_it_is_known_what_fires() -> None:
    told = Told()
    told.state.attach(fleet.telemetry(fleet.watcher("web", 1)), 100.0)
    told.sample(200)
    assert told.waits() == []
    await told.begin()
    told.sample(200)
    assert told.waits() == told.waits("pager") == [("firing", "leak")]


async def test_what_fires_already_is_told_only_to_who_was_not_told() -> None:
    told = await Told([fires(deliveries={"ops": state_of(ok=True)})]).begin()
    assert told.waits() == []
    assert told.waits("pager") == [("firing", "leak")]
    assert told.export.counts.suppressed["dedup"] == 1
    told.sample(20)
    assert told.waits() == [("resolved", "leak")]
    assert told.waits("pager") == [("firing", "leak"), ("resolved", "leak")]


async def test_who_was_given_up_is_not_told_again() -> None:
    told = await Told([fires(deliveries={"ops": state_of(ok=False)})]).begin()
    assert told.waits() == []
    told.sample(20)
    assert told.waits() == []


async def test_who_was_being_tried_is_tried_by_the_next_exporter() -> None:
    tried = wire.DeliveryState(ok=False, time=fleet.STARTED, attempts=3, error="away", next=fleet.STARTED + 4)
    told = await Told([fires(deliveries={"ops": tried})]).begin()
    assert told.waits() == [("firing", "leak")]


async def test_a_silence_of_before_keeps_back_and_tells_nobody_twice() -> None:
    told = await Told([fires(deliveries={"ops": state_of(ok=True)}, silence=1)], [silence()]).begin()
    told.export._unmute()
    assert told.waits() == told.waits("pager") == []
    told.record("alert.unsilenced", **msgspec.to_builtins(silence()), reason="command")
    told.export._unmute()
    assert told.waits() == []
    assert told.waits("pager") == [("firing", "leak")]


async def test_what_begins_under_a_silence_is_told_when_that_is_over() -> None:
    told = await Told().begin()
    told.record("alert.silenced", **msgspec.to_builtins(silence()))
    told.sample(200)
    assert told.waits() == []
    assert told.export.counts.suppressed["silence"] == 1
    told.record("alert.unsilenced", **msgspec.to_builtins(silence()), reason="expired")
    told.export._unmute()
    assert told.waits() == [("firing", "leak")]


async def test_what_was_over_under_a_silence_is_told_to_nobody() -> None:
    told = await Told(silences=[silence()]).begin()
    told.sample(200)
    told.sample(20)
    assert told.waits() == []
    assert told.export._muted == set()


async def test_a_test_goes_to_whom_the_daemon_names_also_before_anything_is_known() -> None:
    told = Told()
    told.state.attach(fleet.telemetry(fleet.watcher("web", 1)), 100.0)
    told.state.last_seq = 10
    told.record("alert.test", alert="leak", notify=["pager", "nobody"])
    assert told.waits() == []
    assert told.waits("pager") == [("test", "leak")]
    notice = told.export.deliveries["pager"]._queue[0]
    assert notice.alert.labels["test"] == "true"
    await told.export._learn()
    assert len(told.waits("pager")) == 1


async def test_tests_of_the_past_are_not_repeated() -> None:
    told = await Told().begin(
        *(fleet.record(seq) for seq in range(1, 9)),
        fleet.record(9, "alert.test", None, data={"alert": "leak", "notify": ["ops"]}),
        fleet.record(10),
    )
    assert told.waits() == []


def journal(*more: tuple[str, dict[str, Any]]) -> list[Record]:
    """Eight records of something else, then these."""
    found = [fleet.record(seq) for seq in range(1, 5)]
    found += [
        fleet.record(5 + number, name, "web" if name != "alert.delivered" else None, data=data)
        for number, (name, data) in enumerate(more)
    ]
    return found


FIRING = {"alert": "leak", "kind": "memory", "severity": "critical", "since": 1e12, "labels": {}, "annotations": {}}
OVER = {"alert": "leak", "kind": "memory", "severity": "critical", "reason": "recovered", "firing": 5}


def delivered(name: str) -> tuple[str, dict[str, Any]]:
    return "alert.delivered", {"notify": name, "type": "exec", "count": 1, "alerts": [5]}


async def test_what_was_over_before_somebody_was_told_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("circus_exporters.alerts.setup.time.time", lambda: fleet.STARTED + 60)
    told = await Told().begin(*journal(("alert.firing", FIRING), delivered("ops"), ("alert.resolved", OVER)))
    assert told.waits() == [("resolved", "leak")]
    assert told.waits("pager") == []  # nobody knows whether it was there
    told = await Told().begin(
        *journal(("alert.firing", FIRING), delivered("ops"), ("alert.resolved", OVER), delivered("ops"))
    )
    assert told.waits() == []


async def test_what_was_over_long_ago_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("circus_exporters.alerts.setup.time.time", lambda: fleet.STARTED + 86_400)
    told = await Told().begin(*journal(("alert.firing", FIRING), delivered("ops"), ("alert.resolved", OVER)))
    assert told.waits() == []


async def test_an_alert_of_somebody_else_is_passed_on_and_its_end_too() -> None:
    told = await Told().begin()
    told.record(
        "alert.firing", "web", alert="backup", kind="script", severity="info", since=1.0, labels={}, annotations={}
    )
    told.record("alert.firing", "web", **{**FIRING, "alert": "leak"})  # our own, by way of the daemon
    assert told.waits() == [("firing", "backup")]
    told.record("alert.resolved", "web", alert="backup", kind="script", severity="info", reason="recovered")
    assert told.waits() == [("firing", "backup"), ("resolved", "backup")]


async def test_a_daemon_that_refuses_to_tell_is_taken_for_one_where_nothing_fires() -> None:
    told = Told()
    told.problem = CallError("Timed out.")
    await told.begin()
    told.sample(200)
    assert told.waits() == []
    told.problem = CircusError("it refused 'alerts': not permitted")
    await told.export._learn()
    told.sample(200)
    assert told.waits() == [("firing", "leak")]


async def test_another_daemon_is_the_end_of_what_fired() -> None:
    told = await Told([fires(deliveries={"ops": state_of(ok=True)})]).begin()
    told.state.attach(fleet.telemetry(fleet.watcher("web", 1), boot="other", seq=0), 200.0)
    assert told.waits() == [("resolved", "leak")]
    assert told.export.evaluation.engine.firing() == []
