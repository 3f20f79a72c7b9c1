"""What becomes of alerts on their way: each is counted once, the order is kept, and the rate."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from circus.spec.alerts import NotifySpec
from circus_exporters.alerts.delivery import Bucket, Delivery, Ended
from circus_exporters.alerts.engine import Key
from circus_exporters.alerts.messages import Alert, Notice
from circus_exporters.attempts import Outcome
from circus_exporters.state import Alerting
from tests.helpers.waiting import DEADLINE

AWAY = Outcome(problem="away", again=True, kind="unreachable")
NO = Outcome(problem="it answers 400", kind="refused")


class Asked:
    """Answers as it is told, and takes everything afterwards."""

    shown = "somewhere"

    def __init__(self, *outcomes: Outcome, mixed: bool = False) -> None:
        self.outcomes = list(outcomes)
        self.mixed = mixed
        self.got: list[list[str]] = []
        self.attempts = 0
        self.closed = False

    def check(self) -> None: ...

    async def deliver(self, notices: Sequence[Notice]) -> Outcome:
        self.attempts += 1
        outcome = self.outcomes.pop(0) if self.outcomes else Outcome()
        if outcome.problem is None:
            self.got.append([f"{notice.what} {notice.alert.key.wid}" for notice in notices])
        return outcome

    async def close(self) -> None:
        self.closed = True


def alert(wid: int) -> Alert:
    return Alert(key=Key("leak", "web", wid), kind="memory", severity="info", labels={}, annotations={}, since=0.0)


def firing(*wids: int) -> list[Notice]:
    return [Notice(alert(wid), "firing") for wid in wids]


def resolved(*wids: int) -> list[Notice]:
    return [Notice(alert(wid), "resolved") for wid in wids]


class Way:
    """A delivery that is not slowed down, with what it told."""

    def __init__(self, sink: Asked, **options: Any) -> None:
        fields: dict[str, Any] = {"rate": 1000.0, "burst": 100, "batch": 1, **options}
        self.counts, self.ended, self.retried = Alerting(), list[Ended](), list[Ended]()
        self.delivery = Delivery(
            NotifySpec(name="ops", type="exec", **fields), sink, self.counts, self.ended.append,
            on_retry=self.retried.append, first_pause=0.001,
        )  # fmt: skip

    async def until_empty(self) -> None:
        task = asyncio.create_task(self.delivery.run())
        async with asyncio.timeout(DEADLINE):
            while self.delivery.waiting:  # noqa: ASYNC110 -- nobody tells of the end
                await asyncio.sleep(0)
        task.cancel()

    @property
    def delivered(self) -> int:
        return self.counts.delivered["ops"]

    @property
    def failed(self) -> dict[str, int]:
        return {reason: number for reason, number in self.counts.failed["ops"].items() if number}


async def test_all_that_waits_goes_in_order() -> None:
    sink = Asked()
    way = Way(sink)
    way.delivery.add(firing(1, 2))
    way.delivery.add(resolved(1))
    assert way.counts.waiting["ops"] == 3
    await way.until_empty()
    assert sink.got == [["firing 1"], ["firing 2"], ["resolved 1"]]
    assert (way.delivered, way.failed, way.counts.waiting["ops"]) == (3, {}, 0)
    assert [ended.problem for ended in way.ended] == [None] * 3


async def test_each_attempt_that_is_made_again_is_told_with_the_pause() -> None:
    way = Way(Asked(AWAY, AWAY, Outcome(problem="busy", again=True, wait=0.01, kind="timeout"), NO), batch=2)
    way.delivery.add([*firing(1), Notice(alert(2), "firing", repeated=True)])
    await way.until_empty()
    assert [(each.attempts, each.problem, each.reason) for each in way.retried] == [
        (1, "away", "unreachable"), (2, "away", "unreachable"), (3, "busy", "timeout"),
    ]  # fmt: skip
    pauses = [each.again for each in way.retried if each.again is not None]
    assert 0 < pauses[0] < pauses[1] < pauses[2]
    assert pauses[2] >= 0.01
    # Who has it repeated knows of it already.
    assert {tuple(notice.alert.key.wid for notice in each.notices) for each in way.retried} == {(1,)}
    assert {each.waiting for each in way.retried} == {2}
    assert [(each.attempts, each.again) for each in way.ended] == [(4, None)]


async def test_a_batch_is_of_one_kind_and_has_no_alert_twice() -> None:
    sink = Asked()
    way = Way(sink, batch=10)
    for notices in (firing(1, 2), resolved(1), firing(1), firing(3)):
        way.delivery.add(notices)
    await way.until_empty()
    assert sink.got == [["firing 1", "firing 2"], ["resolved 1"], ["firing 1", "firing 3"]]


async def test_who_takes_them_mixed_gets_them_mixed_but_never_one_alert_twice() -> None:
    sink = Asked(mixed=True)
    way = Way(sink, batch=10)
    for notices in (firing(1, 2), resolved(1), firing(3)):
        way.delivery.add(notices)
    await way.until_empty()
    assert sink.got == [["firing 1", "firing 2"], ["resolved 1", "firing 3"]]


async def test_who_comes_back_gets_everything() -> None:
    sink = Asked(AWAY, AWAY, AWAY)
    way = Way(sink)
    way.delivery.add(firing(1))
    way.delivery.add(resolved(1))
    await way.until_empty()
    assert sink.got == [["firing 1"], ["resolved 1"]]
    assert (way.delivered, way.failed, way.counts.retried["ops"]) == (2, {}, 3)
    assert [ended.attempts for ended in way.ended] == [4, 1]
    assert way.counts.problems == {}


async def test_what_is_refused_is_given_up_and_its_end_is_not_told() -> None:
    sink = Asked(NO)
    way = Way(sink)
    way.delivery.add(firing(1, 2))
    way.delivery.add(resolved(1, 2))
    await way.until_empty()
    assert sink.got == [["firing 2"], ["resolved 2"]]
    assert (way.delivered, way.failed) == (2, {"refused": 2})
    assert (way.ended[0].problem, way.ended[0].reason) == ("it answers 400", "refused")
    way.delivery.add(resolved(1))
    assert way.delivery.waiting == 0


async def test_it_is_given_up_when_it_takes_too_long() -> None:
    sink = Asked(*[AWAY] * 1000)
    way = Way(sink, retry_for_seconds=0.0)
    way.delivery.add(firing(1))
    await way.until_empty()
    assert (sink.attempts, way.failed) == (1, {"unreachable": 1})
    assert way.counts.problems == {"ops": "away"}


async def test_when_too_many_wait_the_oldest_are_dropped_with_their_ends() -> None:
    way = Way(Asked(), queue=2)
    way.delivery.add([*firing(1), *resolved(1), *firing(2, 3)])
    assert way.failed == {"overflow": 2}
    assert not way.delivery.knows(Key("leak", "web", 1))
    assert way.delivery.waiting == 2
    await way.until_empty()
    assert way.delivered == 2


async def test_the_end_is_told_only_to_who_knows_of_the_beginning() -> None:
    sink = Asked()
    way = Way(sink)
    way.delivery.add(resolved(1))
    way.delivery.believe(Key("leak", "web", 2))
    way.delivery.add(resolved(2))
    await way.until_empty()
    assert sink.got == [["resolved 2"]]


async def test_who_wants_no_ends_gets_none() -> None:
    sink = Asked()
    way = Way(sink, send_resolved=False)
    way.delivery.add([*firing(1), *resolved(1)])
    await way.until_empty()
    assert sink.got == [["firing 1"]]


async def test_what_is_repeated_is_due_after_a_while_and_counts_once() -> None:
    sink = Asked()
    way = Way(sink, repeat_seconds=60.0)
    way.delivery.add(firing(1))
    assert way.delivery.due(1e9) == []  # it waits already
    await way.until_empty()
    now = way.delivery._knows[Key("leak", "web", 1)]
    assert way.delivery.due(now + 59.0) == []
    assert way.delivery.due(now + 61.0) == [Key("leak", "web", 1)]
    assert way.delivery.due(now + 62.0) == []
    way.delivery.add([Notice(alert(1), "firing", repeated=True)])
    await way.until_empty()
    assert sink.got == [["firing 1"], ["firing 1"]]
    assert way.delivered == 1
    assert len(way.ended) == 1


async def test_on_leaving_what_waits_is_delivered_or_left_to_the_next() -> None:
    sink = Asked()
    way = Way(sink)
    way.delivery.add(firing(1))
    await way.delivery.close(DEADLINE)
    assert sink.got == [["firing 1"]]
    assert sink.closed
    away = Way(Asked(*[AWAY] * 10_000))
    away.delivery.add(firing(1))
    await away.delivery.close(0.01)
    assert (away.delivered, away.failed) == (0, {})


@pytest.mark.parametrize(("rate", "burst", "number", "waits"), [(1.0, 3, 5, 2.0), (10.0, 1, 11, 1.0), (0.5, 2, 3, 2.0)])
def test_a_few_go_at_once_and_the_others_by_the_rate(rate: float, burst: int, number: int, waits: float) -> None:
    bucket = Bucket(rate, burst)
    pauses = [bucket.take(100.0) for _ in range(number)]
    assert pauses[:burst] == [0.0] * burst
    assert pauses[-1] == pytest.approx(waits)


def test_a_pause_lets_a_few_go_at_once_again() -> None:
    bucket = Bucket(1.0, 3)
    for _ in range(3):
        bucket.take(100.0)
    assert [bucket.take(102.0) for _ in range(3)] == [0.0, 0.0, 1.0]
    assert [bucket.take(200.0) for _ in range(3)] == [0.0] * 3
