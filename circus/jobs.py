"""One request on its way to its reply.

Owns the context in which all of its work runs: the cause, the trace and where waits are told. Refuses to know sockets.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from contextvars import Context, copy_context
from typing import Any

from circus.commands.base import Command
from circus.core.access import Peer
from circus.events.bus import Bus
from circus.events.cause import CURRENT, TRACEPARENT, WAITS
from circus.exc import COMMAND_ERROR, OS_ERROR, CircusError
from circus.wire.events import Cause
from circus.wire.messages import Request, masked, shortened


class Begun:
    """Work that goes on; `told` is the reply to who does not wait for its end."""

    __slots__ = ("_work", "told")

    def __init__(self, work: Coroutine[Any, Any, dict[str, Any]], told: dict[str, Any]) -> None:
        self._work = work
        self.told = told

    def __await__(self) -> Generator[Any, None, dict[str, Any]]:
        return self._work.__await__()


CommandObserver = Callable[[str, Mapping[str, Any]], None]
"""Told `command.started` and `command.finished`, and their data."""


class Job:
    """A request, its command and what became of it."""

    __slots__ = ("cause", "command", "context", "recorded", "replied", "request", "route", "started", "task", "waited")

    def __init__(self, command: Command, request: Request, route: list[bytes], cause: Cause, started: float) -> None:
        self.command = command
        self.request = request
        self.route = route
        self.cause = cause
        self.started = started
        self.replied = request.cast
        self.recorded = command.changes
        self.task: asyncio.Task[None] | None = None
        self.context: Context = copy_context()
        self.context.run(CURRENT.set, cause)
        self.context.run(TRACEPARENT.set, request.traceparent)
        self.waited: list[float] = []
        self.context.run(WAITS.set, self.waited)

    @property
    def waits(self) -> bool:
        """True when the reply tells how the work ended."""
        return self.request.waiting or self.command.always_waits

    def told(self) -> dict[str, Any]:
        """What its records say of it."""
        properties = masked(self.request.properties)
        return {"command": self.command.name, "actor": self.cause.actor, "properties": properties}


def cause_of(command: Command, request: Request, sender: Peer | None) -> Cause:
    """The cause of all that comes of a request; without a sender it is Python code that asks."""
    actor = "python" if sender is None else str(sender)
    return Cause(kind="command", id=request.id_text or os.urandom(8).hex(), name=command.name, actor=actor)


def recorder(bus: Bus) -> CommandObserver:
    """Makes the records of commands."""

    def told(record: str, data: Mapping[str, Any]) -> None:
        cause = CURRENT.get()
        assert cause is not None
        parent = TRACEPARENT.get()
        begins = record == "command.started"
        if begins:
            data = {**data, "parent": parent}
        seq, trace = bus.record(record, None, cause, data, trace=parent.split("-")[1] if parent else None)
        if begins:  # what the command does belongs below it, and it below what called it
            TRACEPARENT.set(bus.context(seq, trace, parent.split("-")[3] if parent else "01"))

    return told


async def recorded(bus: Bus, name: str, work: Callable[[], Awaitable[object]]) -> None:
    """Do what a command does because of something else, such as a signal: below records like those of the command, so
    that it is one operation. What the work raises is raised.
    """
    cause = CURRENT.get() or Cause(kind="command", name=name, actor="python")
    CURRENT.set(cause)
    waited: list[float] = []
    WAITS.set(waited)
    tell, began, error = recorder(bus), time.monotonic(), None
    data = {"command": name, "actor": cause.actor or f"{cause.kind}:{cause.name}", "properties": {}}
    tell("command.started", data)
    try:
        await work()
    except BaseException as raised:
        error = raised
        raise
    finally:
        ending = {
            "seconds": time.monotonic() - began, "ok": error is None,
            "errno": None if error is None else errno_of(error),
            "reason": None if error is None else shortened(text_of(error)),
            "queue_seconds": max(waited, default=None),
        }  # fmt: skip
        tell("command.finished", data | ending)
        error = None  # this frame would be kept by it


def text_of(error: BaseException) -> str:
    """What an error says, or its kind where it says nothing."""
    return str(error) or type(error).__name__


def warnings_of(error: BaseException) -> Sequence[str]:
    """What its reader should know besides."""
    return error.warnings if isinstance(error, CircusError) else ()


def errno_of(error: BaseException) -> int:
    """The number that a reply has for it; any OSError, also one of ours, is the system's."""
    if isinstance(error, OSError):
        return OS_ERROR
    return error.errno if isinstance(error, CircusError) else COMMAND_ERROR
