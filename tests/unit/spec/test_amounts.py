"""Amounts with units."""

from __future__ import annotations

import pytest

from circus.spec.amounts import (
    GLOBS,
    RATE,
    URL,
    Amount,
    amount,
    duration,
    matches,
    some_of,
    to_bytes,
    to_rate,
    to_seconds,
    told_seconds,
)
from circus.spec.scalars import Platform

NOWHERE = Platform(signals={}, rlimits=frozenset())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("1 h 30 m", 5400), ("500ms", 0.5), ("1.5d", 129600), ("2w", 1209600), (" 0 ", 0)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert to_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "m", "5 minutes", "-5m", "5m 3", "1e3", "inf", "nan", "9" * 400, "5M", "٣s", "100000w", "5m;3s"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        duration().parse(text, NOWHERE)


@pytest.mark.parametrize(
    ("text", "size"),
    [("512MiB", 512 << 20), ("512M", 512 << 20), ("512MB", 512 << 20), ("2g", 2 << 30), ("1.5 GiB", 3 << 29), ("1000", 1000), ("7B", 7)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert to_bytes(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1M", "5X", "12 parsecs", "9" * 400, "16E", "1e9", "nan"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        amount("bytes").parse(text, NOWHERE)


def test_a_share_is_taken_only_where_it_means_something() -> None:
    assert amount("bytes", percent=True).parse("90 %", NOWHERE) == Amount(90.0, "percent")
    assert amount("percent").parse("90", NOWHERE) == amount("percent").parse("90%", NOWHERE)
    with pytest.raises(ValueError, match="90%"):
        amount("bytes").parse("90%", NOWHERE)
    with pytest.raises(ValueError, match="101%"):
        amount("percent", above=0, high=100).parse("101%", NOWHERE)


@pytest.mark.parametrize(
    "kind", [amount("bytes", percent=True), amount("seconds"), amount("count"), amount("percent"), duration(), RATE]
)
def test_what_is_read_is_accepted(kind) -> None:
    text = {"rate": "3/m"}.get(kind.word, "12")
    assert kind.accepts(kind.parse(text, NOWHERE))
    assert not kind.accepts("12")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Amount(512.0 * (1 << 20), "bytes"), "512MiB"), (Amount(100.0, "bytes"), "100B"), (Amount(90.0, "percent"), "90%"),
        (Amount(5400.0, "seconds"), "90m"), (Amount(3.0, "count"), "3"), (Amount(0.0, "seconds"), "0s"),
    ],
)  # fmt: skip
def test_an_amount_is_written_as_it_is_read(value: Amount, text: str) -> None:
    assert str(value) == text
    assert amount(value.unit).parse(text, NOWHERE) == value


def test_a_duration_is_told_in_its_largest_whole_unit() -> None:
    assert [told_seconds(each) for each in (0.5, 90, 3600, 86400, 604800)] == ["0.5s", "90s", "1h", "1d", "1w"]


def test_rates_are_by_the_second() -> None:
    assert [to_rate("10/s"), to_rate("30/m"), to_rate("36 / h")] == [10.0, 0.5, 0.01]
    for text in ("10", "0/s", "1001/s", "1/d", "/s"):
        with pytest.raises(ValueError, match=text):
            RATE.parse(text, NOWHERE)


def test_globs_mean_what_fits_one_and_none_of_the_others() -> None:
    patterns = GLOBS.parse("web-*, !web-test db", NOWHERE)
    assert patterns == ("web-*", "!web-test", "db")
    assert [name for name in ("web-1", "WEB-2", "web-test", "db", "queue") if matches(patterns, name)] == [
        "web-1", "WEB-2", "db",
    ]  # fmt: skip
    assert matches(("!web",), "db")
    assert not matches(("!web",), "Web")
    for text in ("", " , ", "!"):
        with pytest.raises(ValueError):
            GLOBS.parse(text, NOWHERE)


def test_a_list_has_only_known_words() -> None:
    assert some_of("oom", "crash").parse("OOM, crash oom", NOWHERE) == ("oom", "crash")
    for text in ("", "oom boom"):
        with pytest.raises(ValueError):
            some_of("oom", "crash").parse(text, NOWHERE)


@pytest.mark.parametrize(
    "text", ["ftp://x", "http://", "http://a b", "http://x:0", "http://x:99999", "x", "http://x/\n"]
)
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(ValueError):
        URL.parse(text, NOWHERE)
