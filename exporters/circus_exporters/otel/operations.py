"""The operations that run, and the spans that ended in them.

Owns which operation a record belongs to and when an operation is over. It refuses to know what processes and watchers do.
Invariants: an operation gives its span once; a record that comes after the end of its operation still finds it, so that
its spans hang where they belong.

A command, and the boot, is ended by a record of its own. Whatever else begins with a record of a new trace (a worker that
died, an age that was reached) ends when nothing that it began is under way.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from circus.wire.events import Record
from circus_exporters.otel import semantics as name
from circus_exporters.otel.spans import Attributes, Span, ids

KEPT = 1000


@dataclass(slots=True)
class Operation:
    """One trace, or a part of a caller's trace. `awaited` is what it began and what has not ended."""

    key: tuple[str, str | None]
    trace: str
    span: str
    parent: str | None
    name: str
    start: float
    attributes: Attributes
    explicit: bool
    sampled: bool | None = None
    error: str | None = None
    awaited: set[tuple[str | int | None, ...]] = field(default_factory=set)


class Operations:
    """Those of one boot. `ended` are the spans to be taken."""

    def __init__(self) -> None:
        self.ended: list[Span] = []
        self._running: dict[tuple[str, str | None], Operation] = {}
        self._by_trace: OrderedDict[str, Operation] = OrderedDict()

    def running(self) -> list[Operation]:
        """The oldest first."""
        return list(self._running.values())

    def begin(self, record: Record, called: str, attributes: Attributes, *, explicit: bool) -> Operation:
        """An operation whose first record this is."""
        trace, span = ids(record)
        caller = record.data.get("parent")
        parent, sampled = None, None
        if isinstance(caller, str):
            _, _, parent, flags, *_ = caller.split("-")
            sampled = bool(int(flags, 16) & 1)
        cause = record.cause
        common: Attributes = {
            name.CAUSE: cause.kind if cause.name is None else f"{cause.kind}:{cause.name}",
            name.BOOT: record.boot,
            name.SEQ: record.seq,
        }
        if record.watcher is not None:
            common[name.WATCHER] = record.watcher
        operation = Operation(
            key=(trace, cause.id), trace=trace, span=span, parent=parent, name=called, start=record.time,
            attributes=common | attributes, explicit=explicit, sampled=sampled,
        )  # fmt: skip
        self._running[operation.key] = self._by_trace[trace] = operation
        self._by_trace.move_to_end(trace)
        if len(self._running) > KEPT:
            self.end(self.running()[0], record.time, "its end was not seen")
        if len(self._by_trace) > 2 * KEPT:
            self._by_trace.popitem(last=False)
        return operation

    def of(self, record: Record) -> Operation:
        """The operation of a record, also one that has ended; a new trace begins one."""
        trace, _ = ids(record)
        found = self._running.get((trace, record.cause.id)) or self._by_trace.get(trace)
        if found is not None:
            return found
        kind = str(record.data.get("to") if record.record == "watcher.state" else record.record)
        return self.begin(record, name.SPONTANEOUS.get(kind, "watcher.change"), {}, explicit=False)

    def known(self, record: Record) -> Operation | None:
        """The operation of a record, if its trace has one."""
        return self._by_trace.get(ids(record)[0])

    def end(self, operation: Operation, when: float, error: str | None = None) -> None:
        """It is over, unless it was before."""
        if self._running.pop(operation.key, None) is not None:
            self.emit(
                operation, operation.name, operation.span, (operation.start, when), operation.attributes,
                parent=operation.parent, error=operation.error or error,
            )  # fmt: skip

    def begun(self, operation: Operation, *what: str | int | None) -> None:
        """Something is under way in it."""
        operation.awaited.add(what)

    def done(self, operation: Operation, *what: str | int | None) -> None:
        """It is not any more; `settle` follows when the whole record has been looked at."""
        operation.awaited.discard(what)

    def settle(self, operation: Operation, when: float) -> None:
        """End it if nothing is under way and no record will tell its end."""
        if not operation.explicit and not operation.awaited:
            self.end(operation, when)

    def emit(
        self,
        operation: Operation,
        called: str,
        span: str,
        when: tuple[float, float],
        attributes: Attributes,
        *,
        parent: str | None,
        error: str | None = None,
        links: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """A span of it has ended; `when` is (start, end)."""
        start, end = when
        self.ended.append(
            Span(
                trace=operation.trace, span=span, parent=parent, name=called, start=min(start, end), end=end,
                attributes=attributes, links=links, error=error, sampled=operation.sampled,
                boot=str(operation.attributes[name.BOOT]),
                kind="server" if span == operation.span and parent is not None else "internal",
            )
        )  # fmt: skip
