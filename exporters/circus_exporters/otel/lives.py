"""What records tell of processes, as spans: start, stop, their phases, and the whole life at its end.

Owns one small note for each living process. It refuses to know commands and states of watchers. Invariant: nothing is
open for as long as a process lives; its life is told in one span at its end, which links to the spans of its start and stop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from circus.wire.events import Record
from circus_exporters.otel import semantics as name
from circus_exporters.otel.operations import Operation, Operations
from circus_exporters.otel.spans import Attributes, Value, derived, ids, known

Slot = tuple[str | None, int | None]


@dataclass(slots=True)
class _Start:
    """A process that is not ready yet."""

    operation: Operation
    span: str
    above: str
    began: float
    spawned: float
    attributes: Attributes


@dataclass(slots=True)
class _Stop:
    """A process that was signalled to end."""

    first: Record
    operation: Operation
    span: str
    above: str
    signals: list[Record] = field(default_factory=list)
    escalated: Record | None = None


@dataclass(slots=True)
class _Empty:
    """A slot whose process ended by itself, or never came; another one is due."""

    operation: Operation
    since: float
    record: Record


def _attributes(record: Record, more: dict[str, Value | None] | None = None) -> Attributes:
    told = {
        name.WATCHER: record.watcher, name.WID: record.wid, name.PID: record.pid, name.GENERATION: record.generation,
    }  # fmt: skip
    return known(told | (more or {}))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Lives:
    """Processes of one boot. `above` tells the span that those of an operation hang below, for a watcher."""

    def __init__(self, operations: Operations, above: Callable[[Operation, str | None], str]) -> None:
        self._operations = operations
        self._above = above
        self._births: dict[Slot, tuple[str, str]] = {}
        self._starts: dict[Slot, _Start] = {}
        self._stops: dict[Slot, _Stop] = {}
        self._empty: dict[Slot, _Empty] = {}

    def spawned(self, record: Record) -> None:
        slot, data = (record.watcher, record.wid), record.data
        operation = self._operations.of(record)
        trace, span = ids(record)
        began = record.time - data["spawn_seconds"]
        self._wait_over(slot, began)
        above = self._above(operation, record.watcher)
        if span == operation.span:
            span = derived(record, "start")
        attributes = _attributes(record, {name.START_CAUSE: data["cause"], name.REPLACEMENT: data["replacement"]})
        self._births[slot] = trace, span
        self._starts[slot] = _Start(operation, span, above, began, record.time, attributes)
        self._operations.begun(operation, "start", *slot)
        self._operations.emit(
            operation, "process.spawn", derived(record, "spawn"), (began, record.time), _attributes(record), parent=span
        )

    def spawn_failed(self, record: Record) -> None:
        slot, data = (record.watcher, record.wid), record.data
        operation = self._operations.of(record)
        self._wait_over(slot, record.time)
        _, span = ids(record)
        if span == operation.span:
            span = derived(record, "spawn")
        attributes = _attributes(record, {name.SPAWN_STAGE: data["stage"], name.ERROR_TYPE: f"{data['stage']}_failed"})
        self._operations.emit(
            operation, "process.spawn", span, (record.time, record.time), attributes,
            parent=self._above(operation, record.watcher), error=data["message"],
        )  # fmt: skip
        self._vacate(slot, operation, record)

    def ready(self, record: Record) -> None:
        slot = (record.watcher, record.wid)
        start = self._starts.pop(slot, None)
        if start is None:  # its beginning is not known any more
            return
        _, span = ids(record)
        self._operations.emit(
            start.operation, "process.ready_wait", span, (start.spawned, record.time), _attributes(record),
            parent=start.span,
        )  # fmt: skip
        self._started(slot, start, record.time, None)

    def _started(self, slot: Slot, start: _Start, when: float, error: str | None) -> None:
        self._operations.emit(
            start.operation, "process.start", start.span, (start.began, when), start.attributes,
            parent=start.above, error=error,
        )  # fmt: skip
        self._operations.done(start.operation, "start", *slot)
        self._operations.settle(start.operation, when)

    def hook(self, record: Record) -> None:
        data = record.data
        start, stop = (found.get((record.watcher, record.wid)) for found in (self._starts, self._stops))
        if record.wid is not None and start is not None:
            operation, parent = start.operation, start.span
        elif record.wid is not None and stop is not None:
            operation, parent = stop.operation, stop.span
        else:
            operation = self._operations.of(record)
            parent = self._above(operation, record.watcher)
        _, span = ids(record)
        if span == operation.span:
            span = derived(record, "hook")
        error = data["error"] or (f"{data['hook']} said no" if data["veto"] else None)
        kind = {name.HOOK: data["hook"], name.ERROR_TYPE: None if error is None else "hook"}
        self._operations.emit(
            operation, f"hook.{data['hook']}", span, (record.time - data["seconds"], record.time),
            _attributes(record, kind), parent=parent, error=error,
        )  # fmt: skip
        self._operations.settle(operation, record.time)

    def signalled(self, record: Record, *, ends: bool) -> None:
        """A signal was sent; `ends` tells that it is meant to end the process."""
        slot = (record.watcher, record.wid)
        operation = self._operations.of(record)
        if not ends or slot not in self._births:
            self._signal(operation, record, self._above(operation, record.watcher))
            self._operations.settle(operation, record.time)
            return
        stop = self._stops.get(slot)
        if stop is None:
            above = self._above(operation, record.watcher)
            stop = self._stops[slot] = _Stop(record, operation, derived(record, "stop"), above)
            self._operations.begun(operation, "stop", *slot)
        stop.signals.append(record)
        self._operations.settle(operation, record.time)  # a signal to who is stopped by another operation was all of it

    def escalated(self, record: Record) -> None:
        stop = self._stops.get((record.watcher, record.wid))
        if stop is not None:
            stop.escalated = record

    def _signal(self, operation: Operation, record: Record, parent: str) -> None:
        data = record.data
        _, span = ids(record)
        if span == operation.span:
            span = derived(record, "signal")
        told = {name.SIGNAL: data["signal"], name.SIGNAL_BY: data["by"], name.SIGNAL_SCOPE: data["scope"]}
        self._operations.emit(
            operation, "process.signal", span, (record.time, record.time), _attributes(record, told), parent=parent
        )

    def exited(self, record: Record) -> None:
        slot, data = (record.watcher, record.wid), record.data
        start, stop = self._starts.pop(slot, None), self._stops.pop(slot, None)
        birth = self._births.pop(slot, None)
        operation = self._operations.of(record)
        error = None
        if data["outcome"] != "success":
            how = data["signal"] or (f"exit code {data['exit_code']}" if data["exit_code"] is not None else "no status")
            error = f"{data['reason']}: {how}"
        if start is not None:
            self._started(
                slot, start, record.time, None if stop is not None else error or "it ended before it was ready"
            )
        if stop is not None:
            self._stopped(slot, stop, record, error)
        above = self._above(operation, record.watcher)
        _, span = ids(record)
        if span == operation.span:  # it opened this operation
            span = derived(record, "life")
            operation.error = operation.error or error
            if error is not None:
                operation.attributes[name.ERROR_TYPE] = name.EXIT_ERRORS.get(data["outcome"], data["outcome"])
        links = [birth] if birth is not None else []
        if stop is not None:
            links.append((stop.operation.trace, stop.span))
        self._operations.emit(
            operation, "process.life", span, (record.time - (data["stop_seconds"] or 0.0), record.time),
            _attributes(record, _end_of(record, error)), parent=above, error=error, links=tuple(links),
        )  # fmt: skip
        self._vacate(slot, operation, record)
        self._operations.settle(operation, record.time)

    def _stopped(self, slot: Slot, stop: _Stop, record: Record, error: str | None) -> None:
        emit, began, ended = self._operations.emit, stop.first.time, record.time
        attributes = _attributes(record)
        emit(stop.operation, "process.stop", stop.span, (began, ended), attributes, parent=stop.above, error=error)
        for signal in stop.signals:
            self._signal(stop.operation, signal, stop.span)
        until = ended if stop.escalated is None else stop.escalated.time
        emit(
            stop.operation, "process.grace", derived(stop.first, "grace"), (began, until), attributes, parent=stop.span
        )
        if stop.escalated is not None:
            _, span = ids(stop.escalated)
            emit(stop.operation, "process.kill", span, (until, ended), attributes, parent=stop.span)
        self._operations.done(stop.operation, "stop", *slot)
        if stop.operation.trace != ids(record)[0]:  # otherwise a successor may be due in it
            self._operations.settle(stop.operation, ended)

    def drained(self, record: Record) -> None:
        """What the process left is gone."""
        operation, left = self._operations.of(record), record.data["left"]
        _, span = ids(record)
        error = f"SIGKILL did not end {', '.join(map(str, left))}" if left else None
        self._operations.emit(
            operation, "process.drain", span, (record.time - record.data["seconds"], record.time), _attributes(record),
            parent=self._above(operation, record.watcher), error=error,
        )  # fmt: skip
        self._operations.settle(operation, record.time)

    # Slots that wait for a process

    def _vacate(self, slot: Slot, operation: Operation, record: Record) -> None:
        if not operation.explicit:
            self._empty[slot] = _Empty(operation, record.time, record)
            self._operations.begun(operation, "respawn", *slot)

    def _wait_over(self, slot: Slot, when: float) -> None:
        empty = self._empty.pop(slot, None)
        if empty is not None:
            self._operations.emit(
                empty.operation, "process.backoff", derived(empty.record, "backoff"), (empty.since, when),
                known({name.WATCHER: slot[0], name.WID: slot[1]}), parent=empty.operation.span,
            )  # fmt: skip
            self._operations.done(empty.operation, "respawn", *slot)

    def no_more(self, watcher: str | None, when: float) -> None:
        """The watcher is going down: no process is due any more."""
        for slot in [slot for slot in self._empty if slot[0] == watcher]:
            empty = self._empty.pop(slot)
            self._operations.done(empty.operation, "respawn", *slot)
            self._operations.settle(empty.operation, when)


def _end_of(record: Record, error: str | None) -> dict[str, Value | None]:
    data = record.data
    return {
        name.CREATION_TIME: _moment(record.time - data["lifetime_seconds"]),
        name.EXIT_TIME: _moment(record.time),
        name.EXIT_CODE: data["exit_code"],
        name.EXIT_SIGNAL: data["signal"],
        name.EXIT_REASON: data["reason"],
        name.EXIT_INITIATOR: data["initiator"],
        name.EXIT_OUTCOME: data["outcome"],
        name.LIFETIME: data["lifetime_seconds"],
        name.CPU_USER: data["cpu_user_seconds"],
        name.CPU_SYSTEM: data["cpu_system_seconds"],
        name.MAX_RESIDENT: data["max_resident_bytes"],
        name.ERROR_TYPE: None if error is None else name.EXIT_ERRORS.get(data["outcome"], data["outcome"]),
    }
