"""All rules over all that is observed: (rules, state, observation with its time) to what begins and ends to fire.

Owns which rule looks at what, and when. It refuses to know clocks, the loop and whom it is told. Invariants: whatever is
observed in whatever order, an alert fires once and is resolved once before it fires again; nothing fires for what an operator
stopped, nor for a planned reload.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from circus.spec.alerts import AlertSpec
from circus.wire.events import Record
from circus.wire.samples import WatcherSample
from circus.wire.snapshot import Telemetry
from circus_exporters.alerts.conditions import GONE, HOLD, LOW, Processes, Seen, of_samples, of_watcher
from circus_exporters.alerts.engine import Engine, Key, Patience, Turn
from circus_exporters.alerts.facts import Fleet, Watcher

BEHIND_PASSES = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An alert began or ended to fire. `since` is when its condition began and `at` now, both monotonic; `reason` is why it
    is over, `cause` the record that led here.
    """

    key: Key
    rule: AlertSpec
    turn: Turn
    at: float
    since: float
    seen: Seen
    reason: str = "recovered"
    cause: int | None = None


class Evaluation:
    """The state of all alerts. `early` counts conditions that were not told because their watcher was just starting."""

    def __init__(self, rules: Iterable[AlertSpec]) -> None:
        self._rules = {rule.name: rule for rule in rules if rule.kind != "deadman"}
        self._of_watchers = [rule for rule in self._rules.values() if rule.subject == "watcher"]
        self._of_processes = [rule for rule in self._rules.values() if rule.subject == "process"]
        self._of_daemon = [rule for rule in self._rules.values() if rule.subject == "daemon"]
        self.engine = Engine(
            {rule.name: Patience(rule.for_seconds, rule.keep_seconds) for rule in self._rules.values()}
        )
        self.fleet = Fleet()
        self.early = 0
        self._early: set[Key] = set()
        self._values: dict[Key, float] = {}
        self._processes = Processes()
        self._passes: dict[str, tuple[float, float]] = {}  # when the last sample of a watcher came, and its interval
        self._newest: tuple[float, float] | None = None  # the same of the daemon's own
        self._begun = 0.0
        self._meant: dict[str, tuple[list[AlertSpec], list[AlertSpec]]] = {}

    def rule(self, name: str) -> AlertSpec | None:
        """The rule of that name; deadman is none."""
        return self._rules.get(name)

    # What is observed

    def begin(self, now: float) -> list[Change]:
        """Another daemon, or another life of it: what fired is over."""
        changes = [change for key in self.engine.all_keys() for change in self._see(key, GONE, now)]
        self.fleet.begin()
        self._passes.clear()
        self._meant.clear()
        self._early.clear()
        self._newest = (now, 0.0)
        self._begun = now
        return changes

    def restore(self, key: Key, now: float) -> bool:
        """An alert fires already, as the daemon knows; False when there is no such rule any more."""
        if key.rule not in self._rules:
            return False
        self.engine.restore(key, now)
        if key.watcher is not None:  # until now nobody here has looked at its processes
            self._passes.setdefault(key.watcher, (now, 0.0))
        return True

    def record(self, record: Record, at: float) -> None:
        """The next record; what it means is told at the next `tick`."""
        self.fleet.take_record(record, at)

    def snapshot(self, telemetry: Telemetry, now: float) -> None:
        """A snapshot; what it means is told at the next `tick`."""
        self.fleet.take_snapshot(telemetry, now)
        for gone in self._meant.keys() - self.fleet.watchers.keys():
            del self._meant[gone]
            self._passes.pop(gone, None)
            self._processes.forget(gone)

    def passed(self, interval: float, now: float) -> None:
        """The daemon has sampled."""
        self._newest = now, interval

    def sample(self, sample: WatcherSample, now: float) -> list[Change]:
        """What the processes of one watcher do."""
        watcher = self.fleet.watchers.get(sample.watcher)
        if watcher is None or self.fleet.stopping:
            return []
        self._passes[sample.watcher] = now, sample.interval_seconds
        rules = self._rules_of(sample.watcher)[1]
        if not rules or watcher.down:
            return []
        changes: list[Change] = []
        lives = self.engine.of(watcher.name)
        if watcher.state == "reloading":
            for key in [key for key in lives if key.wid is not None]:
                changes += self._see(key, HOLD, now)
            return changes
        for rule in rules:
            for process in sample.processes:
                seen = self._processes.see(rule, watcher, process, now)
                # Nearly all there is to see is low and stays so.
                if seen.level == "high" or (lives and Key(rule.name, watcher.name, process.wid) in lives):
                    changes += self._see(Key(rule.name, watcher.name, process.wid), seen, now)
        if lives:
            wids = {process.wid for process in sample.processes}
            for key in [key for key in lives if key.wid is not None and key.wid not in wids]:
                changes += self._see(key, LOW, now)
        return changes

    def tick(self, now: float, *, attached: bool) -> list[Change]:
        """Time has passed; `attached` says whether the daemon answers."""
        if self.fleet.stopping:
            return [change for key in self.engine.all_keys() for change in self._see(key, GONE, now)]
        changes = list(self._tick_daemon(now))
        if attached:
            for watcher in list(self.fleet.watchers.values()):
                for rule in self._rules_of(watcher.name)[0]:
                    changes += self._see(Key(rule.name, watcher.name), of_watcher(rule, watcher, now), now)
        changes += self._tick_processes(now, attached=attached)
        return changes

    def _tick_daemon(self, now: float) -> Iterator[Change]:
        if self._newest is None:
            return
        came, interval = self._newest
        for rule in self._of_daemon:
            yield from self._see(Key(rule.name), of_samples(rule, now - came, interval), now)

    def _tick_processes(self, now: float, *, attached: bool) -> Iterator[Change]:
        """Alerts about what is not there any more, and those about which nothing can be said."""
        for key in self.engine.all_keys():
            if key.watcher is None:
                continue
            watcher = self.fleet.watchers.get(key.watcher)
            if not attached:
                yield from self._see(key, HOLD, now)
            elif watcher is None or (watcher.down and key.wid is not None):
                yield from self._see(key, GONE, now)
            elif not self._rules[key.rule].means(key.watcher):
                yield from self._see(key, GONE, now, "removed")
            elif key.wid is not None and self._behind(key.watcher, now):
                yield from self._see(key, LOW, now)

    def _behind(self, name: str, now: float) -> bool:
        """The daemon samples, but this watcher has no processes any more."""
        if self._newest is None:
            return False
        newest, interval = self._newest
        came, own = self._passes.get(name, (self._begun, interval))
        limit = BEHIND_PASSES * max(interval, own)
        return now - newest <= limit < newest - came

    def standing(self, key: Key, now: float) -> tuple[float | None, float | None]:
        """Of an alert that fires: (the last value seen, the seconds left until it is resolved unless it comes again)."""
        return self._values.get(key), self.engine.left(key, now)

    # What follows

    def _rules_of(self, name: str) -> tuple[list[AlertSpec], list[AlertSpec]]:
        """(those over the watcher, those over its processes)."""
        found = self._meant.get(name)
        if found is None:
            found = self._meant[name] = (
                [rule for rule in self._of_watchers if rule.means(name)],
                [rule for rule in self._of_processes if rule.means(name)],
            )
        return found

    def _see(self, key: Key, seen: Seen, now: float, reason: str = "gone") -> list[Change]:
        if seen.early:
            self.early += key not in self._early
            self._early.add(key)
        elif self._early and seen.level != "hold":
            self._early.discard(key)
        before = self.engine.of(key.watcher).get(key)
        turn = self.engine.see(key, seen.level, now)
        if key not in self.engine.of(key.watcher):
            self._values.pop(key, None)
        elif seen.value is not None:
            self._values[key] = seen.value
        if turn is None:
            return []
        rule = self._rules[key.rule]
        since = now if before is None else before.since
        reason = reason if seen.level == "gone" else "recovered"
        return [
            Change(
                key=key, rule=rule, turn=turn, at=now, since=since, seen=seen, reason=reason,
                cause=_cause(rule, self.fleet.watchers.get(key.watcher or "")),
            )
        ]  # fmt: skip


def _cause(rule: AlertSpec, watcher: Watcher | None) -> int | None:
    """The record of the event that an alert is about."""
    if watcher is None:
        return None
    events = {"flapping": watcher.failures, "exit": watcher.ends, "hook_failed": watcher.hooks}.get(rule.kind)
    return events[-1].seq if events else None
