"""What differs between two configurations, option by option, and what each difference would make happen.

Owns the comparison. Applies nothing and knows no running watcher. Invariant: equal specs give no change, and an option
that was added or removed is a change like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Literal

import msgspec

from circus.spec.access import AccessSpec
from circus.spec.arbiter import ArbiterSpec
from circus.spec.exporters import ExporterSpec
from circus.spec.fields import ACCESS, CIRCUS, SOCKET, WATCHER, Effect, family_of
from circus.spec.hooks import hook_text
from circus.spec.plugins import PluginSpec
from circus.spec.sockets import SocketSpec
from circus.spec.streams import StreamSpec
from circus.spec.watcher import WatcherSpec

Action = Literal["added", "removed", "changed"]
Subject = Literal["circus", "watcher", "socket", "plugin", "exporter", "alert", "notify", "access"]


class OptionChange(msgspec.Struct, frozen=True, kw_only=True):
    """One option, as the ini file names it; None where it is not set."""

    name: str
    old: object
    new: object
    effect: Effect


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to one section. `options` says what changed; `effect` is the largest of theirs."""

    subject: Subject
    name: str
    action: Action
    options: tuple[OptionChange, ...] = ()
    effect: Effect = Effect.NOTHING


def changes(old: ArbiterSpec, new: ArbiterSpec) -> list[Change]:
    """All differences, in the order [circus], sockets, watchers, plugins, exporters, alerts, notifiers, access."""
    found: list[Change] = []
    before, after = ({name: getattr(spec, name) for name in CIRCUS if hasattr(spec, name)} for spec in (old, new))
    options = _compared(before, after, lambda name: CIRCUS[name].effect)
    if options:
        found.append(
            Change(subject="circus", name="circus", action="changed", options=options, effect=_largest(options))
        )
    found += _sections("socket", old.sockets, new.sockets)
    found += _sections("watcher", old.watchers, new.watchers)
    found += _sections("plugin", old.plugins, new.plugins)
    found += _sections("exporter", old.exporters, new.exporters)
    found += _sections("alert", old.alerts, new.alerts)
    found += _sections("notify", old.notify, new.notify)
    found += _sections("access", old.access, new.access)
    return found


def watcher_changes(old: WatcherSpec, new: WatcherSpec) -> tuple[OptionChange, ...]:
    """The options in which two specs of one watcher differ; a reload by SIGHUP where the new one wants that."""
    return _compared(flat(old), flat(new), lambda name: _watcher_effect(name, old, new))


def flat(spec: WatcherSpec) -> dict[str, object]:
    """All that is set on a watcher, by the names of an ini file: `env.HOME`, `rlimit_nofile`, `hooks.before_start`."""
    values: dict[str, object] = {name: getattr(spec, name) for name in WATCHER if name != "env"}
    values["name"] = spec.name
    values |= {f"env.{name}": value for name, value in (spec.env or {}).items()}
    # None is a limit, infinity, and must differ from a limit that is not set.
    values |= {f"rlimit_{name}": "infinity" if limit is None else limit for name, limit in spec.rlimits.items()}
    values |= {f"hooks.{name}": hook_text(hook) for name, hook in spec.hooks.items()}
    values |= _flat_stream("stdout_stream", spec.stdout_stream)
    values |= _flat_stream("stderr_stream", spec.stderr_stream)
    return values | dict(spec.options)


def _flat_stream(field: str, stream: StreamSpec | None) -> dict[str, object]:
    if stream is None:
        return {}
    values: dict[str, object] = {f"{field}.{name}": value for name, value in stream.options.items()}
    if stream.cls is not None:
        values[f"{field}.class"] = stream.cls
    if stream.stream is not None:
        values[f"{field}.stream"] = stream.stream
    return values


def _watcher_effect(name: str, old: WatcherSpec, new: WatcherSpec) -> Effect:
    family = family_of(name)
    if name in WATCHER:
        effect = WATCHER[name].effect
    elif name.startswith("env."):
        effect = WATCHER["env"].effect
    elif family is None:
        effect = Effect.NOTHING
    elif family.effect is Effect.REOPEN and None in (getattr(old, family.field), getattr(new, family.field)):
        effect = Effect.RELOAD  # processes without a pipe, or with one that is no longer read, have to be replaced
    else:
        effect = family.effect
    return Effect.SIGNAL if effect is Effect.RELOAD and new.send_hup else effect


def _compared(
    before: Mapping[str, object], after: Mapping[str, object], effect: Callable[[str], Effect]
) -> tuple[OptionChange, ...]:
    return tuple(
        OptionChange(name=name, old=before.get(name), new=after.get(name), effect=effect(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )


def _largest(options: Sequence[OptionChange]) -> Effect:
    return max((option.effect for option in options), default=Effect.NOTHING)


_Section = WatcherSpec | SocketSpec | PluginSpec | ExporterSpec | AccessSpec


def _sections(subject: Subject, old: Sequence[_Section], new: Sequence[_Section]) -> list[Change]:
    before = {spec.name.lower(): spec for spec in old}
    after = {spec.name.lower(): spec for spec in new}
    found = [Change(subject=subject, name=before[key].name, action="removed") for key in before.keys() - after.keys()]
    found += [Change(subject=subject, name=after[key].name, action="added") for key in after.keys() - before.keys()]
    for key in before.keys() & after.keys():
        options = _options_of(before[key], after[key])
        if options:
            name = after[key].name
            found.append(
                Change(subject=subject, name=name, action="changed", options=options, effect=_largest(options))
            )
    return sorted(found, key=lambda change: change.name)


def _options_of(old: _Section, new: _Section) -> tuple[OptionChange, ...]:
    if isinstance(old, WatcherSpec) and isinstance(new, WatcherSpec):
        return watcher_changes(old, new)
    if isinstance(old, SocketSpec) and isinstance(new, SocketSpec):
        before, after = ({name: getattr(spec, name) for name in SOCKET} for spec in (old, new))
        return _compared(before, after, lambda name: SOCKET[name].effect)
    if isinstance(old, AccessSpec) and isinstance(new, AccessSpec):
        before, after = ({name: getattr(spec, name) for name in ACCESS} for spec in (old, new))
        return _compared(before, after, lambda name: ACCESS[name].effect)
    # Plugins and the exporter read their options once, when they start.
    return _compared(_texts(old), _texts(new), lambda _: Effect.RELOAD)


def _texts(spec: _Section) -> dict[str, object]:
    assert isinstance(spec, PluginSpec | ExporterSpec)
    own = {field.name: getattr(spec, field.name) for field in fields(spec) if field.name not in ("name", "options")}
    return own | dict(spec.options)
