"""What a watcher wants done: values in the imperative, performed in order by the driver.

An effect that has an outcome (a spawn, a signal, a hook, a timer) comes back as a stimulus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from circus.core.origin import Origin

NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a process in the slot; Spawned or SpawnFailed follows."""

    wid: int
    generation: int


@dataclass(frozen=True, slots=True)
class CancelSpawn:
    """Take back a Spawn that has not been performed."""

    wid: int
    generation: int


@dataclass(frozen=True, slots=True)
class SendSignal:
    """Signal the process of a slot; `first` tells a stop from its escalation."""

    wid: int
    pid: int
    signum: int
    by: str
    kill: bool = False


@dataclass(frozen=True, slots=True)
class ArmTimer:
    """TimerFired after `delay` seconds; replaces a timer of the same name and slot."""

    name: str
    wid: int | None
    epoch: int
    delay: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """The timer is not needed any more."""

    name: str
    wid: int | None


@dataclass(frozen=True, slots=True)
class CallHook:
    """Run a hook; HookAnswered with the token follows. Without `answer` nobody waits for it."""

    token: int
    hook: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Publish:
    """An event of circus 0.19: `watcher.<name>.<action>`."""

    action: str
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tell:
    """Make a lifecycle record. When `opens` is given, that token becomes "this record" for what follows."""

    record: str
    origin: Origin
    data: Mapping[str, Any]
    wid: int | None = None
    pid: int | None = None
    generation: int | None = None
    opens: Origin | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The operation is done."""

    operation: int
    info: Any = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """The operation was cancelled; the text says by what."""

    operation: int
    reason: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The process of the slot is gone: close its pipes and drop it."""

    wid: int
    pid: int


@dataclass(frozen=True, slots=True)
class OpenStreams:
    """Output will come."""


@dataclass(frozen=True, slots=True)
class CloseStreams:
    """No process of the watcher is left."""


@dataclass(frozen=True, slots=True)
class WatchSockets:
    """Tell when a connection waits (on_demand), or stop telling."""

    on: bool


@dataclass(frozen=True, slots=True)
class Log:
    """A line for the log of the daemon; level is a name of the logging module."""

    level: str
    text: str


Effect = (
    Spawn
    | CancelSpawn
    | SendSignal
    | ArmTimer
    | CancelTimer
    | CallHook
    | Publish
    | Tell
    | Answer
    | Refuse
    | Forget
    | OpenStreams
    | CloseStreams
    | WatchSockets
    | Log
)
