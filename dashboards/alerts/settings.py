"""The thresholds: `dashboards/config.yaml`, or another file of that shape.

Owns reading and checking them. It refuses to know what a threshold is for. Invariant: what is built used every entry of
the file, and every entry has a sentence that says why it is so; a misspelt one is an error and not a default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

DEFAULT: Final = Path(__file__).parents[1] / "config.yaml"
SEVERITIES: Final = ("critical", "warning", "info")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION: Final = re.compile(r"(\d+)(ms|[smhdw])")


class WrongSetting(Exception):
    """An entry of the file cannot be used; the message says which, and what was expected."""


def seconds(duration: str) -> float:
    """The seconds of a duration such as `90s`, `5m` or `1h30m`; ValueError for anything else."""
    parts = _DURATION.findall(duration)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != duration:
        raise ValueError(f"{duration!r} is no duration such as 90s, 5m or 1h30m")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def duration(value: float) -> str:
    """Seconds as Prometheus writes them, in the largest unit that has no rest, to the millisecond."""
    milliseconds = round(value * 1000)
    for unit in ("w", "d", "h", "m", "s"):
        number, rest = divmod(milliseconds, round(_UNITS[unit] * 1000))
        if number and not rest:
            return f"{number}{unit}"
    return f"{milliseconds}ms"


class Section:
    """The entries under one heading. Each is a value and the sentence that goes with it."""

    def __init__(self, name: str, entries: Mapping[str, Any]) -> None:
        self.name = name
        self._entries = entries
        self._used: set[str] = set()

    def _value(self, key: str) -> Any:
        entry = self._entries.get(key)
        if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[1], str) or not entry[1]:
            raise WrongSetting(f"{self.name}.{key}: expected a value and a sentence that says why, not {entry!r}")
        self._used.add(key)
        return entry[0]

    def text(self, key: str) -> str:
        value = self._value(key)
        if not isinstance(value, str):
            raise WrongSetting(f"{self.name}.{key}: expected a text, not {value!r}")
        return value

    def duration(self, key: str) -> str:
        """A duration as Prometheus takes it."""
        value = self.text(key)
        try:
            seconds(value)
        except ValueError as error:
            raise WrongSetting(f"{self.name}.{key}: {error}") from None
        return value

    def seconds(self, key: str) -> float:
        return seconds(self.duration(key))

    def number(self, key: str) -> float:
        value = self._value(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WrongSetting(f"{self.name}.{key}: expected a number, not {value!r}")
        return value

    def numbers(self, key: str) -> dict[str, float]:
        """Numbers by the name of what they are for."""
        value = self._value(key)
        if not isinstance(value, dict) or not all(isinstance(each, int | float) for each in value.values()):
            raise WrongSetting(f"{self.name}.{key}: expected names with a number each, not {value!r}")
        return {str(name): each for name, each in value.items()}

    def severity(self) -> str:
        value = self.text("severity")
        if value not in SEVERITIES:
            raise WrongSetting(f"{self.name}.severity: expected one of {', '.join(SEVERITIES)}, not {value!r}")
        return value

    def entries(self) -> dict[str, tuple[Any, str]]:
        """(value, sentence) by name, for who shows them."""
        for key in self._entries:
            self._value(key)
        return {key: (value, sentence) for key, (value, sentence) in self._entries.items()}

    def unused(self) -> list[str]:
        """What is there and was never asked for."""
        return [f"{self.name}.{key}" for key in self._entries if key not in self._used]


class Settings:
    """One file of thresholds."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        if not isinstance(document, Mapping) or not all(isinstance(each, Mapping) for each in document.values()):
            raise WrongSetting("expected a section for all alerts, `rules`, and one for each alert")
        self._sections = {name: Section(name, entries) for name, entries in document.items()}

    @classmethod
    def load(cls, path: Path = DEFAULT) -> Settings:
        """Raises WrongSetting for what is no YAML, OSError for what cannot be read."""
        try:
            return cls(yaml.safe_load(path.read_text()))
        except yaml.YAMLError as error:
            raise WrongSetting(f"{path}: {error}") from error

    def section(self, name: str) -> Section:
        if name not in self._sections:
            raise WrongSetting(f"{name}: expected a section of that name, there is {', '.join(self._sections)}")
        return self._sections[name]

    def changed(self, **sections: Mapping[str, Any]) -> Settings:
        """The same with other values, by section and name; the sentences stay."""
        document = {name: dict(entries) for name, entries in self.document.items()}
        for name, values in sections.items():
            for key, value in values.items():
                document[name][key] = [value, document[name][key][1]]
        return Settings(document)

    def faster(self, times: float) -> Settings:
        """The same with all durations so many times shorter: for a demonstration that does not take all day."""

        def shorter(value: Any) -> Any:
            try:
                return duration(seconds(value) / times) if isinstance(value, str) else value
            except ValueError:
                return value

        return Settings(
            {
                name: {key: [shorter(value), why] for key, (value, why) in Section(name, entries).entries().items()}
                for name, entries in self.document.items()
            }
        )

    def check_used(self) -> None:
        """WrongSetting for entries that nothing was built from."""
        unused = [entry for section in self._sections.values() for entry in section.unused()]
        if unused:
            raise WrongSetting(f"there is no such threshold: {', '.join(unused)}")
