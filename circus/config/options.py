"""What a Python program says of watchers and plugins, into specs.

Owns which types pass for which option: those of circus 0.19, which converted most of what it was given, and text as an
ini file has it. Looks at nothing on this machine. Invariant: a spec that can be run, or one ConfigError with every
mistake; what was given stays as it was.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

from circus.config import near
from circus.config.platform import this_platform
from circus.exc import ConfigError, MessageError, Mistake
from circus.spec import kinds, typed
from circus.spec.access import AccessSpec
from circus.spec.fields import ACCESS, CIRCUS, WATCHER, Option, family_of
from circus.spec.hooks import HOOK, parse_hook
from circus.spec.plugins import PluginSpec
from circus.spec.scalars import LIMIT, to_limit
from circus.spec.sockets import SocketSpec
from circus.spec.watcher import WatcherSpec
from circus.spec.web import web_socket

logger = logging.getLogger("circus")

_ENVIRONMENT = re.compile(r"\$([A-Z]+[A-Z0-9_]*)")
_WHOLE = ("hooks", "rlimits", "stdout_stream", "stderr_stream")


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


def watcher_spec(name: str, cmd: str, options: Mapping[str, Any]) -> WatcherSpec:
    """The spec of a watcher.

    Args:
        name: of the watcher.
        cmd: what it runs.
        options: by the names of an ini file, besides whole `hooks`, `rlimits` and streams; unknown ones are free-form.

    Raises:
        ConfigError: names every option that is wrong.
    """
    mistakes: list[Mistake] = []
    values: dict[str, Any] = {}
    wrong: set[str | None] = set()
    for key, value in {**options, "cmd": cmd}.items():
        try:
            values[key] = option_value(key, value)
        except (MessageError, TypeError, ValueError) as error:
            mistakes.append(_mistake(name, key, value, error))
            wrong.add(key)
    if not isinstance(name, str) or not name.strip():
        mistakes.append(_mistake(name, "name", None, "a watcher needs a name"))
    if "cmd" in values and not values["cmd"].strip():
        mistakes.append(_mistake(name, "cmd", None, "a watcher needs a cmd to run"))
    try:
        spec = typed.updated(WatcherSpec(name=name), values, free_form=True)
    except MessageError as error:
        mistakes.append(Mistake(None, None, f"watcher:{name}", None, None, str(error)))
    else:  # what is wrong has its default here, and contradicts nothing
        mistakes += [each for each in contradictions(spec) if not wrong & {"copy_env", each.option}]
    if mistakes:
        raise ConfigError(mistakes)
    return spec


def contradictions(spec: WatcherSpec) -> list[Mistake]:
    """What cannot be, whatever the machine."""
    found = []
    if spec.singleton and spec.numprocesses > 1:
        found.append(_mistake(spec.name, "numprocesses", spec.numprocesses, "a singleton has at most one process"))
    return found + [
        _mistake(spec.name, option, None, f"{option} needs copy_env = True")
        for option in ("copy_path", "virtualenv")
        if getattr(spec, option) and not spec.copy_env
    ]


def changed_spec(spec: WatcherSpec, name: str, value: Any) -> WatcherSpec:
    """A spec with one option other than before; ConfigError where it does not fit."""
    try:
        changed = typed.updated(spec, {name: option_value(name, value)}, free_form=True)
    except (MessageError, TypeError, ValueError) as error:
        raise ConfigError([_mistake(spec.name, name, value, error)]) from error
    mistakes = contradictions(changed)
    if mistakes:
        raise ConfigError(mistakes)
    return changed


def replaced_env(env: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """An environment with `$NAME` in its values replaced, and without blanks around names and values."""

    def looked_up(found: re.Match[str]) -> str:
        return environ.get(found[1], "")

    return {
        key.strip(): _ENVIRONMENT.sub(looked_up, value).strip() if isinstance(value, str) else value
        for key, value in env.items()
    }


def plugin_specs(plugins: Iterable[Mapping[str, Any]]) -> tuple[PluginSpec, ...]:
    """The specs of plugins, each a mapping with `use` and the plugin's own options, which it gets as text."""
    found, mistakes = [], []
    for plugin in plugins:
        if not plugin.get("use"):
            word = "a plugin needs the dotted name of its class"
            mistakes.append(Mistake(None, None, plugin.get("name"), "use", None, word))
            continue
        options = {key: str(value) for key, value in plugin.items() if key not in ("use", "name")}
        found.append(PluginSpec(name=plugin.get("name") or plugin["use"], use=plugin["use"], options=options))
    if mistakes:
        raise ConfigError(mistakes)
    return tuple(found)


def new_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of [circus] that circus 0.19 did not have, and the sections `access`, as a spec has them.

    Raises:
        TypeError: there is no such option, as Python says it of arguments.
        ConfigError: a value does not fit.
    """
    found = {name: _of_table(CIRCUS, name, value, "circus") for name, value in options.items() if name != "access"}
    if options.get("access"):
        found["access"] = tuple(
            AccessSpec(
                name=section["name"],
                **{
                    name: _of_table(ACCESS, name, value, f"access:{section['name']}")
                    for name, value in section.items()
                    if name != "name"
                },
            )
            for section in options["access"]
        )
    return found


def _of_table(table: Mapping[str, Option], name: str, value: Any, section: str) -> Any:
    if name not in table or not table[name].new:
        raise TypeError(f"[{section}] has no option {name!r}")
    row = table[name]
    if isinstance(value, int | str) and row.kind in (kinds.USERS, kinds.CURVE_KEYS):
        value = str(value)
    elif isinstance(value, list):
        value = tuple(value)
    try:
        made = _converted(row, value)
    except (ValueError, OverflowError):
        made = None
    if (made is None and value is not None) or not (made is None or row.kind.accepts(made)):
        raise ConfigError([Mistake(None, None, section, name, str(value), f"expected {row.kind.expected}")])
    return made


def web_sockets(httpd: bool, host: str, port: int) -> tuple[SocketSpec, ...]:
    """The socket of the web console where one is wanted and its package is there."""
    if not httpd:
        return ()
    if (word := near.httpd_word()) is not None:
        logger.warning("httpd: %s", word)
        return ()
    return (web_socket(host, port),)


def without_double(watchers: Iterable[T]) -> tuple[T, ...]:
    """The watchers as they are; ConfigError where two names differ only in case."""
    made = tuple(watchers)
    names: set[str] = set()
    mistakes = []
    for watcher in made:
        if watcher.name.lower() in names:
            word = "is the name of two watchers; names are compared without case"
            mistakes.append(_mistake(watcher.name, "name", None, word))
        names.add(watcher.name.lower())
    if mistakes:
        raise ConfigError(mistakes)
    return made


def option_value(name: str, value: Any) -> Any:
    """The value of one option as a spec holds it; MessageError, TypeError or ValueError where it does not fit."""
    row, family = WATCHER.get(name), family_of(name)
    if row is not None:
        value = _environment(value) if name == "env" else _converted(row, value)
        if not row.kind.accepts(value):
            raise ValueError(f"expected {row.kind.expected}")  # as of a file, where 0.19 says less
        typed.validate(name, value, this_platform())
        return value
    if name == "hooks":
        return dict(value or {})
    if name == "rlimits":
        limits = {str(key).lower().removeprefix("rlimit_"): limit for key, limit in (value or {}).items()}
        for key, limit in limits.items():
            number = _limit(key, limit) if isinstance(limit, str) and limit.strip() else limit
            typed.validate(f"rlimit_{key}", None if number == "" else number, this_platform())
        return limits
    if name in _WHOLE:
        return value or None
    if family is not None and family.field == "hooks" and isinstance(value, str):
        try:
            return parse_hook(value)
        except ValueError:
            raise ValueError(f"expected {HOOK}") from None
    if family is not None and family.field == "rlimits" and isinstance(value, str):
        try:
            return to_limit(value)
        except ValueError:
            raise ValueError(f"expected {LIMIT}") from None
    if family is None and (word := near.watcher_word(name)) is not None:
        logger.warning("watcher option %r: %s", name, word)
    return value


def _converted(row: Option, value: Any) -> Any:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if row.kind is kinds.BOOLEAN and not isinstance(value, str):
        return bool(value)
    if value is None and not row.kind.accepts(None):
        return row.api
    if isinstance(value, str) and not row.kind.accepts(value):
        try:
            return row.kind.parse(value, this_platform())
        except (ValueError, OverflowError):
            raise ValueError(f"expected {row.kind.expected}") from None
    if isinstance(value, float) and value.is_integer() and not row.kind.accepts(value):
        return int(value)
    return value


def _limit(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"rlimit_{name}: expected {LIMIT}") from None


def _environment(value: Any) -> Any:
    """Nothing for an empty one, and a copy of any other: what the program does to its own is its business."""
    return dict(value) if value and isinstance(value, Mapping) else value or None


def _mistake(watcher: object, option: str, value: object, expected: object) -> Mistake:
    return Mistake(None, None, f"watcher:{watcher}", option, None if value is None else str(value), str(expected))
