"""How one value is written as text: booleans, signals, users, octal masks.

Owns the conversion of single values. Knows no option, no file and no machine: the names that differ from one operating
system to the next come in as a `Platform`, which `circus.config.platform` reads from the running Python (this layer may
not import `signal`). Invariant: a conversion returns a value of its type or raises ValueError naming what it was given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

LIMIT = "a whole number, 0 or more, or nothing for no limit"
"""What is expected of the text of a resource limit."""

_TRUE = frozenset({"yes", "true", "on", "1"})
_FALSE = frozenset({"no", "false", "off", "0"})
_SIZE = re.compile(r"([\d.]+)\s*(\S+)\s*")
_LETTERS = "BKMGTPEZY"
_USUAL = re.compile(r"([KMGTPEZY])i?B?", re.IGNORECASE)
# The spellings of circus 0.19, mistakes included.
_UNITS = (
    tuple(_LETTERS),
    ("byte", "kilo", "mega", "giga", "tera", "peta", "exa", "zetta", "iotta"),
    tuple(f"{letter}i" for letter in _LETTERS),
    ("byte", "kibi", "mebi", "gibi", "tebi", "pebi", "exbi", "zebi", "yobi"),
)
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_REALTIME = re.compile(r"(SIGRTMIN|SIGRTMAX)([+-])(\d{1,3})")


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """What an operating system calls its signals (`SIGTERM` -> 15) and resource limits (`nofile`)."""

    signals: Mapping[str, int]
    rlimits: frozenset[str]

    @property
    def highest_signal(self) -> int:
        return max(self.signals.values(), default=0)


def to_bool(value: object) -> bool:
    """Read yes, true, on, 1 and no, false, off, 0, in any case; a bool passes."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"{value!r} is not a boolean")


def to_signum(value: int | str, signals: Mapping[str, int]) -> int:
    """Read 15, `15`, `TERM`, `SIGTERM`, `sigterm` or `SIGRTMIN+2` with the names of a platform."""
    if isinstance(value, int):
        return int(value)
    word = value.strip().upper()
    if word.isdecimal():
        return int(word)
    name = word if word.startswith("SIG") else f"SIG{word}"
    if name in signals:
        return signals[name]
    counted = _REALTIME.fullmatch(name)
    if counted is not None and {"SIGRTMIN", "SIGRTMAX"} <= signals.keys():
        base, sign, offset = counted.groups()
        number = signals[base] + (int(offset) if sign == "+" else -int(offset))
        if signals["SIGRTMIN"] <= number <= signals["SIGRTMAX"]:
            return number
    raise ValueError(f"{value!r} is not a signal")


def to_user(text: str) -> int | str | None:
    """Read a user or group: digits are an id, anything else a name, nothing is None. Whether it exists is asked later."""
    word = text.strip()
    if not word:
        return None
    return int(word) if word.isdecimal() else word


def to_mask(text: str) -> int:
    """Read a file mode mask, always octal: `022` and `0o22` are the same."""
    mask = int(text, 8)
    if not 0 <= mask <= 0o777:
        raise ValueError(f"{text!r} is not a mask")
    return mask


def to_limit(text: str) -> int | None:
    """Read a resource limit; empty and -1 mean infinity, which is None."""
    if not text.strip():
        return None
    limit = int(text)
    if limit == -1:
        return None
    if not 0 <= limit < 2**63:
        raise ValueError(f"{text!r} is not a limit")
    return limit


def to_size(text: str) -> int:
    """Read a size in bytes, which needs a unit: `1.5M`, `2 Ki`, `3 giga`, `512MiB`, `100 B`; each letter is another 1024."""
    found = _SIZE.fullmatch(text)
    if found is not None:
        usual = _USUAL.fullmatch(found[2])
        unit = found[2] if usual is None else usual[1].upper()
        for names in _UNITS:
            if unit in names:
                return int(float(found[1]) * (1 << 10 * names.index(unit)))
    raise ValueError(f"can't interpret {text!r}")


def is_label(name: str) -> bool:
    """Whether metrics can have a label of that name."""
    return _LABEL.fullmatch(name) is not None
