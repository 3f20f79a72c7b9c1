"""Single values from text."""

from __future__ import annotations

import pytest

from circus.spec.scalars import Platform, to_bool, to_limit, to_mask, to_signum, to_user

SIGNALS = {"SIGHUP": 1, "SIGTERM": 15, "SIGRTMIN": 34, "SIGRTMAX": 64}


@pytest.mark.parametrize("text", ["yes", "TRUE", " on ", "1"])
def test_these_words_are_true(text: str) -> None:
    assert to_bool(text) is True


@pytest.mark.parametrize("text", ["no", "False", "oFF", "0"])
def test_these_words_are_false(text: str) -> None:
    assert to_bool(text) is False


def test_a_boolean_passes() -> None:
    assert to_bool(True) is True


def test_another_word_is_no_boolean_in_the_words_of_0_19() -> None:
    with pytest.raises(ValueError, match="'maybe' is not a boolean"):
        to_bool("maybe")


@pytest.mark.parametrize("value", [15, "15", "TERM", "SIGTERM", "term", " SigTerm "])
def test_a_signal_is_written_in_many_ways(value: int | str) -> None:
    assert to_signum(value, SIGNALS) == 15


def test_realtime_signals_are_counted_from_either_end() -> None:
    assert to_signum("SIGRTMIN+2", SIGNALS) == 36
    assert to_signum("rtmax-1", SIGNALS) == 63


@pytest.mark.parametrize("text", ["FOO", "SIGFOO", "", "TERM+1", "SIGRTMIN-1", "SIGRTMIN+99", "1.5", "-1"])
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a signal"):
        to_signum(text, SIGNALS)


def test_a_platform_without_realtime_signals_refuses_them() -> None:
    with pytest.raises(ValueError, match="is not a signal"):
        to_signum("SIGRTMIN+1", {"SIGTERM": 15})


def test_a_user_is_an_id_a_name_or_nothing() -> None:
    assert [to_user("0"), to_user("www-data"), to_user("  ")] == [0, "www-data", None]


@pytest.mark.parametrize("text", ["022", "0o22", "22"])
def test_a_mask_is_octal(text: str) -> None:
    assert to_mask(text) == 0o22


@pytest.mark.parametrize("text", ["8", "1777", "-1", "", "rw"])
def test_what_is_no_mask_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        to_mask(text)


@pytest.mark.parametrize("text", ["", "  ", "-1"])
def test_no_limit_is_none(text: str) -> None:
    assert to_limit(text) is None


@pytest.mark.parametrize("text", ["-2", "x", str(2**63)])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        to_limit(text)


def test_a_platform_knows_its_highest_signal() -> None:
    assert Platform(signals=SIGNALS, rlimits=frozenset()).highest_signal == 64
