"""Values of requests read, and options printed: what more than one command needs.

Invariant: a value that cannot be read is a MessageError that names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from circus.exc import ArgumentError, CircusError, MessageError

if TYPE_CHECKING:
    from circus.ports import WatcherLike


def shortfalls(*watchers: WatcherLike) -> dict[str, dict[str, str]]:
    """What a reply says of watchers that were to run and do not: why, by name; nothing where all is well."""
    failed = {watcher.name: watcher.shortfall for watcher in watchers}
    return failing({name: why for name, why in failed.items() if why is not None})


def failing(failed: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The same, when it has been found out already."""
    return {"failed": dict(failed)} if failed else {}


def words(args: tuple[str, ...], least: int, most: int | None = None) -> tuple[str | None, ...]:
    """The words of a command line, filled up with None to `most`; ArgumentError when there are too few or too many."""
    most = least if most is None else most
    if not least <= len(args) <= most:
        raise ArgumentError("Invalid number of arguments")
    return args + (None,) * (most - len(args))


def to_pid(value: Any) -> int:
    """A pid as a number, or as digits."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise MessageError(f"{value!r} is not a pid")
    try:
        return int(value)
    except ValueError as problem:
        raise CircusError(str(problem)) from None  # errno and words of circus 0.19


def to_signal(value: Any) -> int:
    """A signal as a number, digits, or a name in any case, with or without SIG."""
    from circus.runtime.signals import NAMES
    from circus.spec.convert import to_signum

    if isinstance(value, bool) or not isinstance(value, int | str):
        raise MessageError(f"{value!r} is not a signal")
    try:
        number = to_signum(value, {name: number for number, name in NAMES.items()})
    except ValueError as problem:
        raise MessageError(str(problem)) from None
    if not 0 <= number <= max(NAMES):
        raise MessageError(f"{value!r} is not a signal")
    return number


def to_flag(props: Mapping[str, Any], name: str, default: bool = False) -> bool:
    """A property that is a switch; texts such as `false` mean what they say."""
    value = props.get(name, default)
    if isinstance(value, str):
        from circus.spec.convert import to_bool

        try:
            return to_bool(value)
        except ValueError as problem:
            raise MessageError(f"{name!r}: {problem}") from None
    return bool(value)


def as_lines(options: Mapping[str, Any], *, in_order: bool = False) -> str:
    """`key: value` lines, as circus 0.19 prints options: nothing for null, `A=1,B=2` for an environment."""
    keys = options if in_order else sorted(options)
    return "\n".join(f"{key}: {option_text(key, options[key])}" for key in keys)


def option_text(key: str, value: Any) -> str:
    """One option's value for people."""
    if value is None:
        return ""
    if key == "env" and isinstance(value, Mapping):
        return ",".join(f"{name}={value[name]}" for name in sorted(value))
    return str(value)


def section_text(change: Mapping[str, Any]) -> str:
    """What becomes of a section of the configuration: `+ watcher:web`, `~ watcher:web (reload)`."""
    name = change["name"] if change["subject"] in ("circus", "plugin") else f"{change['subject']}:{change['name']}"
    effect = f" ({change['effect']})" if change["action"] == "changed" and change["effect"] != "nothing" else ""
    return f"{_SIGNS[change['action']]} {name}{effect}"


def change_text(option: Mapping[str, Any]) -> str:
    """What becomes of an option: `cmd: sleep 1 -> sleep 2`."""
    return f"{option['name']}: {_shown(option['old'])} -> {_shown(option['new'])}"


def set_text(option: Mapping[str, Any]) -> str:
    """What stays of an option that was set by hand: `cmd was set to sleep 2 and is not that of the file (sleep 1)`."""
    how = "was taken away" if option["new"] is None else f"was set to {_shown(option['new'])}"
    if option["old"] is None:
        return f"{option['name']} {how} and is not set in the file"
    return f"{option['name']} {how} and is not that of the file ({_shown(option['old'])})"


_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def _shown(value: Any) -> str:
    if value is None:
        return "(not set)"
    return repr(value) if value == "" else str(value)
