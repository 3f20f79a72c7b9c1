"""The options of a plugin's section, which are text in an ini file and may be of any type in a program.

Owns how they are read. Invariant: the value is of the type that was asked for, or OptionError says which option holds
what and what was expected.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from circus.config.platform import to_signum
from circus.exc import CircusError
from circus.spec.scalars import to_bool


class OptionError(CircusError, ValueError):
    """An option of a plugin holds what the plugin cannot use."""


class Options:
    """Reads options by name. One that is not there, or is None, has its default."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    def text(self, name: str, default: str = "") -> str:
        value = self._config.get(name)
        return default if value is None else str(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self._config.get(name)
        if value is None:
            return default
        try:
            return to_bool(value)
        except ValueError:
            self.refuse(name, "expected yes or no")

    def whole(self, name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
        """A whole number from `least` to `most`."""
        value = self._config.get(name)
        if value is None:
            return default
        try:
            number = int(str(value))
        except ValueError:
            number = least - 1
        if number < least or (most is not None and number > most):
            self.refuse(name, f"expected a whole number from {least} {'up' if most is None else f'to {most}'}")
        return number

    def number(self, name: str, default: float, *, above: float = -math.inf, least: float = -math.inf) -> float:
        """A number greater than `above` and not less than `least`."""
        value = self._config.get(name)
        if value is None:
            return default
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not (number > above and number >= least and number < math.inf):
            limits = [f" above {above:g}"] * (above > -math.inf) + [f" of {least:g} or more"] * (least > -math.inf)
            self.refuse(name, f"expected a number{''.join(limits)}")
        return number

    def signal(self, name: str) -> int | None:
        """A signal by number or name; None where there is none, or an empty text."""
        value = self._config.get(name)
        if value is None or value == "":
            return None
        try:
            return to_signum(value)
        except (ValueError, AttributeError):
            self.refuse(name, "expected a signal, such as TERM or 15")

    def pattern(self, name: str, default: str, *, group: str | None = None) -> re.Pattern[str]:
        """A regular expression, which must have the group."""
        try:
            found = re.compile(self.text(name, default))
        except re.error as error:
            self.refuse(name, f"expected a regular expression ({error})")
        if group is not None and group not in found.groupindex:
            self.refuse(name, f"expected a regular expression with a group (?P<{group}>…)")
        return found

    def refuse(self, name: str, expected: str) -> NoReturn:
        """Raise the error of an option."""
        if name not in self._config:
            raise OptionError(f"the option {name} is missing: {expected}")
        raise OptionError(f"{name} = {self._config[name]}: {expected}")
