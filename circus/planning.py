"""What becomes of a running daemon when its configuration is read again: decided here, done in `reconfigure`.

Pure: it compares the file that is in force, the file that was read, and what runs. Invariant: when all steps of a plan
are done every watcher of the file runs as the file says, but for options that somebody changed meanwhile (`set`,
`incr`) and that mean the same in both files; watchers that `add` brought stay, unless the file has one of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, cast

import msgspec

from circus.config.interpolate import names_in
from circus.spec.arbiter import ArbiterSpec
from circus.spec.diff import Action, Change, OptionChange, Subject, changes, watcher_changes
from circus.spec.fields import CIRCUS, Effect
from circus.spec.watcher import WatcherSpec
from circus.wire.changes import told_sections

_EXPORTED = ("exporter", "alert", "notify")
_SUBJECTS: Mapping[str, Subject] = {"plugin": "plugin", "exporter": "exporter"}
_SOCKETS = "sockets."
_MAPPINGS = ("env", "rlimits", "hooks", "options")

# What a socket is bound by: where these stay as they are the socket stays too.
_ADDRESS = frozenset({"host", "port", "path", "family", "type", "proto"})


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one watcher. `replacing`: a socket of it changes, so its processes must be others."""

    action: Action
    name: str
    subject: Subject = "watcher"
    before: WatcherSpec | None = None
    after: WatcherSpec | None = None
    options: tuple[OptionChange, ...] = ()
    replacing: bool = False

    @property
    def effect(self) -> Effect:
        """What it does to processes that run."""
        largest = max((option.effect for option in self.options), default=Effect.NOTHING)
        anew = self.replacing or (self.before and self.after and self.before.stdin_data != self.after.stdin_data)
        return max(largest, Effect.RELOAD) if anew else largest

    @property
    def priority(self) -> int:
        """When its turn comes: the highest first."""
        spec = self.after or self.before
        return spec.priority if spec is not None else 0

    @property
    def target(self) -> int | None:
        """The number of processes, where it changes."""
        if self.before is None or self.after is None or self.before.numprocesses == self.after.numprocesses:
            return None
        return self.after.numprocesses


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `spec` is in force afterwards; `pending` names the options of [circus] that are in force only after a
    restart of circusd, and `spec` has their old values; `refusals` say why none of it can be done. `by_hand` is not
    changed: options that somebody set, from what the new file says (`old`) to what is in force and stays (`new`).
    """

    spec: ArbiterSpec
    circus: tuple[OptionChange, ...] = ()
    pending: tuple[str, ...] = ()
    sockets: tuple[Change, ...] = ()
    steps: tuple[Step, ...] = ()
    exporters: tuple[Change, ...] = ()
    access: tuple[Change, ...] = ()
    refusals: tuple[str, ...] = ()
    by_hand: tuple[Change, ...] = ()

    def sections(self) -> list[Change]:
        """The changes as they are told."""
        told = [Change(subject="circus", name="circus", action="changed", options=self.circus)] if self.circus else []
        told += self.sockets
        told += [
            Change(subject=step.subject, name=step.name, action=step.action, options=step.options, effect=step.effect)
            for step in self.steps
            # All exporters and alerts share one watcher, whose options are not theirs.
            if (step.action != "changed" or step.effect or step.options)
            and not (step.subject == "exporter" and self.exporters)
        ]
        return [*told, *self.exporters, *self.access]

    def warnings(self) -> list[str]:
        """What works, but perhaps not as it was meant, and what is left out as before."""
        left_out = [str(mistake) for mistake in self.spec.omitted]
        return [
            *map(str, self.spec.warnings),
            *(f"left out: {each}" for each in left_out if each not in self.refusals),
        ]

    def told(self) -> dict[str, Any]:
        """What replies say of it."""
        return {
            "changes": told_sections(self.sections()),
            "restart": list(self.pending),
            "warnings": self.warnings(),
        }


def plan(
    running: Iterable[WatcherSpec],
    old: ArbiterSpec,
    new: ArbiterSpec,
    population: Callable[[ArbiterSpec], Sequence[WatcherSpec]],
) -> Plan:
    """Compare.

    Args:
        running: the specs in force, each with the number of processes that is wanted now.
        old: the configuration in force.
        new: the one that was read.
        population: all watchers that a configuration makes, plugins and exporters too.
    """
    found = changes(old, new)
    circus = next((change.options for change in found if change.subject == "circus"), ())
    spec, pending = standing(old, new)
    sockets = tuple(change for change in found if change.subject == "socket")
    sections = {change.name: change.options for change in found if change.subject == "plugin"}
    runs = {each.name.lower(): each for each in running}
    moved = {change.name for change in sockets if change.effect is not Effect.NOTHING}
    before, wanted = ({each.name.lower(): each for each in population(file)} for file in (old, spec))
    steps = _steps(runs, before, wanted, moved, sections)
    ends = {step.name.lower(): step.after for step in steps}
    after = [spec for spec in ({**runs, **ends}).values() if spec is not None]
    return Plan(
        spec=spec,
        circus=tuple(option for option in circus if option.name not in pending),
        pending=pending,
        sockets=sockets,
        steps=tuple(steps),
        exporters=tuple(change for change in found if change.subject in _EXPORTED),
        access=tuple(change for change in found if change.subject == "access"),
        refusals=(*_left_out(old, new), *_missed(sockets, after), *_stuck(sockets)),
        by_hand=tuple(_by_hand(runs, before, wanted)),
    )


def standing(old: ArbiterSpec, new: ArbiterSpec) -> tuple[ArbiterSpec, tuple[str, ...]]:
    """What of a new configuration can be in force in a daemon that runs, and the options of [circus] that cannot."""
    pending = tuple(
        sorted(
            name
            for name, option in CIRCUS.items()
            if option.effect is Effect.RESTART and getattr(old, name) != getattr(new, name)
        )
    )
    kept = {name: getattr(old, name) for name in pending}
    return replace(new, **cast("Any", kept), asked=old.asked), pending


def _steps(
    runs: Mapping[str, WatcherSpec],
    before: Mapping[str, WatcherSpec],
    wanted: Mapping[str, WatcherSpec],
    moved: set[str],
    sections: Mapping[str, tuple[OptionChange, ...]],
) -> list[Step]:
    steps = []
    for name, spec in runs.items():
        goal = wanted.get(name)
        if goal is None:
            if spec.origin == "ini":
                steps.append(_step("removed", spec, before=spec))
                continue
            goal = spec  # `add` brought it
        elif goal.name != spec.name:
            steps.append(_step("removed", spec, before=spec))
            continue
        elif spec.origin == "ini" and name in before:
            goal = merged(spec, before[name], goal)
        replacing = bool(moved & used(goal, moved))
        if goal != spec or replacing:
            options = sections.get(goal.name) or watcher_changes(spec, goal)
            steps.append(_step("changed", goal, before=spec, after=goal, options=options, replacing=replacing))
    for name, spec in wanted.items():
        if name not in runs or runs[name].name != spec.name:
            options = watcher_changes(WatcherSpec(name=spec.name), spec)
            steps.append(_step("added", spec, after=spec, options=options))
    return steps


def _by_hand(
    runs: Mapping[str, WatcherSpec], before: Mapping[str, WatcherSpec], wanted: Mapping[str, WatcherSpec]
) -> Iterator[Change]:
    """What somebody changed and the file does not."""
    for name, spec in runs.items():
        goal = wanted.get(name)
        if goal is None or goal.name != spec.name or spec.origin != "ini" or name not in before:
            continue
        stays = merged(spec, before[name], goal)
        if stays != goal and (options := watcher_changes(goal, stays)):
            yield Change(subject=_SUBJECTS.get(spec.role, "watcher"), name=spec.name, action="changed", options=options)


def _step(action: Action, spec: WatcherSpec, **details: Any) -> Step:
    return Step(action=action, name=spec.name, subject=_SUBJECTS.get(spec.role, "watcher"), **details)


def merged(running: WatcherSpec, old: WatcherSpec, new: WatcherSpec) -> WatcherSpec:
    """What runs, with everything in which two files differ as the new one has it; mappings are taken key by key."""
    values: dict[str, Any] = {}
    for field in fields(WatcherSpec):
        was, shall = getattr(old, field.name), getattr(new, field.name)
        if was == shall:
            continue
        if field.name in _MAPPINGS:
            values[field.name] = _merged_mapping(getattr(running, field.name) or {}, was or {}, shall or {}) or shall
        else:
            values[field.name] = shall
    return replace(running, **values)


def _merged_mapping(running: Mapping[str, Any], was: Mapping[str, Any], shall: Mapping[str, Any]) -> dict[str, Any]:
    nothing = object()
    found = dict(running)
    for key in (*was, *shall):
        value = shall.get(key, nothing)
        if was.get(key, nothing) == value:
            continue
        if value is nothing:
            found.pop(key, None)
        else:
            found[key] = value
    return found


def named(spec: WatcherSpec) -> set[str]:
    """The sockets that a watcher names in its command, or has as its standard input."""
    texts: list[str] = [spec.cmd, spec.shell_args or ""]
    texts += [spec.args] if isinstance(spec.args, str) else spec.args or ()
    names = {name.removeprefix(_SOCKETS) for text in texts for name in names_in(text) if name.startswith(_SOCKETS)}
    return names | ({spec.stdin_socket.lower()} if spec.stdin_socket else set())


def rebound(change: Change) -> bool:
    """Whether a socket that changed is another one; otherwise it is adjusted where it is."""
    return bool(_ADDRESS & {option.name for option in change.options})


def used(spec: WatcherSpec, sockets: set[str]) -> set[str]:
    """Which of these sockets a watcher uses: those that it names; all of them if it has them and names none."""
    names = named(spec)
    return sockets if spec.use_sockets and not names else names & sockets


def _left_out(old: ArbiterSpec, new: ArbiterSpec) -> list[str]:
    """Sections that the new file has and that cannot be had: at a start they are left out, here that would end them."""
    known = {mistake.section for mistake in old.omitted}
    return [str(mistake) for mistake in new.omitted if mistake.section not in known]


def _stuck(sockets: Iterable[Change]) -> list[str]:
    """An address cannot go over from one socket to many, or back, while workers hold it."""
    return [
        f"[socket:{change.name}] so_reuseport cannot change while its workers hold the address; "
        "`circusctl restart` stops them first"
        for change in sockets
        if change.action == "changed"
        and not _ADDRESS & {option.name for option in change.options}
        and any(option.name == "so_reuseport" for option in change.options)
    ]


def _missed(sockets: Iterable[Change], watchers: Iterable[WatcherSpec]) -> list[str]:
    gone = {change.name for change in sockets if change.action == "removed"}
    return [
        f"[socket:{name}] cannot be removed: the watcher {spec.name!r} uses it"
        for spec in watchers
        for name in sorted(gone & named(spec))
    ]
