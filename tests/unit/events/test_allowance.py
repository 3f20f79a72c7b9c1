"""How much may be told in a while."""

from __future__ import annotations

from circus.events.allowance import Allowance


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_granted_and_no_more_than_that() -> None:
    allowance = Allowance(10, 50, Clock())
    assert [allowance.take(20) for _ in range(4)] == [True, True, False, False]
    assert allowance.take(10)
    assert not allowance.take(1)


def test_what_is_refused_costs_nothing_and_time_brings_more() -> None:
    clock = Clock()
    allowance = Allowance(10, 50, clock)
    assert allowance.take(50)
    clock.now += 1.5
    assert not allowance.take(16)
    assert allowance.take(15)


def test_no_more_is_saved_than_the_burst() -> None:
    clock = Clock()
    allowance = Allowance(10, 50, clock)
    clock.now += 1000
    assert not allowance.take(51)
    assert allowance.take(50)
