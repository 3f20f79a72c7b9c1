"""Options of a watcher in requests: read from the words of a command line, and checked as they arrive.

Invariant: what leaves `checked` can be put into a spec; all of it is looked at before any of it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from circus.exc import ArgumentError, MessageError


def from_text(name: str, text: str) -> Any:
    """The value of an option as circusctl sends it; ArgumentError for an unknown one and for a text that does not fit."""
    from circus.config.platform import this_platform
    from circus.spec.fields import STREAM, WATCHER, family_of
    from circus.spec.kinds import Kind
    from circus.spec.scalars import to_limit
    from circus.spec.typed import LEGACY
    from circus.spec.watcher import HOOK_NAMES

    family = family_of(name)
    end = name.removeprefix(family.prefix) if family is not None else ""
    kind: Kind | None = None
    if name == "env":
        return _pairs(name, text, "=")
    if name == "hooks":
        return _pairs(name, text, ":")
    if name in WATCHER:
        kind = WATCHER[name].kind
    elif name in LEGACY:
        return _number(name, text)
    elif family is None or (family.field == "hooks" and end not in HOOK_NAMES):
        from circus.spec.near import unknown_key

        raise ArgumentError(unknown_key(name))
    elif family.field == "rlimits":
        try:
            return to_limit(text)
        except ValueError:
            raise ArgumentError(f"{name}: expected a whole number, or -1 for no limit, not {text!r}") from None
    elif family.field in ("stdout_stream", "stderr_stream") and end in STREAM:
        kind = STREAM[end].kind
    if kind is None:
        return text
    try:
        return kind.parse(text, this_platform())
    except (ValueError, OverflowError):
        raise ArgumentError(f"{name}: expected {kind.expected}, not {text!r}") from None


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentError(f"{name}: expected a number, not {text!r}") from None


def _pairs(name: str, text: str, sign: str) -> dict[str, str]:
    """`A=1,B=2`; a piece without the sign belongs to the value before it, so values may hold commas."""
    found: dict[str, str] = {}
    last = None
    for piece in text.split(",") if text else ():
        key, has, value = piece.partition(sign)
        if has:
            last = key.strip()
            found[last] = value
        elif last is not None:
            found[last] += f",{piece}"
        else:
            raise ArgumentError(f"{name}: expected NAME{sign}VALUE,NAME{sign}VALUE, not {text!r}")
    return found


def checked(options: Any) -> dict[str, Any]:
    """The options of a request; MessageError, in the words of circus 0.19, when one is unknown or does not fit."""
    from circus.config.platform import this_platform
    from circus.spec.typed import validate

    if not isinstance(options, Mapping):
        raise MessageError("'options' property should be an object")
    found = dict(options)
    number = found.get("numprocesses")
    if isinstance(number, int) and not isinstance(number, bool):
        found["numprocesses"] = max(number, 0)
    for key, value in found.items():
        validate(key, value, this_platform())
    return found
