"""What the daemon keeps of alerts, and the records that it makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from circus import alerting, notifiers
from circus.alerting import Alerting
from circus.events.bus import Bus
from circus.events.cause import CURRENT
from circus.exc import CircusError, MessageError
from circus.rules import Configured, configured_by
from circus.spec.arbiter import ArbiterSpec
from circus.spec.exporters import ExporterSpec
from circus.wire.alerts import MOST_DATA, AlertsAnswer
from circus.wire.events import Cause

FIRING = {"alert": "leak", "kind": "memory", "severity": "warning", "since": 900.0, "value": 2.0, "threshold": 1.0, "unit": "bytes", "labels": {"a": "b"}, "annotations": {}}  # fmt: skip


class Clock:
    now = 1000.0

    def time(self) -> float:
        return self.now

    monotonic = time


class Timer:
    def __init__(self, delay: float, call: Callable[[], None]) -> None:
        self.delay, self.call, self.cancelled = delay, call, False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(delay, call))
        return self.timers[-1]


class World:
    """An Alerting with watchers `Web` and `db`, and a configuration that can be changed."""

    def __init__(self) -> None:
        self.clock, self.loop = Clock(), Loop()
        self.bus = Bus(self.clock, boot="b" * 16)
        self.watchers = {"web": "Web", "db": "db"}
        self.configured = Configured({"leak": None, "flap": ("ops",), "quiet": ()}, ("ops", "pager"))
        self.alerting = Alerting(
            self.loop, self.clock, self.bus, named=lambda name: self.watchers.get(name.lower()),
            watchers=self.watchers.values, configured=lambda: self.configured,
        )  # fmt: skip

    def fire(self, watcher: str | None = "web", wid: int | None = 1, **data: Any) -> int | None:
        told = {"record": "alert.firing", "watcher": watcher, "wid": wid, "data": {**FIRING, **data}}
        return self.alerting.told(told).seq

    def resolve(self, watcher: str | None = "web", wid: int | None = 1, **data: Any) -> int | None:
        full = {"alert": "leak", "reason": "recovered", **data}
        return self.alerting.told(
            {"record": "alert.resolved", "watcher": watcher, "wid": wid, "data": full}
        ).seq  # fmt: skip

    def deliver(self, *alerts: int | None, record: str = "alert.delivered", **data: Any) -> int | None:
        full = {"notify": "ops", "type": "exec", "count": len(alerts), "alerts": list(alerts), **data}
        return self.alerting.told({"record": record, "data": full}).seq

    def answer(self) -> AlertsAnswer:
        return self.alerting.answer()

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bus.journal.replay()[0]]


@pytest.fixture
def world() -> World:
    return World()


def test_an_alert_fires_until_it_is_resolved(world: World) -> None:
    assert world.fire() == 1
    (alert,) = world.answer().alerts
    assert (alert.alert, alert.watcher, alert.wid, alert.fired, alert.seq) == ("leak", "Web", 1, 1000.0, 1)
    world.clock.now = 1030.0
    assert world.resolve(value=0.5) == 2
    assert world.answer().alerts == []
    firing, resolved = world.records()
    assert (firing["record"], firing["watcher"], firing["wid"], firing["data"]) == ("alert.firing", "Web", 1, FIRING)
    assert resolved["data"] == {
        "alert": "leak", "reason": "recovered", "value": 0.5, "kind": "memory", "severity": "warning", "since": 900.0,
        "firing": 1, "seconds": 30.0,
    }  # fmt: skip
    assert (resolved["watcher"], resolved["wid"], resolved["previous"]) == ("Web", 1, 1)
    assert resolved["traceparent"].split("-")[1] == firing["traceparent"].split("-")[1]


def test_what_is_told_twice_fires_once_and_ends_once(world: World) -> None:
    assert [world.fire(), world.fire("WEB", value=7.0)] == [1, 1]
    assert world.answer().alerts[0].value == 7.0
    assert [world.resolve(), world.resolve()] == [2, None]
    assert len(world.records()) == 2


def test_rule_watcher_and_wid_tell_alerts_apart(world: World) -> None:
    seqs = [world.fire(), world.fire(wid=2), world.fire("db"), world.fire(None, None), world.fire(alert="flap")]
    assert seqs == [1, 2, 3, 4, 5]
    world.resolve("db")
    assert [alert.seq for alert in world.answer().alerts] == [1, 2, 4, 5]


def test_the_cause_is_the_command_or_the_record_that_was_named(world: World) -> None:
    seq, trace = world.bus.record("process.lost_x", "Web", Cause(kind="boot"), {})
    token = CURRENT.set(Cause(kind="command", id="7", name="record", actor="uid:5"))
    try:
        world.fire()
        world.alerting.told({"record": "alert.firing", "watcher": "db", "cause": seq, "data": FIRING})
        world.alerting.told({"record": "alert.firing", "watcher": None, "cause": 999, "data": FIRING})
    finally:
        CURRENT.reset(token)
    _, by_command, by_record, by_nobody = world.records()
    assert by_command["cause"] == {"kind": "command", "id": "7", "name": "record", "actor": "uid:5"}
    assert by_record["cause"] == {"kind": "record", "seq": seq}
    assert by_record["traceparent"].split("-")[1] == trace
    assert by_nobody["cause"]["kind"] == "command"


def test_a_watcher_that_is_gone_can_be_resolved_and_leaves_nothing(world: World) -> None:
    world.fire("db")
    del world.watchers["db"]
    world.bus.forget("db")
    with pytest.raises(MessageError, match="program db not found"):
        world.fire("db", alert="flap")
    assert world.resolve("db", reason="gone") == 2
    assert world.records()[-1]["watcher"] == "db"
    assert "db" not in world.bus.tallies


def test_deliveries_are_kept_with_their_alerts_and_counted(world: World) -> None:
    first, second = world.fire(), world.fire(wid=2)
    world.deliver(first, second, 77, attempts=2, waiting=4)
    world.clock.now = 1001.0
    world.deliver(second, record="alert.failed", notify="pager", type="webhook", reason="refused", error="HTTP 400")
    one, two = world.answer().alerts
    assert {name: (each.ok, each.attempts) for name, each in one.deliveries.items()} == {"ops": (True, 2)}
    assert {name: (each.ok, each.error) for name, each in two.deliveries.items()} == {
        "ops": (True, None),
        "pager": (False, "HTTP 400"),
    }
    told = [
        (each.name, each.delivered, each.failed, each.waiting, each.last_error) for each in world.answer().notifiers
    ]
    assert told == [("ops", 3, 0, 4, None), ("pager", 0, 1, None, "HTTP 400")]
    assert [record["record"] for record in world.records()[2:]] == ["alert.delivered", "alert.failed"]
    assert world.alerting.snapshot().failed == {"ops": 0, "pager": 1}


def test_how_it_stands_is_told_without_a_record_and_of_what_is_over_forgotten(world: World) -> None:
    first, second = world.fire(), world.fire(wid=2)
    made = len(world.records())
    stands = [{"seq": first, "value": 7.0}, {"seq": second, "value": 0.0, "ends": 1060.0}, {"seq": 99, "value": 1.0}]
    assert world.alerting.told({"record": "standing", "data": {"alerts": stands}}).seq is None
    assert [(each.value, each.ends) for each in world.answer().alerts] == [(7.0, None), (0.0, 1060.0)]
    assert len(world.records()) == made
    with pytest.raises(MessageError):
        world.alerting.told({"record": "standing", "data": {"alerts": [{"value": 1.0}]}})


def test_what_is_being_tried_is_told_without_a_record_until_it_is_over(world: World) -> None:
    first, second = world.fire(), world.fire(wid=2)
    tried = {"record": "retrying", "attempts": 3, "next": 1016.0, "waiting": 2, "reason": "timeout"}
    assert world.deliver(first, **tried, error="no answer") is None
    assert world.deliver(None, record="retrying", notify="pager", attempts=1, next=1.0, alerts=[]) is None
    one, two = world.answer().alerts
    assert (one.deliveries["ops"].ok, one.deliveries["ops"].next, one.deliveries["ops"].error) == (
        False,
        1016.0,
        "no answer",
    )
    assert two.deliveries == {}
    ops, pager = world.answer().notifiers
    assert (ops.attempts, ops.next_time, ops.last_error, ops.waiting) == (3, 1016.0, "no answer", 2)
    assert (pager.name, pager.attempts, pager.failed) == ("pager", 1, 0)
    world.deliver(first, second, attempts=4, waiting=0)
    assert [(each.deliveries["ops"].ok, each.deliveries["ops"].next) for each in world.answer().alerts] == [
        (True, None)
    ] * 2
    ops, _ = world.answer().notifiers
    assert (ops.attempts, ops.next_time, ops.delivered, ops.last_error) == (0, None, 2, "no answer")
    assert [record["record"] for record in world.records()] == ["alert.firing", "alert.firing", "alert.delivered"]


def test_numbers_for_telemetry_begin_at_nothing_and_go_back_to_it(world: World) -> None:
    snapshot = world.alerting.snapshot
    assert snapshot().active == {"critical": 0, "warning": 0, "info": 0}
    world.fire(severity="critical")
    world.fire(wid=2)
    world.alerting.silence({"watcher": "web", "wid": 2, "seconds": 5})
    assert (snapshot().active, snapshot().silenced, snapshot().silences) == (
        {"critical": 1, "warning": 1, "info": 0}, 1, 1,
    )  # fmt: skip
    world.resolve()
    world.resolve(wid=2)
    assert (snapshot().active, snapshot().silenced) == ({"critical": 0, "warning": 0, "info": 0}, 0)


def test_a_full_house_refuses_and_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerting, "MOST_FIRING", 2)
    world.fire()
    world.fire(wid=2)
    with pytest.raises(CircusError, match="2 alerts fire, and there is no room for leak of Web"):
        world.fire(wid=3)
    assert (world.answer().refused, len(world.records())) == (1, 2)
    assert world.resolve(wid=3) is None
    assert world.fire() == 1, "one that fires already needs no room"
    world.resolve()
    assert world.fire(wid=3) == 4


def test_the_data_of_all_is_bounded_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerting, "MOST_BYTES", 2500)
    world.fire(annotations={"a": "x" * 2000})
    with pytest.raises(CircusError, match="no room"):
        world.fire(wid=2, annotations={"a": "x" * 2000})
    world.resolve()
    world.fire(wid=2, annotations={"a": "x" * 2000})


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({}, "missing required field `record`"),
        ({"record": "alert.silenced", "data": {}}, "'record' isn't one of alert.firing, "),
        ({"record": "x" * 10_000}, "'record' isn't one of"),
        ({"record": "alert.firing", "data": []}, "Expected `object`, got `array`"),
        ({"record": "alert.firing", "data": FIRING, "pid": 3}, "unknown field `pid`"),
        ({"record": "alert.firing", "watcher": 5, "data": FIRING}, "got `int` - at `"),
        ({"record": "alert.firing", "watcher": "nope", "data": FIRING}, "program nope not found"),
        ({"record": "alert.firing", "wid": 1, "data": FIRING}, "'wid' isn't the number of a worker"),
        ({"record": "alert.firing", "watcher": "web", "wid": 0, "data": FIRING}, "'wid' isn't the number"),
        ({"record": "alert.firing", "watcher": "web", "wid": 2**40, "data": FIRING}, "'wid' isn't the number"),
        ({"record": "alert.firing", "watcher": "web", "wid": True, "data": FIRING}, "got `bool`"),
        ({"record": "alert.firing", "data": {}}, "'data': Object missing required field `alert`"),
        ({"record": "alert.firing", "data": FIRING | {"severity": "bad"}}, "Invalid enum value 'bad'"),
        ({"record": "alert.firing", "data": FIRING | {"value": "1"}}, "got `str` - at `"),
        ({"record": "alert.firing", "data": FIRING | {"alert": "a b"}}, "'alert' isn't a name of up to 100"),
        ({"record": "alert.firing", "data": FIRING | {"alert": ""}}, "'alert' isn't a name"),
        ({"record": "alert.firing", "data": FIRING | {"more": 1}}, "unknown field `more`"),
        ({"record": "alert.firing", "data": FIRING | {"annotations": {"a": "x" * 1_000_000}}}, f"at most {MOST_DATA}"),
        ({"record": "alert.firing", "data": FIRING | {"annotations": {"a": "\ud800"}}}, "has no form in JSON"),
        ({"record": "alert.resolved", "data": {"alert": "x", "reason": "bored"}}, "Invalid enum value 'bored'"),
        ({"record": "alert.delivered", "data": {"notify": "o p", "type": "x", "count": 1}}, "'notify' isn't a name"),
        ({"record": "alert.delivered", "data": {"notify": "ops", "type": "x", "count": -1}}, "numbers from 0 on"),
        ({"record": "alert.delivered", "data": {"notify": "ops", "type": "x", "count": 1, "attempts": -1}}, "numbers from"),
    ],
)  # fmt: skip
def test_what_has_another_shape_is_refused_and_changes_nothing(world: World, told: dict[str, Any], reason: str) -> None:
    with pytest.raises(MessageError) as refused:
        world.alerting.told(told)
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 500
    assert world.records() == []
    assert (world.answer().alerts, world.answer().notifiers) == ([], [])


def test_deeply_nested_data_is_refused(world: World) -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"x": deep}
    with pytest.raises(MessageError):
        world.alerting.told({"record": "alert.firing", "data": FIRING | {"labels": deep}})
    while deep:  # freed one by one: the interpreter would take its stack for all at once
        deep = deep.pop("x")


def test_notifiers_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifiers, "MOST", 1)
    world.deliver()
    with pytest.raises(CircusError, match="no room for other"):
        world.deliver(notify="other")


def test_a_silence_covers_what_fires_and_what_will(world: World) -> None:
    world.fire()
    made = world.alerting.silence({"watcher": "WEB", "seconds": 60, "comment": "deploy", "author": "me"})
    world.fire(wid=2)
    world.fire("db")
    assert [alert.silence for alert in world.answer().alerts] == [1, 1, None]
    lifted = world.alerting.unsilence(1)
    assert [alert.silence for alert in world.answer().alerts] == [None, None, None]
    assert lifted.silence == made.silence
    silenced, unsilenced = (record for record in world.records() if "silenced" in record["record"])
    assert (silenced["seq"], unsilenced["seq"]) == (made.seq, lifted.seq)
    assert silenced["data"] == {
        "id": 1, "alert": "*", "watcher": "WEB", "wid": None, "since": 1000.0, "until": 1060.0, "author": "me",
        "comment": "deploy", "user": None,
    }  # fmt: skip
    assert unsilenced["data"] == {**silenced["data"], "reason": "command"}
    with pytest.raises(MessageError, match="there is no silence 1"):
        world.alerting.unsilence(1)


def test_a_silence_ends_by_itself_and_says_so(world: World) -> None:
    world.fire()
    world.alerting.silence({"seconds": 200})
    world.alerting.silence({"seconds": 30})
    assert [timer.delay for timer in world.loop.timers if not timer.cancelled] == [30.0]
    world.clock.now = 1030.0
    world.loop.timers[-1].call()
    assert [silence.id for silence in world.answer().silences] == [1]
    assert world.answer().alerts[0].silence == 1
    assert world.loop.timers[-1].delay == 60.0, "it looks again, whatever becomes of the clock"
    world.clock.now, armed = 1300.0, len(world.loop.timers)
    world.loop.timers[-1].call()
    assert (world.answer().silences, world.answer().alerts[0].silence) == ([], None)
    last = world.records()[-1]
    assert (last["record"], last["data"]["reason"], last["cause"]) == (
        "alert.unsilenced", "expired", {"kind": "timer", "name": "silence"},
    )  # fmt: skip
    assert len(world.loop.timers) == armed, "nothing is left to wait for"


def test_nothing_is_waited_for_after_the_close(world: World) -> None:
    world.alerting.silence({"seconds": 200})
    world.alerting.close()
    assert all(timer.cancelled for timer in world.loop.timers)


@pytest.mark.parametrize(
    "properties", [{"seconds": "1h"}, {"seconds": 5, "for": "1h"}, {"watcher": ["web"], "seconds": 5}]
)
def test_a_silence_of_another_shape_is_refused(world: World, properties: dict[str, Any]) -> None:
    with pytest.raises(MessageError, match="message invalid"):
        world.alerting.silence(properties)
    assert world.records() == []


def test_a_silence_may_name_an_alert_that_only_fires(world: World) -> None:
    with pytest.raises(MessageError, match="there is no alert other"):
        world.alerting.silence({"alert": "other", "seconds": 5})
    world.fire(alert="other")
    assert world.alerting.silence({"alert": "other", "seconds": 5}).silence.id == 1


def test_a_test_tells_whom_the_alert_would(world: World) -> None:
    assert world.alerting.test("leak").notify == ["ops", "pager"]
    assert world.alerting.test("flap").notify == ["ops"]
    assert world.alerting.test("quiet").notify == []
    assert world.records()[0]["data"] == {"alert": "leak", "notify": ["ops", "pager"]}
    with pytest.raises(MessageError, match="there is no alert nope; there are flap, leak, quiet"):
        world.alerting.test("nope")


def test_where_the_configuration_lost_its_last_alert_those_of_before_are_resolved(world: World) -> None:
    world.fire()
    world.fire("db")
    world.fire(alert="by_hand")
    before, after = world.configured, Configured({}, ())
    world.alerting.reconfigured(before)
    assert len(world.answer().alerts) == 3, "the exporter looks after its own"
    world.configured = after
    world.alerting.reconfigured(before)
    assert [alert.alert for alert in world.answer().alerts] == ["by_hand"]
    assert [(record["watcher"], record["data"]["reason"]) for record in world.records()[3:]] == [
        ("Web", "removed"), ("db", "removed"),
    ]  # fmt: skip
    world.alerting.reconfigured(after)
    assert len(world.answer().alerts) == 1


def test_what_the_configuration_says() -> None:
    spec = ArbiterSpec(
        alerts=(
            ExporterSpec(name="a"),
            ExporterSpec(name="b", options={"notify": "x, y"}),
            ExporterSpec(name="c", options={"notify": ""}),
        ),
        notify=(ExporterSpec(name="x"), ExporterSpec(name="y")),
    )
    assert configured_by(spec) == Configured({"a": None, "b": ("x", "y"), "c": ()}, ("x", "y"))


def test_the_answer_has_a_form_in_json(world: World) -> None:
    world.deliver(world.fire())
    world.alerting.silence({"seconds": 5})
    told = json.loads(msgspec.json.encode(world.answer()))
    assert told["alerts"][0]["deliveries"]["ops"]["ok"] is True
    assert (told["status"], told["seq"], told["refused"]) == ("ok", 3, 0)
