"""What a watcher wants done: values in the imperative, performed in order by the driver.

An effect that has an outcome (a spawn, a signal, a hook, a timer) comes back as a stimulus. Structs and not dataclasses,
because every respawn makes a dozen of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from circus.core.origin import Origin
from circus.spec.watcher import WatcherSpec


class Spawn(msgspec.Struct, frozen=True, gc=False):
    """Start a process in the slot; Spawned or SpawnFailed follows."""

    wid: int
    generation: int


class CancelSpawn(msgspec.Struct, frozen=True, gc=False):
    """Take back a Spawn that has not been performed."""

    wid: int
    generation: int


class SendSignal(msgspec.Struct, frozen=True, gc=False):
    """Signal the process of a slot and what belongs to it by `scope`; Signalled with the order follows."""

    order: int
    wid: int
    pid: int
    signum: int
    scope: str = "main"


class AwaitTree(msgspec.Struct, frozen=True, gc=False):
    """Tell when nothing is left of what belonged to an ended process, with Swept."""

    wid: int
    generation: int
    pid: int
    scope: str


class ArmTimer(msgspec.Struct, frozen=True, gc=False):
    """TimerFired after `delay` seconds; replaces a timer of the same name and slot."""

    name: str
    wid: int | None
    epoch: int
    delay: float


class CancelTimer(msgspec.Struct, frozen=True, gc=False):
    """The timer is not needed any more."""

    name: str
    wid: int | None


class CallHook(msgspec.Struct, frozen=True, gc=False):
    """Run a hook; HookAnswered with the token follows. Without `answer` nobody waits for it."""

    token: int
    hook: str
    kwargs: Mapping[str, Any] = {}


class Publish(msgspec.Struct, frozen=True, gc=False):
    """An event of circus 0.19: `watcher.<name>.<action>`."""

    action: str
    payload: Mapping[str, Any] = {}


class Tell(msgspec.Struct, frozen=True, gc=False):
    """Make a lifecycle record. When `opens` is given, that token becomes "this record" for what follows."""

    record: str
    origin: Origin
    data: Mapping[str, Any]
    wid: int | None = None
    pid: int | None = None
    generation: int | None = None
    opens: Origin | None = None


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The operation is done."""

    operation: int
    info: Any = None


class Refuse(msgspec.Struct, frozen=True, gc=False):
    """The operation was cancelled; the text says by what."""

    operation: int
    reason: str


class Fail(msgspec.Struct, frozen=True, gc=False):
    """The operation was carried out and did not succeed; the text says why and what is left."""

    operation: int
    reason: str


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The watcher has failed, and everything shall end with that exit status."""

    status: int
    origin: Origin


class Forget(msgspec.Struct, frozen=True, gc=False):
    """The process of the slot is gone: close its pipes and drop it."""

    wid: int
    pid: int


class Abandon(msgspec.Struct, frozen=True, gc=False):
    """The process of the slot runs on without us; only its output and, in the end, its status are taken."""

    wid: int
    pid: int


class Respecify(msgspec.Struct, frozen=True, gc=False):
    """Do with the new options whatever is done from here on; `made` is what was made ready for them."""

    spec: WatcherSpec
    made: Any


class OpenStreams(msgspec.Struct, frozen=True, gc=False):
    """Output will come; where it does already, files that somebody moved away are taken up anew."""


class CloseStreams(msgspec.Struct, frozen=True, gc=False):
    """No process of the watcher is left."""


class WatchSockets(msgspec.Struct, frozen=True, gc=False):
    """Tell when a connection waits (on_demand), or stop telling."""

    on: bool


class Log(msgspec.Struct, frozen=True, gc=False):
    """A line for the log of the daemon; level is a name of the logging module."""

    level: str
    text: str


Effect = (
    Spawn
    | CancelSpawn
    | SendSignal
    | AwaitTree
    | ArmTimer
    | CancelTimer
    | CallHook
    | Publish
    | Tell
    | Answer
    | Refuse
    | Fail
    | Failed
    | Forget
    | Abandon
    | Respecify
    | OpenStreams
    | CloseStreams
    | WatchSockets
    | Log
)
