"""What a watcher is told: commands, and facts in the past tense. Values only.

Every fact about a process carries its wid and, where a late one could be mistaken, the generation it is about.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from circus.core.exit_status import ExitStatus
from circus.core.origin import Origin

OperationKind = Literal["start", "stop", "restart", "reload", "resize"]


@dataclass(slots=True, kw_only=True)
class Operation:
    """A command for one watcher, to be answered once by its `id`.

    `name` is what the operator called it, for texts. `resize` carries `delta` or `target`; `reload` carries `sequential`; `start_cause` is what the spawns of a start
    are counted as (boot, manual).
    """

    id: int
    kind: OperationKind
    origin: Origin
    name: str = ""
    delta: int = 0
    target: int | None = None
    sequential: bool = False
    start_cause: str = "manual"
    by_socket: bool = False
    submitted: float = 0.0
    after_generation: int = 0
    stopped: list[int] = field(default_factory=list)
    started: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)


class Submitted(msgspec.Struct, frozen=True, gc=False):
    """An operation arrives; it runs when those before it are done, or overtakes them."""

    operation: Operation


class KillAsked(msgspec.Struct, frozen=True, gc=False):
    """An operator wants processes ended now (all when `pid` is None) and replaced; it does not queue."""

    origin: Origin
    pid: int | None = None
    signum: int | None = None
    graceful_timeout: float | None = None


class SignalAsked(msgspec.Struct, frozen=True, gc=False):
    """An operator wants a signal sent and nothing else; if the process dies of it, that was no crash."""

    origin: Origin
    wid: int
    signum: int


class Hastened(msgspec.Struct, frozen=True, gc=False):
    """The grace is over for everything that is being stopped."""

    origin: Origin


class Spawned(msgspec.Struct, frozen=True, gc=False):
    """The fork was made and the program runs."""

    wid: int
    generation: int
    pid: int
    seconds: float


class SpawnFailed(msgspec.Struct, frozen=True, gc=False):
    """No process came of it."""

    wid: int
    generation: int
    stage: str
    errno: int | None
    message: str


class HookAnswered(msgspec.Struct, frozen=True, gc=False):
    """A hook is done; `ok` is its verdict with the ignore flag applied."""

    token: int
    hook: str
    ok: bool
    error: str | None
    seconds: float


class Reaped(msgspec.Struct, frozen=True, gc=False):
    """The process ended and its status was collected."""

    wid: int
    generation: int
    status: ExitStatus


class Vanished(msgspec.Struct, frozen=True, gc=False):
    """The process is gone and nobody can know how it ended."""

    wid: int
    generation: int
    why: str


class TimerFired(msgspec.Struct, frozen=True, gc=False):
    """A timer that was armed is over; a stale epoch is dropped."""

    name: str
    wid: int | None
    epoch: int


class SocketReady(msgspec.Struct, frozen=True, gc=False):
    """A connection waits on a socket of an on_demand watcher."""


Stimulus = (
    Submitted
    | KillAsked
    | SignalAsked
    | Hastened
    | Spawned
    | SpawnFailed
    | HookAnswered
    | Reaped
    | Vanished
    | TimerFired
    | SocketReady
)
