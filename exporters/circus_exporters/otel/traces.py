"""Lifecycle records become spans: one trace for each operation, a span for each worker and each of its phases.

Pure: records in, finished spans out. It refuses to know clocks, queues and collectors. Invariants: every id comes from
the daemon's records, so whoever reads the same records tells the same spans; a span is given out once, when it has ended;
what stays in memory are the operations that run, and one small note for each living process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from circus.wire.events import Record
from circus_exporters.otel import semantics as name
from circus_exporters.otel.lives import Lives
from circus_exporters.otel.operations import Operation, Operations
from circus_exporters.otel.spans import Attributes, Span, derived, ids

PHASES = ("starting", "reloading", "stopping")
_GOING_DOWN = ("stopping", "stopped", "fatal", "waiting")


@dataclass(slots=True)
class _Phase:
    """A watcher on its way from one state to another."""

    operation: Operation
    span: str
    state: str
    since: float
    attributes: Attributes


class TraceFold:
    """Folds records in the order of their seq; a record of another boot ends everything of the one before."""

    def __init__(self) -> None:
        self.boot: str | None = None
        self._time = 0.0
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._operations = Operations()
        self._lives = Lives(self._operations, self._above)
        self._phases: dict[str | None, _Phase] = {}
        self._hup: set[str | None] = set()
        self._handlers: dict[str, Callable[[Record], None]] = {
            "arbiter.started": self._arbiter_started,
            "arbiter.booted": self._ended,
            "arbiter.upgraded": self._arbiter_upgraded,
            "arbiter.upgrade_failed": self._arbiter_upgrade_failed,
            "arbiter.stopping": self._arbiter_stopping,
            "arbiter.stopped": self._ended,
            "command.started": self._command_started,
            "command.finished": self._command_finished,
            "watcher.state": self._watcher_state,
            "watcher.removed": self._watcher_removed,
            "reload.started": self._reload_started,
            "reload.finished": self._reload_finished,
            "process.spawned": self._lives.spawned,
            "process.spawn_failed": self._lives.spawn_failed,
            "process.ready": self._lives.ready,
            "process.signalled": self._signalled,
            "process.escalated": self._lives.escalated,
            "process.exited": self._lives.exited,
            "process.lost": self._lives.exited,
            "process.drained": self._lives.drained,
            "hook.finished": self._lives.hook,
            "alert.firing": self._alert,
            "alert.resolved": self._alert,
        }

    @property
    def open_traces(self) -> set[str]:
        """The traces of operations that have not ended."""
        return {operation.trace for operation in self._operations.running()}

    def fold(self, record: Record) -> list[Span]:
        """Take the next record; the spans that end with it."""
        spans = []
        if record.boot != self.boot:
            spans = self.abandon("the daemon ended before")
            self.boot = record.boot
        self._time = record.time
        handler = self._handlers.get(record.record)
        if handler is not None and record.traceparent is not None:
            handler(record)
        return spans + self._taken()

    def abandon(self, reason: str) -> list[Span]:
        """Nothing more can be learnt of what runs: its spans end where the last record was."""
        for watcher in list(self._phases):
            self._end_phase(watcher, self._time, None)
        for operation in self._operations.running():
            self._operations.end(operation, self._time, reason)
        spans = self._taken()
        self._begin_anew()
        return spans

    def _taken(self) -> list[Span]:
        spans, self._operations.ended = self._operations.ended, []
        return spans

    def _alert(self, record: Record) -> None:
        """A moment in the trace of what led there; an alert about a measurement is a trace of its own."""
        attributes: Attributes = {name.ALERT: record.data["alert"], name.SEVERITY: record.data["severity"]}
        if record.watcher is not None:
            attributes[name.WATCHER] = record.watcher
        if record.wid is not None:
            attributes[name.WID] = record.wid
        operation = self._operations.known(record)
        if operation is None:
            operation = self._operations.begin(record, record.record, attributes, explicit=False)
            self._operations.settle(operation, record.time)
        else:
            self._operations.emit(
                operation, record.record, ids(record)[1], (record.time, record.time), attributes, parent=operation.span
            )

    # The daemon and its commands

    def _arbiter_started(self, record: Record) -> None:
        self._operations.begin(record, "arbiter.boot", {name.WATCHERS: record.data["watchers"]}, explicit=True)

    def _arbiter_upgraded(self, record: Record) -> None:
        """The exchange of the two programs, which comes after the answer to the command."""
        operation, data = self._operations.of(record), record.data
        _, span = ids(record)
        self._operations.emit(
            operation, "arbiter.exchange", derived(record, "phase") if span == operation.span else span,
            (record.time - data["seconds"], record.time),
            {name.VERSION: data["version"], name.VERSION_BEFORE: data["before"], name.WATCHERS: data["watchers"]},
            parent=operation.span,
        )  # fmt: skip
        self._operations.settle(operation, record.time)

    def _arbiter_upgrade_failed(self, record: Record) -> None:
        operation = self._operations.of(record)
        operation.error = operation.error or str(record.data["reason"])
        self._operations.settle(operation, record.time)

    def _arbiter_stopping(self, record: Record) -> None:
        self._operations.of(record).explicit = True  # arbiter.stopped ends it

    def _ended(self, record: Record) -> None:
        self._operations.end(self._operations.of(record), record.time)

    def _command_started(self, record: Record) -> None:
        command, properties = record.data["command"], record.data["properties"]
        attributes: Attributes = {name.COMMAND: command, name.ACTOR: record.data["actor"]}
        if record.cause.id is not None:
            attributes[name.COMMAND_ID] = record.cause.id
        if isinstance(properties.get("name"), str):
            attributes[name.WATCHER] = properties["name"]
        called = name.OPERATIONS.get(command, f"command.{command}")
        options = properties.get("options")
        if command == "set" and isinstance(options, dict) and set(options) == {"numprocesses"}:
            called = "watcher.scale"
        self._operations.begin(record, called, attributes, explicit=True)

    def _command_finished(self, record: Record) -> None:
        operation, data = self._operations.of(record), record.data
        if data["queue_seconds"] is not None:
            operation.attributes[name.QUEUE_SECONDS] = data["queue_seconds"]
        # One that another command overtook is no failure: somebody wanted it so.
        if not data["ok"] and not str(data["reason"]).startswith("cancelled"):
            operation.error = str(data["reason"])
            operation.attributes[name.ERROR_TYPE] = f"errno_{data['errno']}"
        self._operations.end(operation, record.time)

    # Watchers

    def _above(self, operation: Operation, watcher: str | None) -> str:
        """What spans of a watcher's processes hang below: its phase, if it is one of the same operation."""
        phase = self._phases.get(watcher)
        return phase.span if phase is not None and phase.operation is operation else operation.span

    def _watcher_state(self, record: Record) -> None:
        to, watcher = record.data["to"], record.watcher
        operation = self._operations.of(record)
        problem = f"'{watcher}' was given up" if to == "fatal" else None
        operation.error = operation.error or problem
        self._end_phase(watcher, record.time, problem)
        if to in PHASES:
            _, span = ids(record)
            if span == operation.span:
                span = derived(record, "phase")
            self._phases[watcher] = _Phase(operation, span, to, record.time, {name.WATCHER: str(watcher)})
            self._operations.begun(operation, "phase", watcher)
        if to in _GOING_DOWN:
            self._lives.no_more(watcher, record.time)
        self._operations.settle(operation, record.time)

    def _end_phase(self, watcher: str | None, when: float, error: str | None) -> None:
        phase = self._phases.pop(watcher, None)
        if phase is not None:
            self._operations.emit(
                phase.operation, f"watcher.{phase.state}", phase.span, (phase.since, when), phase.attributes,
                parent=phase.operation.span, error=error,
            )  # fmt: skip
            self._operations.done(phase.operation, "phase", watcher)
            self._operations.settle(phase.operation, when)

    def _watcher_removed(self, record: Record) -> None:
        self._end_phase(record.watcher, record.time, None)
        self._lives.no_more(record.watcher, record.time)

    def _reload_started(self, record: Record) -> None:
        phase = self._phases.get(record.watcher)
        if phase is not None:
            phase.attributes |= {name.RELOAD_MODE: record.data["mode"], name.WORKERS: record.data["workers"]}
        if record.data["mode"] == "hup":
            self._hup.add(record.watcher)

    def _reload_finished(self, record: Record) -> None:
        self._hup.discard(record.watcher)
        if not record.data["ok"]:
            operation = self._operations.of(record)
            operation.error = operation.error or record.data["reason"]

    def _signalled(self, record: Record) -> None:
        data = record.data
        only_told = record.watcher in self._hup if data["by"] == "reload" else record.cause.name == "signal"
        self._lives.signalled(record, ends=not only_told)
