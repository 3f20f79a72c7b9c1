"""Why the code that runs right now runs: the cause that records made from here on will carry.

The controller sets it before it executes a command; whoever submits an operation reads it. asyncio tasks inherit it.
"""

from __future__ import annotations

from contextvars import ContextVar

from circus.core.origin import Origin
from circus.events.bus import Bus
from circus.wire.events import Cause

CURRENT: ContextVar[Cause | None] = ContextVar("circus_cause", default=None)
TRACEPARENT: ContextVar[str | None] = ContextVar("circus_traceparent", default=None)
WAITS: ContextVar[list[float] | None] = ContextVar("circus_waits", default=None)
"""Where the seconds go for which the command that runs right now waited behind others; None where nobody asks."""


def current_origin() -> Origin:
    """Where the operation that runs right now comes from, by what the controller and the arbiter have set."""
    cause = CURRENT.get()
    parent = TRACEPARENT.get()
    trace = parent.split("-")[1] if parent else None
    if cause is None:
        return Origin(kind="command", name="api", actor="python", trace=trace)
    return Origin(
        kind=cause.kind, id=cause.id, name=cause.name, actor=cause.actor, hash=cause.hash, seq=cause.seq, trace=trace,
        context=parent,
    )  # fmt: skip


def cause_of(origin: Origin) -> Cause:
    """The wire's form of an origin."""
    return Cause(
        kind=origin.kind,  # type: ignore[arg-type] # core spells the same closed set as plain text
        id=origin.id,
        name=origin.name,
        actor=origin.actor,
        seq=origin.seq,
        hash=origin.hash,
    )


def context_of(origin: Origin | None, bus: Bus) -> str | None:
    """The trace context that what comes of an origin belongs to; None where no record has begun it."""
    if origin is None or origin.trace is None:
        return None
    if origin.seq is not None:
        return bus.context(origin.seq, origin.trace)
    return origin.context
