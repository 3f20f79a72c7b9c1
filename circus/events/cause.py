"""Why the code that runs right now runs: the cause that records made from here on will carry.

The controller sets it before it executes a command; whoever submits an operation reads it. asyncio tasks inherit it.
"""

from __future__ import annotations

from contextvars import ContextVar

from circus.wire.events import Cause

CURRENT: ContextVar[Cause | None] = ContextVar("circus_cause", default=None)
TRACEPARENT: ContextVar[str | None] = ContextVar("circus_traceparent", default=None)
WAITS: ContextVar[list[float] | None] = ContextVar("circus_waits", default=None)
"""Where the seconds go for which the command that runs right now waited behind others; None where nobody asks."""
