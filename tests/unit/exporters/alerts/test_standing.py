"""What the daemon is told of alerts that fire: the last value, and when one that is only kept ends."""

from __future__ import annotations

import math

from circus.wire.alerts import Stand
from circus_exporters.alerts.engine import Key
from circus_exporters.alerts.messages import Alert
from circus_exporters.alerts.standing import EVERY_SECONDS, Stands

KEY = Key("flapping", "web")


class World:
    """One alert, and what is seen of it."""

    def __init__(self) -> None:
        self.seen: tuple[float | None, float | None] = (4.0, None)
        self.now = 100.0
        self.stands = Stands(lambda key, now: self.seen)
        self.alert = Alert(
            key=KEY, kind="flapping", severity="warning", labels={}, annotations={}, since=1.0, value=4.0, seq=7
        )

    def news(self) -> list[tuple[float | None, float | None]]:
        found = self.stands.news([self.alert], self.now, self.now + 1000.0)
        assert {each.seq for each in found} <= {7}
        return [(each.value, each.ends) for each in found]


def test_nothing_is_told_of_what_is_known_or_has_no_record_yet() -> None:
    world = World()
    assert world.news() == []
    world.alert.seq, world.seen = None, (9.0, None)
    assert world.news() == []


def test_a_value_is_told_when_it_changes_and_not_more_often_than_every_few_seconds() -> None:
    world = World()
    told = 0
    for step in range(20):
        world.seen = (5.0 + step, None)
        told += len(world.news())
        world.now += 1.0
    assert told == 20 / EVERY_SECONDS
    world.now += EVERY_SECONDS
    assert world.news() == [(24.0, None)]
    world.now += EVERY_SECONDS
    assert world.news() == []


def test_that_it_is_only_kept_is_told_once_and_again_when_it_comes_again() -> None:
    world = World()
    world.seen = (3.0, 60.0)
    assert world.news() == [(3.0, 1160.0)]
    world.now, world.seen = 101.0, (3.0, 59.2)
    assert world.news() == []
    world.now, world.seen = 102.0, (6.0, None)
    assert world.news() == [(6.0, None)]
    world.now, world.seen = 103.0, (3.0, 60.0)
    assert world.news() == [(3.0, 1163.0)]


def test_what_was_never_seen_keeps_its_value_and_what_has_no_number_none() -> None:
    world = World()
    world.seen = (None, None)
    assert world.news() == []
    world.now, world.seen = 110.0, (math.inf, None)
    assert world.news() == [(None, None)]


def test_a_number_that_fires_again_later_is_told_anew() -> None:
    world = World()
    world.seen = (3.0, 60.0)
    world.news()
    assert world.stands.news([], 101.0, 1101.0) == []
    assert world.stands.news([world.alert], 102.0, 1102.0) == [Stand(seq=7, value=3.0, ends=1162.0)]
