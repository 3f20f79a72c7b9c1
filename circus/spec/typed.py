"""Options as typed values, the way the wire (`add`, `set`) and Python's API give them, into a watcher spec.

Owns the checks of 0.19 with its error texts, and the merging of values into a frozen spec. Knows no running watcher.
Invariant: `updated` either returns a new spec or raises MessageError, and the old spec stays what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from circus.exc import MessageError
from circus.spec import near
from circus.spec.fields import WATCHER, family_of
from circus.spec.hooks import parse_hook
from circus.spec.scalars import Platform, is_label, to_bool
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
                _require(key and "=" not in key, f"{key!r} cannot be the name of a variable")
        if not row.kind.accepts(value):
            # A value of the right type is out of its bounds: what they are says more than the words of 0.19.
            fits = row.kind.typed(value)
            raise MessageError(f"{name!r} must be {row.kind.expected}" if fits else f"{name!r} {row.kind.complaint}")
        _require(not _has_nul(value), f"{name!r} holds a NUL character, which no program can be given")
        if name == "stop_signal":
            _require(isinstance(value, int) and value <= platform.highest_signal, f"{value!r} is not a signal")
    elif name in LEGACY:
        _require(isinstance(value, int | float) and not isinstance(value, bool), f"{name!r} isn't a number")
    elif name == "hooks":
        _require(isinstance(value, Mapping), f"{repr(value)[:80]} isn't a valid hook dict")
        assert isinstance(value, Mapping)
        for key in value:
            if key not in HOOK_NAMES:
                raise MessageError(near.told(f"Unknown hook {key!r}", near.hook(str(key))))
    elif name in _STREAMS:
        _require(isinstance(value, Mapping), f"{name!r} isn't a valid object")
        assert isinstance(value, Mapping)
        fits = bool({"class", "stream", "filename"} & value.keys())
        _require(fits, f"{name!r} must be an object with a class, a stream or a filename")
    elif family is None:
        raise MessageError(near.unknown_key(name))
    elif family.field == "rlimits":
        known = name.removeprefix(family.prefix).lower() in platform.rlimits
        fits = value is None or (isinstance(value, int) and not isinstance(value, bool) and -1 <= value < 2**63)
        _require(known, f"{name!r} isn't a valid rlimit setting")
        _require(fits, f"{value!r} rlimit value isn't a valid int")
    elif family.field == "hooks":
        hook = name.removeprefix(family.prefix)
        if hook not in HOOK_NAMES:
            meant = near.hook(hook)
            raise MessageError(near.told(f"Unknown hook {name!r}", meant and f"hooks.{meant}"))
    elif family.field == "options":
        _require(is_label(name.removeprefix(family.prefix)), f"{name!r} isn't letters, digits and underscores")
        _require(isinstance(value, str), f"{name!r} isn't a string")
    else:
        _require(name != family.prefix, f"unknown key {name!r}")


def _has_nul(value: object) -> bool:
    """Whether there is a NUL in a text, or in the texts of a list or mapping."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Mapping):
        return any(map(_has_nul, (*value, *value.values())))
    return isinstance(value, list | tuple) and any(map(_has_nul, value))


def updated(spec: WatcherSpec, options: Mapping[str, object], *, free_form: bool = False) -> WatcherSpec:
    """A new spec with these options, named as in an ini file; also `rlimits`, `hooks` and whole streams as mappings.

    Values are taken as they are (see `validate`). Unknown names are kept as free-form options when `free_form`.
    """
    values: dict[str, Any] = {}
    # Collected first: to copy what there is for each one of many would take time that grows with their square.
    pieces: dict[str, dict[str, object]] = {}
    for name, value in options.items():
        family = family_of(name)
        if name in WATCHER:
            values[name] = _value(name, value)
        elif name == "rlimits":
            limits = value if isinstance(value, Mapping) else {}
            values[name] = {key.lower().removeprefix("rlimit_"): _limit(each) for key, each in limits.items()}
            pieces.pop(name, None)
        elif name == "hooks":
            hooks = value if isinstance(value, Mapping) else {}
            values[name] = {key: _hook(key, each) for key, each in hooks.items()}
            pieces.pop(name, None)
        elif name in _STREAMS:
            values[name] = _stream(name, value)
            pieces.pop(name, None)
        elif family is not None and family.field != "options":
            pieces.setdefault(family.field, {})[name.removeprefix(family.prefix)] = value
        elif family is not None or free_form or name in LEGACY:
            pieces.setdefault("options", {})[name] = value if family is None else str(value)
        else:
            raise MessageError(near.unknown_key(name))
    for field, given in pieces.items():
        values[field] = _extended(values.get(field, getattr(spec, field)), field, given)
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


def _extended(current: Any, field: str, given: Mapping[str, Any]) -> object:
    """What a watcher keeps of a family of options, with these put over it."""
    if field == "rlimits":
        return {**current, **{name.lower(): _limit(value) for name, value in given.items()}}
    if field == "hooks":
        return {**current, **{name: _hook(name, value) for name, value in given.items()}}
    if field == "options":
        return {**current, **given}
    stream = current if current is not None else StreamSpec()
    rest = {name: value for name, value in given.items() if name != "class"}
    cls = str(given["class"]) if "class" in given else stream.cls
    return replace(stream, cls=cls, options={**stream.options, **rest})


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
