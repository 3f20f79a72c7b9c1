"""When files are rotated by time."""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterator

import pytest

from circus.stream.schedule import Schedule

TUESDAY = calendar.timegm((2026, 11, 24, 3, 20, 58))
DAY = 86_400


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place with summer time."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def utc(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S"))


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("S", "2026-11-24 03:21:00"),
        ("M", "2026-11-24 03:22:58"),
        ("H", "2026-11-24 05:20:58"),
        ("D", "2026-11-26 03:20:58"),
        ("MIDNIGHT", "2026-11-25 00:00:00"),
        ("W0", "2026-12-01 00:00:00"),
        ("W1", "2026-11-25 00:00:00"),
        ("W3", "2026-11-27 00:00:00"),
        ("W6", "2026-11-30 00:00:00"),
    ],
)
def test_first_rotation_after_a_start(when: str, expected: str) -> None:
    assert Schedule.parse(when, 2, True).next_after(TUESDAY) == utc(expected)


def test_words_are_taken_in_any_case() -> None:
    assert Schedule.parse("midnight", 1, True) == Schedule.parse("MIDNIGHT", 1, True)
    assert Schedule.parse("w3", 1, True).weekday == 3


@pytest.mark.parametrize("when", [None, "", "W7", "WW", "YEAR", "W"])
def test_an_unknown_word_is_refused_with_those_known(when: object) -> None:
    with pytest.raises(ValueError, match=r"rotate_when = .*: expected S, M, H, D, MIDNIGHT or W0"):
        Schedule.parse(when, 1, False)


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="rotate_interval = 0: expected 1 or more"):
        Schedule.parse("H", 0, False)


@pytest.mark.parametrize(
    ("when", "label"),
    [("S", "20261124032056"), ("M", "202611240318"), ("H", "2026112401"), ("D", "20261122"), ("MIDNIGHT", "20261123")],
)
def test_the_label_says_when_the_period_began(when: str, label: str) -> None:
    schedule = Schedule.parse(when, 2, True)
    end = TUESDAY if when != "MIDNIGHT" else utc("2026-11-25 00:00:00")
    assert schedule.label(end) == label
    assert schedule.label_digits == len(label)


@pytest.mark.parametrize("when", ["S", "M", "H", "D", "MIDNIGHT", "W0", "W4"])
@pytest.mark.parametrize("late", [0, 1, 59, 3_600, DAY, 40 * DAY + 17])
def test_the_following_rotation_is_in_the_future_and_in_step(when: str, late: int) -> None:
    schedule = Schedule.parse(when, 1, True)
    rollover = schedule.next_after(TUESDAY)
    following = schedule.following(rollover, rollover + late)
    assert rollover + late < following <= rollover + late + schedule.seconds
    assert (following - rollover) % schedule.seconds == 0


def test_midnight_stays_midnight_when_summer_time_ends(berlin: None) -> None:
    schedule = Schedule.parse("MIDNIGHT", 1, False)
    before = schedule.next_after(utc("2026-10-24 10:00:00"))
    after = schedule.following(before, before)
    assert [time.localtime(each)[2:5] for each in (before, after)] == [(25, 0, 0), (26, 0, 0)]
    assert after - before == 25 * 3_600
    assert schedule.label(after) == "20261025"


def test_midnight_stays_midnight_when_summer_time_begins(berlin: None) -> None:
    schedule = Schedule.parse("MIDNIGHT", 1, False)
    before = schedule.next_after(utc("2026-03-28 10:00:00"))
    after = schedule.following(before, before)
    assert after - before == 23 * 3_600
    assert schedule.label(after) == "20260329"
