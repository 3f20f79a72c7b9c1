"""All spans of a trace have the same answer; a caller's word counts where the sampler asks for it."""

from __future__ import annotations

import random

import pytest

from circus_exporters.otel.sampling import sampler
from circus_exporters.otel.spans import Span


def span(trace: str = "ab" * 16, sampled: bool | None = None) -> Span:
    return Span(trace=trace, span="cd" * 8, parent=None, name="x", start=0.0, end=1.0, sampled=sampled)


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        ("always_on", (True, True, True)),
        ("always_off", (False, False, False)),
        ("parentbased_always_on", (True, True, False)),
        ("parentbased_always_off", (False, True, False)),
    ],
)
def test_the_caller_counts_for_some(kind: str, answers: tuple[bool, bool, bool]) -> None:
    wants = sampler(kind, 1.0)
    assert tuple(wants(span(sampled=said)) for said in (None, True, False)) == answers


def test_a_ratio_takes_about_that_many_and_the_same_ones_each_time() -> None:
    dice = random.Random(7)
    traces = [f"{dice.getrandbits(128):032x}" for _ in range(2000)]
    taken = [trace for trace in traces if sampler("traceidratio", 0.25)(span(trace))]
    assert 400 < len(taken) < 600
    assert taken == [trace for trace in traces if sampler("parentbased_traceidratio", 0.25)(span(trace))]
    assert not sampler("traceidratio", 0.0)(span())
    assert sampler("traceidratio", 1.0)(span("ff" * 16))
