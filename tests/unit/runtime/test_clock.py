"""Chance from the system."""

from __future__ import annotations

import os

from circus.runtime.clock import chance


def test_chance_is_at_least_0_and_less_than_1(monkeypatch):
    monkeypatch.setattr(os, "urandom", lambda count: b"\0" * count)
    assert chance() == 0.0
    monkeypatch.setattr(os, "urandom", lambda count: b"\xff" * count)
    assert 0.999 < chance() < 1.0


def test_chance_is_spread_over_all_of_it():
    drawn = [chance() for _ in range(2000)]
    assert {int(number * 10) for number in drawn} == set(range(10))
    assert 0.4 < sum(drawn) / len(drawn) < 0.6
