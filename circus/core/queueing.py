"""The commands of one watcher: they queue, a stop overtakes, and each begins when the one before it is done.

What follows while one goes on is concluded in the lifecycle. Invariant: every operation that is submitted is answered
or refused exactly once, and a change that was submitted is put in force, whatever overtakes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from circus.core import effects as do
from circus.core import stimuli as told
from circus.core.ending import NOTHING_KNOWN
from circus.core.origin import Origin
from circus.core.passage import Passage
from circus.core.reloading import Reloading
from circus.core.stimuli import Operation
from circus.core.watcher_fsm import Want, WatcherEvent, WatcherState
from circus.spec.fields import Effect
from circus.spec.watcher import WatcherSpec

_S, _E = WatcherState, WatcherEvent

_ENDING = frozenset({"stop", "restart", "reload", "resize"})
"""What has failed when somebody whom it was to end lives on."""


class Queueing(Passage):
    """Which command goes on, which wait, and how each kind begins."""

    def __init__(self, spec: WatcherSpec, *, random: Callable[[], float], signal_names: Mapping[int, str]) -> None:
        super().__init__(spec, random=random, signal_names=signal_names)
        self.queue: list[Operation] = []
        self.current: Operation | None = None
        self.reloading: Reloading | None = None

    @property
    def coming(self) -> told.Change | None:
        """The last of the changes that wait, None when there is none."""
        return next((op.change for op in reversed(self.queue) if op.change is not None), None)

    @property
    def coming_spec(self) -> WatcherSpec:
        """The options in force when everything that waits is done: what the next change builds upon."""
        return self.spec if self.coming is None else self.coming.spec

    @property
    def coming_target(self) -> int:
        """How many processes are wanted when everything that waits is done."""
        target = self.target
        for op in self.queue:
            asked = op.target if op.change is None else op.change.target
            target = max(0, target + op.delta if asked is None else asked)
        return target

    # -- commands -------------------------------------------------------------------------------------------------

    def _submitted(self, stimulus: told.Submitted) -> None:
        operation = stimulus.operation
        operation.submitted = self.crew.now
        if operation.kind == "stop":
            self._overtake("stop")
        if operation.kind == "resize" and self._phase == "before_start" and not self.queue:
            # Nothing has been started, and it is mostly the hook that wants it: as many are started.
            self._left_queue(operation)
            self._resize(operation)
            self.crew.effects.append(do.Answer(operation.id, self.target))
            return
        self.queue.append(operation)

    def _overtake(self, by: str) -> None:
        waiting = [op for op in self.queue if op.kind != "stop"]
        for op in waiting:
            if op.change is not None:
                self._put_in_force(op.change, op.origin)
        if self.current is not None and self.current.kind != "stop":
            waiting.insert(0, self.current)
            self.current = None
        # Whatever a start waited for answers to nobody now, also one that a connection began; the stop begins at once.
        if self.current is None and self._phase in ("before_start", "after_start"):
            self._phase = None
        for op in waiting:
            kept = "" if op.change is None else "; what it set is in force from the next start on"
            self._refuse(op, f"cancelled: {by} overtook {op.name or op.kind} of '{self.spec.name}'{kept}")
        self.queue = [op for op in self.queue if op.kind == "stop"]
        if self.state is _S.STOPPING:
            self.want = Want.DOWN

    def _refuse(self, op: Operation, reason: str) -> None:
        self._left_queue(op)
        self.crew.effects.append(do.Refuse(op.id, reason))

    def _answer(self, info: Any = None) -> None:
        op, left = self.current, ", ".join(self.crew.outlived)
        if op is not None and left and op.kind in _ENDING:
            self._fail(f"{op.name or op.kind} of '{self.spec.name}': SIGKILL did not end {left}")
        elif op is not None:
            self.crew.effects.append(do.Answer(op.id, info))
            self.current = None

    def _fail(self, why: str) -> None:
        assert self.current is not None
        self.crew.effects.append(do.Fail(self.current.id, why))
        self.current = None

    def _left_queue(self, op: Operation) -> None:
        if op.waited is None:
            op.waited = self.crew.now - op.submitted

    def _begin(self, op: Operation) -> None:
        self.current = op
        self._left_queue(op)
        self._origin = op.origin
        op.after_generation = self.crew.generation
        self.crew.outlived.clear()
        self._start_cause, self._replaces = op.start_cause, op.kind == "restart"
        getattr(self, f"_begin_{op.kind}")(op)

    def _begin_start(self, op: Operation) -> None:
        crew = self.crew
        if self.state in (_S.STOPPED, _S.WAITING):
            if self.spec.on_demand and not op.by_socket:
                if self.state is _S.STOPPED:
                    self._sleep()
                self._answer({"started": [], "kept": []})
                return
            self._come_up(_E.SOCKET_READY if self.state is _S.WAITING else _E.START)
            return
        op.kept.extend(slot.pid for slot in crew.slots.values() if slot.alive and not slot.ending and slot.pid)
        if self.state is _S.BACKOFF:
            self._to(_E.START)
            for slot in list(crew.slots.values()):
                slot.origin = op.origin
                crew.retry(slot)
        self._reconcile(op.start_cause, op.origin)

    def _begin_stop(self, op: Operation) -> None:
        if self.state is _S.STOPPED:
            self._put_away()
            self._answer()
        elif self.state is _S.WAITING:
            self._cease()
            self._answer()
        else:
            self._go_down(_E.STOP, Want.DOWN, op.origin)

    def _begin_restart(self, op: Operation) -> None:
        if self.state in (_S.STOPPED, _S.WAITING):
            self._begin_start(op)
        else:
            self._go_down(_E.RESTART, Want.UP, op.origin)

    def _begin_reload(self, op: Operation) -> None:
        if self.state is not _S.ACTIVE:
            op.from_stopped = self.state is _S.STOPPED
            self._begin_start(op)
            return
        self._to(_E.RELOAD)
        self.reloading = Reloading(self.crew, op)
        self.reloading.begin()

    def _begin_resize(self, op: Operation) -> None:
        self._resize(op)
        if self.state not in (_S.STOPPED, _S.WAITING):
            self._reconcile("scale", op.origin)

    def _resize(self, op: Operation) -> None:
        self.crew.target = max(0, self.target + op.delta if op.target is None else op.target)

    # -- changes ----------------------------------------------------------------------------------------------------

    def _begin_change(self, op: Operation) -> None:
        assert op.change is not None
        before = self.target
        self._put_in_force(op.change, op.origin)
        if self.state in (_S.STOPPED, _S.WAITING):
            if self.state is _S.WAITING and not self.crew.armed("wake", None):
                self.crew.effects.append(do.WatchSockets(True))  # perhaps others than until now
            op.did = Effect.NOTHING
            return
        # What it asks for was found when it was submitted; what went before it has perhaps changed the number.
        op.did = op.change.effect if self.target == before else max(op.change.effect, Effect.RESIZE)
        if op.did is Effect.RESIZE or self.target < before:
            self._reconcile("scale", op.origin)
        if op.did >= Effect.SIGNAL:
            self._begin_reload(op)

    def _assigned(self, stimulus: told.Assigned) -> None:
        self._put_in_force(stimulus.change, stimulus.origin)

    def _put_in_force(self, change: told.Change, origin: Origin) -> None:
        crew, before = self.crew, self.spec
        if change.target is not None:
            crew.target = max(0, change.target)
        # The number of processes has its own commands; what they did meanwhile stays.
        self.replace_spec(replace(change.spec, numprocesses=crew.target))
        crew.effects.append(do.Respecify(self.spec, change.made))
        if change.told:
            crew.tell("watcher.changed", origin, options=list(change.told), effect=change.effect.name.lower())
        crew.effects.extend(do.Publish("updated") for _ in change.keys)
        if (before.max_age, before.max_age_variance) != (self.spec.max_age, self.spec.max_age_variance):
            for slot in crew.slots.values():
                if slot.alive and not slot.ending:
                    crew.limit_age(slot)

    def _abandoned(self, stimulus: told.Abandoned) -> None:
        crew, origin = self.crew, stimulus.origin
        self._overtake("rm")
        self._abandon_reload("the watcher was removed")
        self._phase, self._opened, self._origin, self.want = None, False, origin, Want.DOWN
        for slot in list(crew.slots.values()):
            if slot.parting:
                slot.respawn_as, slot.vacated = None, True
                crew.hasten(slot, origin)
                continue
            if slot.alive and slot.pid is not None:
                crew.tell("process.lost", origin, slot, reason="lost", initiator="external", outcome="lost",
                          exit_code=None, signal=None, core=False, expected=False,
                          lifetime_seconds=crew.now - slot.spawned_at, stop_seconds=None, cpu_user_seconds=None,
                          cpu_system_seconds=None, max_resident_bytes=None, **NOTHING_KNOWN,
                          why="it was left to run without its watcher")  # fmt: skip
                crew.effects.append(do.Abandon(slot.wid, slot.pid))
            crew.drop(slot)
        if self.state is _S.WAITING:
            crew.effects.append(do.WatchSockets(False))
        if self.state not in (_S.STOPPED, _S.STOPPING):
            self._to(_E.STOP)
