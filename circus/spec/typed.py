"""Options as typed values, the way the wire (`add`, `set`) and Python's API give them, into a watcher spec.

Owns the checks of 0.19 with its error texts, and the merging of values into a frozen spec. Knows no running watcher.
Invariant: `updated` either returns a new spec or raises MessageError, and the old spec stays what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from circus.exc import MessageError
from circus.spec.fields import WATCHER, Family, family_of
from circus.spec.hooks import parse_hook
from circus.spec.scalars import Platform, to_bool
from circus.spec.streams import StreamSpec
from circus.spec.watcher import HOOK_NAMES, HookSpec, WatcherSpec

_STREAMS = ("stdout_stream", "stderr_stream")

LEGACY = frozenset({"retry_in"})
"""Options that circus 0.19 took without any effect; they are kept as free-form ones."""


def validate(name: str, value: object, platform: Platform) -> None:
    """Raise MessageError, in the words of 0.19, unless a watcher has this option and the value fits it."""
    row, family = WATCHER.get(name), family_of(name)
    if row is not None:
        if name == "env" and isinstance(value, Mapping):
            for key, each in value.items():
                _require(isinstance(key, str), f"{key!r} isn't a string")
                _require(isinstance(each, str), f"{key!r} isn't a string")
        if not row.kind.accepts(value):
            # A value of the right type is out of its bounds: what they are says more than the words of 0.19.
            fits = row.kind.typed(value)
            raise MessageError(f"{name!r} must be {row.kind.expected}" if fits else f"{name!r} {row.kind.complaint}")
        if name == "stop_signal":
            _require(isinstance(value, int) and value <= platform.highest_signal, f"{value!r} is not a signal")
    elif name in LEGACY:
        _require(isinstance(value, int | float) and not isinstance(value, bool), f"{name!r} isn't a number")
    elif name == "hooks":
        _require(isinstance(value, Mapping), f"{repr(value)[:80]} isn't a valid hook dict")
        assert isinstance(value, Mapping)
        for key in value:
            _require(key in HOOK_NAMES, f"Unknown hook {key!r}")
    elif name in _STREAMS:
        _require(isinstance(value, Mapping), f"{name!r} isn't a valid object")
        assert isinstance(value, Mapping)
        fits = bool({"class", "stream", "filename"} & value.keys())
        _require(fits, f"{name!r} must be an object with a class, a stream or a filename")
    elif family is None:
        raise MessageError(f"unknown key {name!r}")
    elif family.field == "rlimits":
        known = name.removeprefix(family.prefix).lower() in platform.rlimits
        fits = value is None or (isinstance(value, int) and not isinstance(value, bool) and -1 <= value < 2**63)
        _require(known and fits, f"{name!r} isn't a valid rlimit setting")
    elif family.field == "hooks":
        _require(name.removeprefix(family.prefix) in HOOK_NAMES, f"Unknown hook {name!r}")
    elif family.field == "options":
        _require(isinstance(value, str), f"{name!r} isn't a string")


def updated(spec: WatcherSpec, options: Mapping[str, object], *, free_form: bool = False) -> WatcherSpec:
    """A new spec with these options, named as in an ini file; also `rlimits`, `hooks` and whole streams as mappings.

    Values are taken as they are (see `validate`). Unknown names are kept as free-form options when `free_form`.
    """
    values: dict[str, Any] = {}
    for name, value in options.items():
        family = family_of(name)
        if name in WATCHER:
            values[name] = _value(name, value)
        elif name == "rlimits":
            limits = value if isinstance(value, Mapping) else {}
            values[name] = {key.lower().removeprefix("rlimit_"): _limit(each) for key, each in limits.items()}
        elif name == "hooks":
            hooks = value if isinstance(value, Mapping) else {}
            values[name] = {key: _hook(key, each) for key, each in hooks.items()}
        elif name in _STREAMS:
            values[name] = _stream(name, value)
        elif family is not None:
            values[family.field] = _family(values.get(family.field, getattr(spec, family.field)), family, name, value)
        elif free_form or name in LEGACY:
            values["options"] = {**values.get("options", spec.options), name: value}
        else:
            raise MessageError(f"unknown key {name!r}")
    return replace(spec, **values)


def _value(name: str, value: object) -> object:
    """A list of arguments as a tuple; a whole number of seconds as the float that it is from a file."""
    if name == "args" and isinstance(value, list):
        return tuple(value)
    if isinstance(WATCHER[name].ini, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _require(fine: bool, otherwise: str) -> None:
    if not fine:
        raise MessageError(otherwise)


def _family(current: Any, family: Family, name: str, value: object) -> object:
    end = name.removeprefix(family.prefix)
    if family.field == "rlimits":
        return {**current, end.lower(): _limit(value)}
    if family.field == "hooks":
        return {**current, end: _hook(end, value)}
    if family.field == "options":
        return {**current, name: str(value)}
    stream = current if current is not None else StreamSpec()
    if end == "class":
        return replace(stream, cls=str(value))
    return replace(stream, options={**stream.options, end: value})


def _limit(value: object) -> int | None:
    if value is None or value == "":
        return None
    try:
        limit = int(str(value))
    except ValueError:
        raise MessageError(f"{value!r} isn't a valid rlimit setting") from None
    return None if limit == -1 else limit


def _hook(name: str, value: object) -> HookSpec:
    """A hook is text, a callable, or a pair of one of these and whether its failures are ignored."""
    if isinstance(value, HookSpec):
        return value
    try:
        if isinstance(value, str):
            return parse_hook(value)
        if isinstance(value, list | tuple) and len(value) == 2:
            target, ignore = value
            if isinstance(target, str) or callable(target):
                return HookSpec(target=target, ignore_failure=to_bool(ignore))
    except ValueError as error:
        raise MessageError(f"hook {name!r}: {error}") from None
    if callable(value):
        return HookSpec(target=value)
    raise MessageError(f"hook {name!r} must be a dotted name, or that and a boolean")


def _stream(name: str, value: object) -> StreamSpec | None:
    if value is None or isinstance(value, StreamSpec):
        return value
    if not isinstance(value, Mapping):
        raise MessageError(f"{name!r} must be an object with a class, a stream or a filename")
    if not value:
        return None  # {} is how 0.19 writes no stream
    rest = {key: each for key, each in value.items() if key not in ("class", "stream")}
    return StreamSpec(cls=value.get("class"), stream=value.get("stream"), options=rest)
