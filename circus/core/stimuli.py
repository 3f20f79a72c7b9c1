"""What a watcher is told: commands, and facts in the past tense. Values only.

Every fact about a process carries its wid and, where a late one could be mistaken, the generation it is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from circus.core.exit_status import ExitStatus, Leftover
from circus.core.origin import Origin
from circus.spec.fields import Effect
from circus.spec.watcher import WatcherSpec

OperationKind = Literal["start", "stop", "restart", "reload", "resize", "change"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Other options for a watcher that lives. Everything in it was checked: nothing can fail when it is put in force.

    `effect` is what the options ask for of a running watcher; `target` the new number of processes, None when the
    options do not speak of it; `replacing` wants the processes replaced even where `send_hup` would do with a signal.
    `keys` are the options that somebody set, one event `updated` each; `told` what really differs, for the record.
    `stays` is what a failure is told with: that the options are in force nevertheless, and how to get the old ones back.
    `made` is what the driver made ready for it, not looked at here.
    """

    spec: WatcherSpec
    effect: Effect
    target: int | None = None
    replacing: bool = False
    keys: tuple[str, ...] = ()
    told: tuple[Mapping[str, Any], ...] = ()
    stays: str = ""
    made: object = None


class Operation(msgspec.Struct, kw_only=True):
    """A command for one watcher, to be answered once by its `id`.

    `name` is what the operator called it, for texts. `resize` carries `delta` or `target`; `reload` carries
    `sequential`; `change` carries a `change`, and in `did` what came of it; `start_cause` is what the spawns of a start
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
    change: Change | None = None
    did: Effect = Effect.NOTHING
    from_stopped: bool = False
    """A reload that found the watcher stopped, and so was a start."""
    submitted: float = 0.0
    waited: float | None = None
    """How long it stood in the queue, once it has left it."""
    after_generation: int = 0
    stopped: list[int] = msgspec.field(default_factory=list)
    started: list[int] = msgspec.field(default_factory=list)
    kept: list[int] = msgspec.field(default_factory=list)

    @property
    def resizes(self) -> bool:
        """Whether it is about how many processes there are, so that it is done when the surplus has gone."""
        return self.kind == "resize" or self.did is Effect.RESIZE


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
    """An operator wants a signal sent and nothing else; if the process dies of it, that was no crash. It is sent `at_once`
    when a hook wants it: hooks are called one after the other, and one that waits for the effect must not wait for itself.
    """

    origin: Origin
    wid: int
    signum: int
    at_once: bool = False


class Assigned(msgspec.Struct, frozen=True, gc=False):
    """A program that embeds us, or a hook, has set options: in force at once, and nothing that runs is touched."""

    origin: Origin
    change: Change


class Abandoned(msgspec.Struct, frozen=True, gc=False):
    """The watcher is to be forgotten as it is: its processes run on and are nobody's."""

    origin: Origin


class Signalled(msgspec.Struct, frozen=True, gc=False):
    """A signal has been sent to these processes; none when nothing was there any more."""

    order: int
    pids: tuple[int, ...]


class MemoryExceeded(msgspec.Struct, frozen=True, gc=False):
    """A process has used more than its memory_limit for too long; the text says what was measured."""

    wid: int
    generation: int
    found: str


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
    """The process ended and its status was collected.

    `leftovers` lived on, None where nobody can know; `evidence` proves that memory ran out; `tail` are its last lines by
    output, `sample` is how it was measured last.
    """

    wid: int
    generation: int
    status: ExitStatus
    leftovers: tuple[Leftover, ...] | None = None
    evidence: str | None = None
    tail: Mapping[str, list[str]] | None = None
    sample: Mapping[str, Any] | None = None


class Swept(msgspec.Struct, frozen=True, gc=False):
    """No more is left of what belonged to an ended process: nothing, or these."""

    wid: int
    generation: int
    left: tuple[Leftover, ...] = ()


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
    | Assigned
    | Abandoned
    | Signalled
    | MemoryExceeded
    | Hastened
    | Spawned
    | SpawnFailed
    | HookAnswered
    | Reaped
    | Swept
    | Vanished
    | TimerFired
    | SocketReady
)
