"""One section of a supervisor configuration and its values: booleans, numbers, sizes, signals, lists of variables.

Owns which texts supervisor takes for them, and remembers what was asked for, so that the rest can be told. Invariant:
a value that supervisor would refuse is a mistake in the report, and its default is what is given.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import TypeVar

from circus.importing.expansions import Names, expand, resolved
from circus.importing.report import Item, Report

T = TypeVar("T")

_TRUE = frozenset({"yes", "true", "on", "1"})
_FALSE = frozenset({"no", "false", "off", "0"})
_UNITS: Mapping[str, int] = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
_IN_WORDS = "/.+-():$"  # the last for what stands for a variable of the environment


class Section:
    """The options under one title."""

    def __init__(self, title: str, options: Mapping[str, Item], names: Names, report: Report) -> None:
        self.title = title
        self.options = options
        self.names = names
        self.report = report
        self.asked: set[str] = set()

    def has(self, option: str) -> bool:
        """Whether it is written."""
        return option in self.options

    def raw(self, option: str) -> str | None:
        """The value as it is written."""
        self.asked.add(option)
        item = self.options.get(option)
        return None if item is None else item.value

    def text(self, option: str, names: Names | None = None) -> str | None:
        """The value with names replaced."""
        raw = self.raw(option)
        if raw is None:
            return None
        try:
            return expand(raw, names or self.names)
        except ValueError as error:
            self.wrong(option, str(error))
            return None

    def read(self, option: str, kind: Callable[[str], T], default: T, expected: str) -> T:
        """The value converted; a variable of the environment in it has its value of now."""
        text = self.text(option)
        if text is None:
            return default
        try:
            text = resolved(text, self.names)
        except ValueError as error:
            self.wrong(option, str(error))
            return default
        try:
            return kind(text.strip())
        except ValueError:
            self.wrong(option, f"expected {expected}")
            return default

    def boolean(self, option: str, *, default: bool = False) -> bool:
        """True or false."""
        return self.read(option, to_bool, default, "true or false")

    def integer(self, option: str, default: int) -> int:
        """A whole number."""
        return self.read(option, int, default, "a whole number")

    def size(self, option: str, default: int) -> int:
        """A number of bytes."""
        return self.read(option, to_size, default, "a size, as in 512, 64KB, 50MB or 1GB")

    def wrong(self, option: str | None, expected: str) -> None:
        """A mistake in this section."""
        self.report.wrong(self.title, option, self.options.get(option or "") or self.options.get(""), expected)

    def lost(self, option: str | None, told: str) -> None:
        """Tell that an option, or all of the section, is not converted."""
        if option is not None:
            self.asked.add(option)
        self.report.lost(self.title, option, self.options.get(option or ""), told)

    def differs(self, option: str | None, told: str) -> None:
        """Tell that an option, also one that is not set, is converted into something that is not quite the same."""
        self.report.differs(self.title, option, self.options.get(option or "", self.options.get("")), told)

    def rest(self, reasons: Mapping[str, str], defaults: Mapping[str, str] | None = None) -> None:
        """Tell of the options that nobody asked for; `reasons` says why there is nothing for those that are known.

        Those that say what supervisor does by itself, as in `defaults`, are no loss.
        """
        for option, item in self.options.items():
            if option and option not in self.asked and item.value.lower() != (defaults or {}).get(option):
                self.lost(option, reasons.get(option, "supervisor has no such option either"))


def to_bool(text: str) -> bool:
    """Read true and false as supervisor writes them."""
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(text)
    return word in _TRUE


def to_size(text: str) -> int:
    """Read a number of bytes, perhaps with KB, MB or GB."""
    number, unit = (text[:-2], text[-2:].lower()) if text[-2:].lower() in _UNITS else (text, "")
    return int(number) * _UNITS.get(unit, 1)


def to_signal(text: str) -> str:
    """Read the name or number of a signal into its name without SIG."""
    from signal import Signals

    if re.fullmatch(r"\d+", text):
        return Signals(int(text)).name.removeprefix("SIG")
    name = text.upper().removeprefix("SIG")
    if f"SIG{name}" not in Signals.__members__:
        raise ValueError(text)
    return name


def to_codes(text: str) -> list[int]:
    """Read exit statuses, separated by commas."""
    codes = [int(code) for code in text.split(",")] if text else []
    if any(not 0 <= code <= 255 for code in codes):
        raise ValueError(text)
    return codes


def to_variables(text: str) -> dict[str, str]:
    """Read `KEY="value",OTHER=value`, in which quotes protect commas and blanks."""
    lexer = shlex.shlex(text)
    lexer.wordchars += _IN_WORDS
    tokens = list(lexer)
    found: dict[str, str] = {}
    while tokens:
        name, equals, value = (*tokens[:3], "", "", "")[:3]
        if equals != "=" or len(tokens) < 3:
            raise ValueError(text)
        found[name] = value.strip("'\"")
        del tokens[:4]  # the comma too, or whatever stands there: supervisor does not look
    return found
