"""What is known of each watcher, from snapshots and from the records since: is it meant to run, does it, what happened.

Owns the order of the two: a record that a snapshot knew of changes nothing about the state any more, nor does a snapshot
that a later record has overtaken. It refuses to know rules. Invariant: what an operator stopped is known as stopped from
the very record that tells of it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from circus.wire.events import Record
from circus.wire.snapshot import Telemetry, WatcherSnapshot

DOWN: Final = frozenset({"stopped", "stopping", "waiting"})
"""States in which nothing is expected to run. `fatal` is none of them: nobody wished for it."""

_WISHES: Final = frozenset({"command", "signal", "config"})
GRACE_SECONDS: Final = 30.0
LONGEST_WINDOW: Final = 86_400.0
MOST_EVENTS: Final = 2_000


@dataclass(slots=True)
class Event:
    """Something that happened: `what` is the reason of an end or the name of a hook."""

    at: float
    what: str
    seq: int


@dataclass(slots=True)
class Watcher:
    """One watcher; times are monotonic. `grace_until`: it was started, and may still be on its way up until then."""

    name: str
    state: str = "starting"
    desired: int = 0
    running: int | None = None
    in_a_row: int = 0
    """Failures of its worst slot since that last ran steadily. Each waits longer than the one before, so their number in a
    window falls however long it goes on.
    """
    labels: dict[str, str] = field(default_factory=dict)
    memory_limit: int | None = None
    reload_started: float | None = None
    grace_until: float = 0.0
    output: int | None = None
    output_changed: float | None = None
    output_seen: bool = False
    """Whether it wrote or started before our eyes; before that nobody here knows since when it is silent."""
    seq: int = 0
    ends: deque[Event] = field(default_factory=lambda: deque(maxlen=MOST_EVENTS))
    failures: deque[Event] = field(default_factory=lambda: deque(maxlen=MOST_EVENTS))
    hooks: deque[Event] = field(default_factory=lambda: deque(maxlen=MOST_EVENTS))
    wished: bool = False
    """It is down because somebody said so, and not because its program was done."""
    _completed: deque[int] = field(default_factory=lambda: deque(maxlen=64))

    @property
    def down(self) -> bool:
        """It does not run, and nobody wants it to."""
        return self.state in DOWN

    def enter(self, state: str, at: float) -> None:
        """Another state, as a record or a snapshot tells it."""
        if state == "active":
            self.grace_until = 0.0
        elif state == "starting" and (self.down or self.state == "fatal"):
            self.grace_until = at + GRACE_SECONDS
        if state in DOWN or self.down:
            self.output_changed = None
            self.output_seen = True
        if state in DOWN:
            self.reload_started = None
        else:
            self.wished = False
        self.state = state

    def stop(self) -> None:
        """Somebody stops it: what went wrong before is over."""
        self.wished = True
        self.ends.clear()
        self.failures.clear()
        self.hooks.clear()

    def took_place(self, record: Record, at: float) -> None:
        """An end, a failed start or a hook; counted whatever a snapshot knew."""
        data = record.data
        match record.record:
            case "process.exited" | "process.lost":
                reason = str(data.get("reason", "lost"))
                self.ends.append(Event(at, reason, record.seq))
                if reason == "completed":
                    self._completed.append(record.seq)
                elif not data.get("expected"):
                    self.failures.append(Event(at, reason, record.seq))
            case "process.spawn_failed":
                self.failures.append(Event(at, "spawn_failed", record.seq))
            case "process.spawned":
                # Exit code 0 is a failure only of a program that was to stay, that is, which is started again.
                if data.get("cause") == "crash" and record.cause.seq in self._completed:
                    self.failures.append(Event(at, "completed", record.seq))
            case "hook.finished" if not data.get("ok"):
                self.hooks.append(Event(at, str(data.get("hook")), record.seq))


def within(events: deque[Event], since: float, what: tuple[str, ...] | None = None) -> int:
    """How many there were after that time, of these kinds; what is older than any window is dropped."""
    while events and events[0].at < since - LONGEST_WINDOW:
        events.popleft()
    found = 0
    for event in reversed(events):
        if event.at <= since:
            break
        found += what is None or event.what in what
    return found


class Fleet:
    """All watchers, and whether the daemon itself is on its way down."""

    def __init__(self) -> None:
        self.watchers: dict[str, Watcher] = {}
        self.stopping = False
        self.dirty = True
        """Something happened that only a snapshot tells the result of."""

    def begin(self) -> None:
        """Another daemon, or another life of it."""
        self.watchers.clear()
        self.stopping = False
        self.dirty = True

    def take_snapshot(self, telemetry: Telemetry, now: float) -> None:
        self.stopping = self.stopping or telemetry.arbiter.state == "stopping"
        for told in telemetry.watchers:
            watcher = self.watchers.get(told.name)
            if watcher is None:
                watcher = self.watchers[told.name] = Watcher(told.name, state=told.state, seq=telemetry.seq)
                watcher.grace_until = now + GRACE_SECONDS if told.state == "starting" else 0.0
            if telemetry.seq >= watcher.seq:
                watcher.seq = telemetry.seq
                _adopt(watcher, told, telemetry.time, now)
        for gone in self.watchers.keys() - {told.name for told in telemetry.watchers}:
            if self.watchers[gone].seq <= telemetry.seq:
                del self.watchers[gone]

    def take_record(self, record: Record, at: float) -> None:
        """The next record, which happened at that monotonic time."""
        if record.watcher is None:
            if record.record in ("arbiter.stopping", "arbiter.stopped"):
                self.stopping = True
            return
        self.dirty = self.dirty or not record.record.startswith("alert.")
        if record.record == "watcher.removed":
            self.watchers.pop(record.watcher, None)
            return
        watcher = self.watchers.get(record.watcher)
        if watcher is None:
            watcher = self.watchers[record.watcher] = Watcher(record.watcher, state="stopped")
        watcher.took_place(record, at)
        wish = record.record == "watcher.state" and record.data.get("to") in DOWN and record.cause.kind in _WISHES
        if record.seq <= watcher.seq:
            if wish:
                watcher.stop()
                watcher.wished = watcher.down
            return
        watcher.seq = record.seq
        match record.record:
            case "watcher.state":
                if wish:
                    watcher.stop()
                watcher.enter(str(record.data["to"]), at)
                watcher.desired = int(record.data.get("desired", watcher.desired))
            case "reload.started":
                watcher.reload_started = at
            case "reload.finished":
                watcher.reload_started = None


def _adopt(watcher: Watcher, told: WatcherSnapshot, time: float, now: float) -> None:
    if told.state != watcher.state:
        watcher.enter(told.state, now)
    watcher.desired, watcher.running = told.desired, told.processes.get("running", 0)
    watcher.in_a_row = told.consecutive_failures
    watcher.labels, watcher.memory_limit = told.labels, told.memory_limit_bytes
    started = told.reload_started
    if started is None:
        watcher.reload_started = None
    elif watcher.reload_started is None:
        watcher.reload_started = now - max(time - started, 0.0)
    streams = told.counters.stream_bytes
    output = sum(streams.values()) if streams else None
    if output != watcher.output or watcher.output_changed is None:
        watcher.output_seen = watcher.output_seen or watcher.output is not None
        watcher.output, watcher.output_changed = output, None if output is None else now
