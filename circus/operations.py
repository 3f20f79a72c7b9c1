"""What is asked of one watcher: how it stands, and operations.

The driver below does the work. Invariant: operations queue and are answered once; nothing is refused because something
else runs.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from circus.adopting import Adopting
from circus.core import stimuli as told
from circus.core.origin import Origin
from circus.events.cause import WAITS, current_origin
from circus.exc import CircusError, HookError, Overtaken
from circus.process import Process
from circus.services import Services
from circus.spec.diff import watcher_changes
from circus.spec.fields import Effect
from circus.spec.kinds import MOST_PROCESSES
from circus.spec.typed import updated
from circus.spec.watcher import WatcherSpec
from circus.wire.changes import told_changes, told_to_stay
from circus.wire.logs import TailAnswer
from circus.wire.snapshot import WhyAnswer

if TYPE_CHECKING:
    from circus.ports import ProcessLike

logger = logging.getLogger("circus")

_operation_ids = itertools.count(1)

MOST_WAITING = 1000
"""So many operations may wait for one watcher: each costs some 4 KB, and who floods it reads no refusals either."""


class Operations(Adopting):
    """Reads, and operations that queue.

    Attributes:
        prereload_fn: called with the watcher before each reload.
    """

    prereload_fn: Callable[[Any], object] | None = None

    def __init__(self, spec: WatcherSpec) -> None:
        super().__init__(spec)
        self.stops = 0
        """How often it was told to stop."""
        self.retired: str | None = None
        """By what it is stopped to be forgotten; it does nothing else any more."""

    def attach(self, services: Services) -> None:
        """Work for an arbiter from now on; the errors are those of the driver."""
        super().attach(services)
        self.retired = None

    def __repr__(self) -> str:
        return f"<Watcher {self.name!r} {self.lifecycle.public_state}>"

    def __len__(self) -> int:
        return len(self._by_pid)

    # -- what others read -----------------------------------------------------------------------------------------

    @property
    def processes(self) -> Mapping[int, Process]:
        """The processes that exist, by pid."""
        self.settle()
        return self._by_pid

    @property
    def numprocesses(self) -> int:
        """How many processes are wanted."""
        return self.lifecycle.target

    @numprocesses.setter
    def numprocesses(self, target: int) -> None:
        if self.attached:
            self.set_numprocesses(target)
        else:
            self.assign(replace(self.spec, numprocesses=max(target, 0)))

    @property
    def singleton(self) -> bool:
        """Whether there is at most one process."""
        return self.spec.singleton

    @property
    def autostart(self) -> bool:
        """Whether it starts with the arbiter."""
        return self.spec.autostart

    @property
    def priority(self) -> int:
        """Higher starts earlier and stops later."""
        return self.spec.priority

    def status(self) -> str:
        """One of `stopped`, `starting`, `active`, `stopping`."""
        return self.lifecycle.status

    def is_stopped(self) -> bool:
        """Nothing of it runs."""
        return self.status() == "stopped"

    def is_active(self) -> bool:
        """It is up."""
        return self.status() == "active"

    def is_stopping(self) -> bool:
        """It is going down."""
        return self.status() == "stopping"

    def get_active_pids(self) -> list[int]:
        """The pids of the processes that exist, by slot."""
        self.settle()
        return [process.pid for _, process in sorted(self._by_wid.items())]

    # -- commands -------------------------------------------------------------------------------------------------

    def submit(self, kind: told.OperationKind, **details: Any) -> asyncio.Future[Any]:
        """Queue an operation; the future holds its info, or Overtaken when a stop or quit overtook it."""
        if not self.attached:
            raise CircusError(f"watcher {self.name!r} is in no arbiter that runs, so nobody could {kind} it")
        # A stop overtakes what waits, so it must get through; a flood of stops must not either take all memory.
        limit = 2 * MOST_WAITING if kind == "stop" else MOST_WAITING
        if len(self._operations) >= limit and not self._services.quitting():
            raise CircusError(f"{len(self._operations)} operations wait for '{self.name}' already; ask again later")
        future: asyncio.Future[Any] = self._services.loop.create_future()
        future.add_done_callback(_retrieved)
        if kind == "stop":
            self.stops += 1
        elif self.retired or self._services.quitting():
            by = "quit" if self._services.quitting() else self.retired
            future.set_exception(Overtaken(f"cancelled: {by} overtook {details.get('name') or kind} of '{self.name}'"))
            return future
        operation = told.Operation(id=next(_operation_ids), kind=kind, origin=current_origin(), **details)
        waits = WAITS.get()
        if waits is not None:
            # Before whoever awaits the future: callbacks run in the order in which they were added.
            future.add_done_callback(lambda _: waits.append(operation.waited or 0.0))
        self._operations[operation.id] = future
        self.tell(told.Submitted(operation))
        return future

    def start(self) -> Awaitable[dict[str, list[int]]]:
        """Start it, or what is missing of it; answers with the pids `started` and `kept`."""
        return self.submit("start", start_cause="boot" if current_origin().kind == "boot" else "manual")

    def stop(self) -> Awaitable[None]:
        """Stop it, overtaking everything else that was asked of it."""
        return self.submit("stop")

    def restart(self) -> Awaitable[dict[str, list[int]]]:
        """Stop, then start."""
        return self.submit("restart")

    def reload(self, graceful: bool = True, sequential: bool = False) -> Awaitable[dict[str, list[int]]]:
        """Replace the processes without a gap; `graceful=False` is a restart."""
        if self.prereload_fn is not None:
            self.prereload_fn(self)
        if not graceful:
            if sequential:
                logger.warning("'%s': sequential is ignored in a reload that is not graceful", self.name)
            return self.restart()
        return self.submit("reload", sequential=sequential, start_cause="reload")

    def incr(self, nb: int = 1) -> Awaitable[int]:
        """More processes; answers with the new target. A singleton stays as it is."""
        return self._resize("incr", 0 if self.singleton else nb)

    def decr(self, nb: int = 1) -> Awaitable[int]:
        """Fewer processes; answers with the new target."""
        return self._resize("decr", 0 if self.singleton else -nb)

    def _resize(self, name: str, delta: int) -> Awaitable[int]:
        if self.numprocesses + delta > MOST_PROCESSES:
            raise CircusError(f"'{self.name}' can have at most {MOST_PROCESSES} processes")
        return self.submit("resize", name=name, delta=delta)

    def set_numprocesses(self, np: int) -> Awaitable[int]:
        """This many processes; answers with the new target."""
        return self.submit("resize", name="set", target=np)

    def set(self, options: Mapping[str, object]) -> Awaitable[dict[str, str]]:
        """Change options, all of them or none; answers with the `effect` on what runs.

        Raises:
            CircusError: at once, when a value is wrong or cannot be had; nothing has changed then.
        """
        flat = dict(options)
        hooks = flat.pop("hooks", None)
        if isinstance(hooks, Mapping):  # each for itself, the others stay
            flat |= {f"hooks.{hook}": value for hook, value in hooks.items()}
        spec = updated(self.lifecycle.coming_spec, flat)
        anew = [key.removeprefix("hooks.") for key in flat if key.startswith("hooks.")]
        target = spec.numprocesses if "numprocesses" in options else None
        return self.change(spec, name="set", target=target, keys=tuple(options), anew=anew)

    def change(
        self,
        spec: WatcherSpec,
        *,
        name: str,
        target: int | None = None,
        keys: tuple[str, ...] = (),
        anew: Collection[str] = (),
        replacing: bool = False,
    ) -> Awaitable[dict[str, str]]:
        """Have another spec, of the same name, in force; answers with the `effect` on what runs.

        Args:
            spec: which.
            name: what the operator called it.
            target: how many processes there shall be; None for as many as now.
            keys: the options that somebody set, one event each.
            anew: hooks whose modules are imported again.
            replacing: replace the processes even if they would rather be signalled.

        Raises:
            CircusError: at once, when it cannot be had; nothing has changed then.
        """
        coming = self.lifecycle.coming_target
        number = coming if target is None else target
        if spec.singleton and number > 1:
            raise CircusError("Singleton watcher has a single process")
        if not spec.cmd.strip():
            raise CircusError(f"watcher {self.name!r} has nothing to run: cmd is empty")
        before = replace(self.lifecycle.coming_spec, numprocesses=coming)
        made = self.prepare(spec, anew)
        options = watcher_changes(before, replace(spec, numprocesses=number))
        effect = max((option.effect for option in options), default=Effect.NOTHING)
        if replacing or before.stdin_data != spec.stdin_data:
            effect = max(effect, Effect.RELOAD)
        stays = told_to_stay(self.name, options) if keys else ""
        change = told.Change(spec=spec, effect=effect, target=target, replacing=replacing, keys=keys,
                             told=told_changes(options), stays=stays, made=made)  # fmt: skip
        return self.submit("change", name=name, change=change, start_cause="reload")

    def assign(self, spec: WatcherSpec, keys: tuple[str, ...] = ()) -> None:
        """Have another spec in force at once, for what comes; nothing that runs is touched, nor how much of it.

        Changes that wait come later, and are of the spec that they were made from.

        Raises:
            CircusError: it cannot be had; nothing has changed then.
        """
        if not self.attached:
            self.spec = spec
            self.lifecycle.replace_spec(spec)
            self.lifecycle.crew.target = spec.numprocesses
            return
        made = self.prepare(spec)
        options = told_changes(watcher_changes(self.spec, replace(spec, numprocesses=self.spec.numprocesses)))
        change = told.Change(spec=spec, effect=Effect.NOTHING, keys=keys, told=options, made=made)
        self.tell(told.Assigned(current_origin(), change))

    def abandon(self) -> None:
        """Leave its processes to themselves; it is to be forgotten. What they still print goes where it went."""
        self.tell(told.Abandoned(current_origin()))

    async def kill(
        self, pid: int | None = None, signum: int | None = None, graceful_timeout: float | None = None
    ) -> None:
        """End (all) processes by a signal, then SIGKILL; they are replaced. CircusError when not even that ended one."""
        doomed = [process.pid for process in self._by_pid.values() if pid in (None, process.pid)]
        if any(len(self._waiters.get(each, ())) >= MOST_WAITING for each in doomed):
            raise CircusError(f"{MOST_WAITING} wait for the end of processes of '{self.name}' already; ask again later")
        self.tell(told.KillAsked(current_origin(), pid, signum, graceful_timeout))
        gone = [self._services.loop.create_future() for _ in doomed]
        for each, future in zip(doomed, gone, strict=True):
            self._waiters.setdefault(each, []).append(future)
        if gone:
            await asyncio.wait(gone)
        if left := [str(each) for future in gone for each in future.result()]:
            raise CircusError(f"kill of '{self.name}': SIGKILL did not end {', '.join(left)}")

    def send_signal(self, pid: int, signum: int) -> None:
        """Signal one process without asking for its end; nothing happens when it is not ours or gone."""
        if (process := self._by_pid.get(pid)) is None:
            logger.debug("'%s' has no process %s", self.name, pid)
            return
        self.tell(told.SignalAsked(current_origin(), process.wid, signum, self._hooks.asking))

    def memory_exceeded(self, process: ProcessLike, used: int) -> None:
        """A process has used more than its memory_limit for too long."""
        found = f"{self.spec.memory_limit_of} was {used} bytes, above its memory_limit of {self.spec.memory_limit}"
        self.tell(told.MemoryExceeded(process.wid, process.generation, found))

    def why(self, wid: int | None = None) -> WhyAnswer:
        """Why it is in its state, and how its last process ended (of one slot, or of all)."""
        from circus.events.story import why  # asked for when something went wrong

        return why(self._services.bus, self.name, self.lifecycle.public_state, wid)

    def tail(
        self,
        wid: int | None,
        stream: str | None,
        count: int | None = None,
        life: str | None = None,
        after: Mapping[tuple[int, str], int] | None = None,
    ) -> TailAnswer:
        """The last lines of its processes; MessageError when they are not captured."""
        return self._launcher.outputs.last(wid, stream, count, life, after)

    def reopen_streams(self) -> None:
        """Take up the files of its streams anew, after somebody moved them away."""
        if self.attached and not self.is_stopped():
            self._launcher.open_streams()

    def hasten(self, origin: Origin) -> None:
        """No more grace for what is being stopped."""
        self.tell(told.Hastened(origin))

    def close(self) -> None:
        """Let go of timers, threads and streams; for a watcher that is stopped."""
        if not self.attached:
            return
        self.attached = False
        self._timers.clear()
        self._hooks.close()
        for answer in self._asked.copy():
            answer.set_exception(HookError(f"'{self.name}' is gone"))
        for pid in self._by_pid:
            self._services.reach.forget(pid)
        self._close_streams()
        self._services.watch_sockets(self, False)
        self._services.sampler.remove_watcher(self.name)
        self._services.ledger.leave(self.name)
        self._services.bus.generations.keep(self.name, self.lifecycle.crew.generation)


def _retrieved(future: asyncio.Future[Any]) -> None:
    # Nobody has to wait for an operation; its failure is in the records, so asyncio need not complain.
    if not future.cancelled():
        future.exception()
