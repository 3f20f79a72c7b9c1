"""Options of plugins: text as ini files have it, values of a program, and what is no value."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from circus.plugins.options import OptionError, Options


@pytest.mark.parametrize("given", ["3", 3, " 3 "])
def test_a_whole_number(given: object) -> None:
    assert Options({"n": given}).whole("n", 7) == 3


@pytest.mark.parametrize("given", ["0.5", 0.5, "5e-1"])
def test_a_number(given: object) -> None:
    assert Options({"n": given}).number("n", 7.0) == 0.5


@pytest.mark.parametrize(("given", "read"), [("yes", True), ("0", False), (False, False), (1, True)])
def test_a_flag(given: object, read: bool) -> None:
    assert Options({"f": given}).flag("f", not read) is read


@pytest.mark.parametrize("given", ["TERM", "sigterm", 15, "15"])
def test_a_signal(given: object) -> None:
    assert Options({"s": given}).signal("s") == signal.SIGTERM


@pytest.mark.parametrize("config", [{}, {"x": None}])
def test_what_is_not_there_has_its_default(config: dict[str, Any]) -> None:
    options = Options(config)
    assert (options.text("x", "d"), options.whole("x", 7), options.number("x", 0.5)) == ("d", 7, 0.5)
    assert (options.flag("x", True), options.signal("x"), options.pattern("x", "p").pattern) == (True, None, "p")


@pytest.mark.parametrize(
    ("given", "read", "told"),
    [
        ("many", lambda options: options.whole("x", 1), "x = many: expected a whole number from 0 up"),
        ("1.5", lambda options: options.whole("x", 1), "x = 1.5: expected a whole number from 0 up"),
        (True, lambda options: options.whole("x", 1), "x = True: expected a whole number from 0 up"),
        ("70000", lambda options: options.whole("x", 1, most=65535), "expected a whole number from 0 to 65535"),
        ("-1", lambda options: options.number("x", 1, least=0), "x = -1: expected a number of 0 or more"),
        ("0", lambda options: options.number("x", 1, above=0), "x = 0: expected a number above 0"),
        ("nan", lambda options: options.number("x", 1), "x = nan: expected a number"),
        ("inf", lambda options: options.number("x", 1), "x = inf: expected a number"),
        ([1], lambda options: options.number("x", 1), r"x = \[1\]: expected a number"),
        ("perhaps", lambda options: options.flag("x", True), "x = perhaps: expected yes or no"),
        ("NOPE", lambda options: options.signal("x"), "x = NOPE: expected a signal"),
        ("(", lambda options: options.pattern("x", ""), r"x = \(: expected a regular expression \("),
        ("x", lambda options: options.pattern("x", "", group="pid"), r"with a group \(\?P<pid>"),
    ],
)
def test_what_is_no_value_is_told_with_what_was_expected(
    given: object, read: Callable[[Options], object], told: str
) -> None:
    with pytest.raises(OptionError, match=told):
        read(Options({"x": given}))
