"""What a rule says of a watcher, of a process or of the daemon: a value, and on which side of the threshold it is.

Owns the meaning of each kind, and what excuses it. It refuses to know time before now: that is the engine's. Invariants:
what an operator wished for is `gone` or `hold`, never `high`; what is not known is `hold`.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final, NamedTuple

from circus.spec.alerts import AlertSpec
from circus.spec.amounts import Amount
from circus.wire.samples import ProcessSample
from circus_exporters.alerts.engine import Level, level_of
from circus_exporters.alerts.facts import Watcher, within
from circus_exporters.alerts.trails import Trail

_PASSES: Final = 10.0  # that late is no passing hiccup
_OF_EVENTS: Final = frozenset({"flapping", "exit", "hook_failed"})
_ON_THE_WAY_UP: Final = frozenset({"down", "replicas_missing", "silent_output"})
_IN_A_RELOAD: Final = frozenset({"flapping", "exit", "hook_failed", "stuck_reload"})
"""Kinds that mean something in a reload too. What an old process does when it must go is no such event."""


class Seen(NamedTuple):
    """One observation. `value` and `threshold` are in the unit of the rule, None where there is none; `early` says that it
    would be high, were the watcher not just starting.
    """

    level: Level
    value: float | None = None
    threshold: float | None = None
    early: bool = False


HOLD: Final = Seen("hold")
GONE: Final = Seen("gone")
LOW: Final = Seen("low")


def compare(rule: AlertSpec, value: float, whole: float | None = None) -> Seen:
    """The value against the rule's thresholds; `whole` is what a threshold in percent is a share of."""
    above = amount_of(rule.above, whole)
    if above is None:
        return Seen("low", value)
    clear = amount_of(rule.clear_below, whole)
    return Seen(level_of(value, above, above if clear is None else clear), value, above)


def amount_of(amount: Amount | None, whole: float | None) -> float | None:
    """A threshold as a plain number; None where it is a share of something that there is not."""
    if amount is None:
        return None
    if amount.unit != "percent":
        return amount.value
    return None if whole is None else amount.value / 100.0 * whole


# Watchers


def of_watcher(rule: AlertSpec, watcher: Watcher, now: float) -> Seen:
    """What a rule over watchers says of one."""
    if watcher.down and (watcher.wished or rule.kind not in _OF_EVENTS):
        return GONE
    if watcher.state == "reloading" and rule.kind not in _IN_A_RELOAD:
        return HOLD
    seen = _of_watcher(rule, watcher, now)
    if seen.level == "high" and rule.kind in _ON_THE_WAY_UP and now < watcher.grace_until:
        return Seen("hold", seen.value, seen.threshold, early=True)
    return seen


def _of_watcher(rule: AlertSpec, watcher: Watcher, now: float) -> Seen:
    since = now - rule.window_seconds
    match rule.kind:
        case "flapping":
            if watcher.state == "fatal":
                return Seen("high", math.inf, amount_of(rule.above, None))
            return compare(rule, max(within(watcher.failures, since), watcher.in_a_row))
        case "exit":
            return compare(rule, within(watcher.ends, since, rule.reasons))
        case "hook_failed":
            return compare(rule, within(watcher.hooks, since, rule.hooks))
        case "down" | "replicas_missing":
            return _of_processes(rule, watcher)
        case "stuck_reload":
            return LOW if watcher.reload_started is None else compare(rule, now - watcher.reload_started)
        case "silent_output":
            if watcher.output_changed is None or not watcher.running:
                return HOLD
            seen = compare(rule, now - watcher.output_changed)
            return seen if seen.level == "high" or watcher.output_seen else HOLD
    return HOLD


def _of_processes(rule: AlertSpec, watcher: Watcher) -> Seen:
    if watcher.running is None:
        return HOLD
    if watcher.desired <= 0:
        return GONE
    if rule.kind == "down":
        return Seen("low" if watcher.running else "high", float(watcher.running), 1.0)
    share = 100.0 * watcher.running / watcher.desired
    wanted = 100.0 if rule.below is None else rule.below.value
    return Seen("high" if share < wanted else "low", share, wanted)


# Processes


class Processes:
    """What the rules over processes say of each; keeps the trails of those that look at more than one moment."""

    def __init__(self) -> None:
        self._trails: dict[tuple[str, str, int], Trail] = {}

    def see(self, rule: AlertSpec, watcher: Watcher, process: ProcessSample, now: float) -> Seen:
        """What a rule says of one process at the time of its sample."""
        match rule.kind:
            case "memory":
                value = _memory(rule, process)
                return HOLD if value is None else compare(rule, value, watcher.memory_limit)
            case "fds":
                return HOLD if process.open_fds is None else compare(rule, process.open_fds, process.max_fds)
            case "cpu":
                if process.cpu_user_seconds is None or process.cpu_system_seconds is None:
                    return HOLD
                used = process.cpu_user_seconds + process.cpu_system_seconds
                rate = self._trail(rule, watcher, process, now, used).rate(now, used)
                return HOLD if rate is None else compare(rule, rate * 100.0, 100.0)
            case "memory_growth":
                value = _memory(rule, process)
                if value is None:
                    return HOLD
                trail = self._trail(rule, watcher, process, now, value)
                return HOLD if trail.growth is None else compare(rule, trail.growth, trail.first)
        return HOLD

    def forget(self, watcher: str, wids: Collection[int] = ()) -> None:
        """Nothing is kept of a watcher but of these slots."""
        for key in [key for key in self._trails if key[1] == watcher and key[2] not in wids]:
            del self._trails[key]

    def _trail(self, rule: AlertSpec, watcher: Watcher, process: ProcessSample, now: float, value: float) -> Trail:
        key = (rule.name, watcher.name, process.wid)
        trail = self._trails.get(key)
        if trail is None:
            trail = self._trails[key] = Trail(rule.window_seconds)
        trail.add((process.pid, process.started), now, value)
        return trail


def _memory(rule: AlertSpec, process: ProcessSample) -> float | None:
    if rule.of == "uss":
        return process.unique_bytes
    if rule.of == "tree":
        return None if process.tree is None else process.tree.resident_bytes
    return process.resident_bytes


# The daemon


def of_samples(rule: AlertSpec, age: float, interval: float) -> Seen:
    """What a rule over the daemon's samples says of the newest, that many seconds old."""
    above = max(amount_of(rule.above, None) or 0.0, _PASSES * interval)
    return Seen("high" if age > above else "low", age, above)
