"""Amounts as people write them in alerts: `512MiB`, `90%`, `5m`, `10/s`, and the kinds of options that hold them.

Owns the units. Invariant: an amount without a unit is the plain one of its kind (bytes, seconds, a count), and whatever
is read is finite and within 64 bits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

from circus.spec.kinds import Kind
from circus.spec.scalars import Platform

Unit = Literal["bytes", "percent", "seconds", "count"]

_HIGHEST: Final = 2.0**63
_LONGEST: Final = 1e9
"""Seconds: thirty years."""
_NUMBER: Final = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_PLAIN: Final = re.compile(_NUMBER)
_PERCENT: Final = re.compile(rf"({_NUMBER})\s*%")
_SIZE: Final = re.compile(rf"({_NUMBER})\s*([KMGTPE]?)(?:i?B)?", re.IGNORECASE)
_DURATION: Final = re.compile(rf"(?:(?:{_NUMBER})\s*(?:ms|[smhdw])\s*)+")
_PART: Final = re.compile(rf"({_NUMBER})\s*(ms|[smhdw])")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_RATE: Final = re.compile(rf"({_NUMBER})\s*/\s*([smh])")


@dataclass(frozen=True, slots=True)
class Amount:
    """A number and what it counts; percent are from 0 to 100 and beyond."""

    value: float
    unit: Unit

    def __str__(self) -> str:
        """As it could stand in a file."""
        match self.unit:
            case "bytes":
                return _told_bytes(self.value)
            case "percent":
                return f"{self.value:g}%"
            case "seconds":
                return told_seconds(self.value)
            case "count":
                return f"{self.value:g}"


def told_seconds(seconds: float) -> str:
    """A duration in the largest unit that has no fraction: `90` is `90s`, `7200` is `2h`."""
    for unit in ("w", "d", "h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:g}{unit}"
    return f"{seconds:g}s"


def _told_bytes(value: float) -> str:
    for power, unit in enumerate("EPTGMK"):
        size = 1 << 10 * (6 - power)
        if value >= size:
            return f"{value / size:.4g}{unit}iB"
    return f"{value:g}B"


def to_seconds(text: str) -> float:
    """Read `30s`, `1h30m`, `500ms`, or plain seconds."""
    word = text.strip()
    if _PLAIN.fullmatch(word):
        seconds = float(word)
    elif _DURATION.fullmatch(word):
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(word))
    else:
        raise ValueError(text)
    if not seconds <= _LONGEST:
        raise ValueError(text)
    return seconds


def to_bytes(text: str) -> float:
    """Read `512MiB`, `512M`, `2G`, or plain bytes; as everywhere in Circus each letter is another 1024."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    size = float(int(float(found[1]) * (1 << 10 * ("KMGTPE".index(found[2].upper()) + 1 if found[2] else 0))))
    if not size < _HIGHEST:
        raise ValueError(text)
    return size


def _to_percent(text: str) -> float | None:
    found = _PERCENT.fullmatch(text.strip())
    return None if found is None else float(found[1])


def _to_count(text: str) -> float:
    if not _PLAIN.fullmatch(text.strip()):
        raise ValueError(text)
    return float(text)


def to_rate(text: str) -> float:
    """Read `10/s`, `30/m` or `100/h` into a number for each second."""
    found = _RATE.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    return float(found[1]) / _SECONDS[found[2]]


_SAID: Final = {
    "bytes": "a number of bytes such as 512MiB or 2G",
    "percent": "a share such as 90%",
    "seconds": "a duration such as 30s, 5m or 1h30m",
    "count": "a number",
}
_READERS: Final[dict[Unit, Callable[[str], float]]] = {"bytes": to_bytes, "seconds": to_seconds, "count": _to_count}


def amount(plain: Unit, *, percent: bool = False, above: float = -1.0, high: float = _HIGHEST) -> Kind:
    """Amounts of one unit, and shares where `percent`; more than `above`, at most `high`. A plain `percent` takes `90`."""

    def parse(text: str, _: Platform) -> Amount:
        share = _to_percent(text) if percent or plain == "percent" else None
        if share is not None:
            found = Amount(share, "percent")
        elif plain == "percent":
            found = Amount(_to_count(text), "percent")
        else:
            found = Amount(_READERS[plain](text), plain)
        if not fits(found):
            raise ValueError(text)
        return found

    def fits(value: Amount) -> bool:
        return math.isfinite(value.value) and above < value.value <= high

    expected = _SAID[plain]
    if percent:
        expected += f", or {_SAID['percent']}"
    if above >= 0:
        expected += f", more than {above:g}"
    if high < _HIGHEST:
        expected += f", at most {high:g}"
    return Kind(
        word=f"{plain} or percent" if percent else plain,
        expected=expected,
        complaint=f"isn't {expected}",
        parse=parse,
        accepts=lambda value: isinstance(value, Amount) and fits(value),
    )


def duration(*, above: float = -1.0, high: float = _LONGEST) -> Kind:
    """Durations, as seconds; more than `above`, at most `high`."""

    def fits(value: object) -> bool:
        return isinstance(value, float) and above < value <= high

    def parse(text: str, _: Platform) -> float:
        seconds = to_seconds(text)
        if not fits(seconds):
            raise ValueError(text)
        return seconds

    expected = _SAID["seconds"]
    if above >= 0:
        expected += f", more than {told_seconds(above)}"
    if high < _LONGEST:
        expected += f", at most {told_seconds(high)}"
    return Kind(word="duration", expected=expected, complaint=f"isn't {expected}", parse=parse, accepts=fits)


def _parse_rate(text: str, _: Platform) -> float:
    rate = to_rate(text)
    if not 0 < rate <= 1000:
        raise ValueError(text)
    return rate


RATE = Kind(
    word="rate",
    expected="a rate such as 10/s, 30/m or 100/h, at most 1000/s",
    complaint="isn't a rate",
    parse=_parse_rate,
    accepts=lambda value: isinstance(value, float) and 0 < value <= 1000,
)


def words(text: str) -> tuple[str, ...]:
    """A list with blanks or commas between its words, each once."""
    return tuple(dict.fromkeys(text.replace(",", " ").split()))


def _is_words(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(word, str) for word in value)


def some_of(*known: str) -> Kind:
    """A list of some words out of a few."""

    def parse(text: str, _: Platform) -> tuple[str, ...]:
        found = words(text.lower())
        if not found or not set(found) <= set(known):
            raise ValueError(text)
        return found

    return Kind(
        word="list",
        expected=f"a list of {', '.join(known)}",
        complaint="isn't such a list",
        parse=parse,
        accepts=lambda value: _is_words(value) and value != () and set(value) <= set(known),  # type: ignore[call-overload]
    )


def _parse_globs(text: str, _: Platform) -> tuple[str, ...]:
    found = words(text)
    if not found or "!" in found:
        raise ValueError(text)
    return found


GLOBS = Kind(
    word="globs",
    expected="names of watchers such as web or web-*, with a ! before those that are not meant",
    complaint="isn't a list of names",
    parse=_parse_globs,
    accepts=_is_words,
)
WORDS = Kind(
    word="names",
    expected="names, with blanks or commas between them",
    complaint="isn't a list of names",
    parse=lambda text, _: words(text),
    accepts=lambda value: value is None or _is_words(value),
)


def _parse_url(text: str, _: Platform) -> str:
    from urllib.parse import urlsplit  # rare

    parts = urlsplit(text)
    odd = any(character.isspace() or not character.isprintable() for character in text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or odd:
        raise ValueError(text)
    return text


URL = Kind(
    word="URL",
    expected="a URL such as https://HOST/PATH",
    complaint="isn't a URL",
    parse=_parse_url,
    accepts=lambda value: isinstance(value, str),
)


def matches(patterns: tuple[str, ...], name: str) -> bool:
    """Whether globs mean a watcher: some pattern fits, and none of those with a `!`. Case counts for nothing."""
    folded = name.lower()
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return (not wanted or any(fnmatchcase(folded, pattern.lower()) for pattern in wanted)) and not any(
        fnmatchcase(folded, pattern.lower()) for pattern in unwanted
    )
