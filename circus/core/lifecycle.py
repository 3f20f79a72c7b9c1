"""The whole decision about one watcher: stimulus in, effects out.

Takes facts in and draws the conclusions; the slots are the crew's, the way up and down the passage's, the commands the
queue's. No clock, no loop, no I/O: `handle` is told the monotonic time and returns what to do. Invariant: conclusions
are drawn from the counts until nothing moves any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from circus.core import effects as do
from circus.core import stimuli as told
from circus.core.origin import Origin
from circus.core.reloading import Reloading
from circus.core.resuming import Resuming
from circus.core.slots import Slot
from circus.core.stimuli import Operation, Stimulus
from circus.core.watcher_fsm import Want, WatcherEvent, WatcherState
from circus.spec.watcher import WatcherSpec

_S, _E = WatcherState, WatcherEvent

# So many failures to start with the same message are told each, then one in so many seconds.
_COMPLAINTS, _QUIET_SECONDS = 10, 60.0


class Lifecycle(Resuming):
    """One watcher's brain."""

    def __init__(self, spec: WatcherSpec, *, random: Callable[[], float], signal_names: Mapping[int, str]) -> None:
        super().__init__(spec, random=random, signal_names=signal_names)
        self._complaint, self._complained, self._complaints, self._unsaid = "", 0.0, 0, 0

    # -- the one entrance -----------------------------------------------------------------------------------------

    def handle(self, now: float, stimulus: Stimulus) -> list[do.Effect]:
        """Take a stimulus in at monotonic time `now`; what comes back is to be performed in order."""
        crew = self.crew
        crew.now, crew.effects = now, []
        self.remember(stimulus)
        self.DISPATCH[type(stimulus)](self, stimulus)
        self._settle()
        return crew.effects

    # -- what follows from where things stand -----------------------------------------------------------------------

    def _settle(self) -> None:
        """Draw every conclusion that the counts allow, then begin the next command, until nothing moves."""
        while True:
            before = (self.state, self._phase, self.current, len(self.queue))
            # A stop that waits begins before any conclusion: one from half a start would ask after_start once more.
            overtaken = self.current is None and self.queue and self.queue[0].kind == "stop"
            if self._phase is None and not overtaken:
                self.CONCLUSIONS[self.state](self)
            if self.current is None and self.queue and self._phase is None and self._may_begin(self.queue[0]):
                self._complaints = 0  # who asks anew is told anew
                self._begin(self.queue.pop(0))
            if (self.state, self._phase, self.current, len(self.queue)) == before:
                return

    def _may_begin(self, op: Operation) -> bool:
        # A stop begins in any state; everything else waits until the watcher is down or up.
        # A change also waits until the processes of a start are there: those must be replaced too.
        return op.kind == "stop" or not (
            self.state is _S.STOPPING or (op.kind == "change" and self.state is _S.STARTING)
        )

    def _conclude_starting(self) -> None:
        crew = self.crew
        if crew.owed:
            return
        if crew.running:
            if self.been_active or not self._ask("after_start"):
                self._active()
        elif crew.alive or crew.parting or crew.unsettled:
            return
        elif crew.waiting:
            self._wait_or_give_up()
        elif self._resized_to_none():
            self._active()  # nobody asks after_start about nothing
        else:
            self._emptied()

    def _resized_to_none(self) -> bool:
        """Whether it has no processes because that is wanted of a watcher that is up, as `decr` leaves it."""
        starts = self.current is not None and self.current.kind in ("start", "restart", "reload")
        return self.target == 0 and not starts

    def _conclude_backoff(self) -> None:
        if not self.crew.slots and not self._resized_to_none():
            self._go_down(_E.EMPTIED, Want.DOWN, self._origin)
        elif not self.crew.slots or self.crew.unsettled:
            self._to(_E.HOLD_OVER)
        elif self.current is not None:
            self._finish()

    def _conclude_active(self) -> None:
        crew = self.crew
        if crew.unsettled or crew.running:
            op, leaving = self.current, crew.ending or crew.parting
            if op is not None and not crew.owed and not (op.resizes and leaving):
                self._finish()
        elif crew.alive or crew.parting:
            return
        elif crew.waiting:
            self._wait_or_give_up()
        elif crew.target > 0:
            self._emptied()
        elif self.current is not None:
            self._finish()

    def _conclude_reloading(self) -> None:
        reloading = self.reloading
        assert reloading is not None
        if reloading.advance():
            self.reloading = None
            self._to(_E.RELOADED)
            reloading.finish()
            if not reloading.ok:
                self._reload_failed(reloading)
            elif reloading.operation.change is not None:
                self._reconcile("scale", reloading.operation.origin)

    def _reload_failed(self, reloading: Reloading) -> None:
        op = reloading.operation
        self._reconcile("reload", op.origin, replaces=True)
        if self.current is op:
            stays = "" if op.change is None else op.change.stays
            self._fail(f"reload of '{self.spec.name}' failed: {reloading.failure}{stays}")

    def _conclude_stopping(self) -> None:
        if not (self.crew.alive or self.crew.parting):
            self._drained()

    def _wait_or_give_up(self) -> None:
        spent = [slot for slot in self.crew.slots.values() if slot.state is None and self.crew.spent(slot)]
        if spent:
            attempts, origin = spent[0].spawn_failures, spent[0].origin or self._origin
            self.crew.effects.append(
                do.Log("error", f"'{self.spec.name}' gives up after {attempts} failed attempts to start a process")
            )
            hindrance = f"{spent[0].trouble} (it is given up after {attempts} attempts)"
            self._go_down(_E.BUDGET_SPENT, Want.DOWN, origin, fatal=True, hindrance=hindrance)
            return
        self._to(_E.RETRY)

    def _is_down(self) -> None:
        if self.current is not None:
            self._finish()

    def _outcome(self, op: Operation) -> dict[str, Any]:
        if op.change is not None:
            return {"effect": op.did.name.lower()}
        # What was started and has gone meanwhile, because a hook would not have it for one, is not told.
        alive = {slot.pid for slot in self.crew.slots.values() if slot.alive and not slot.ending}
        info = {"started": [pid for pid in op.started if pid in alive], "kept": op.kept}
        return info if op.kind == "start" else {"stopped": op.stopped, **info}

    def _finish(self) -> None:
        op = self.current
        assert op is not None
        if op.kind == "reload" and op.from_stopped and self.state is _S.ACTIVE:
            self.crew.effects.append(do.Publish("reload"))
        if op.kind == "stop":
            self._answer()
        else:
            self._answer(self.target if op.kind == "resize" else self._outcome(op))

    def _abandon_reload(self, reason: str) -> None:
        if self.reloading is not None:
            self.reloading.abandon(reason)
            self.reloading = None

    # -- facts ----------------------------------------------------------------------------------------------------

    def _spawned(self, stimulus: told.Spawned) -> None:
        slot = self.crew.find(stimulus.wid, stimulus.generation)
        if slot is None:
            return
        if self.current is not None and slot.generation > self.current.after_generation:
            self.current.started.append(stimulus.pid)
        self.crew.spawned(slot, stimulus.pid, stimulus.seconds)

    def _spawn_failed(self, stimulus: told.SpawnFailed) -> None:
        slot = self.crew.find(stimulus.wid, stimulus.generation)
        if slot is not None:
            wait = self.crew.spawn_failed(slot, stimulus.stage, stimulus.errno, stimulus.message)
            self._complain(slot, stimulus.message, wait)

    def _complain(self, slot: Slot, message: str, wait: float | None) -> None:
        """Log why no process came: a thousand slots that try every few seconds would else fill a disk."""
        again = message == self._complaint
        if again and self._complaints >= _COMPLAINTS and self.crew.now - self._complained < _QUIET_SECONDS:
            self._unsaid += 1
            return
        said = f"wid {slot.wid}, " if len(self.crew.slots) > 1 else ""
        said += f"attempt {slot.spawn_failures}"
        if wait is not None:
            said += f", the next in {round(wait, 2):g} s" if wait else ", the next at once"
        if again and self._unsaid:
            said += f"; {self._unsaid} more in between"
        self._complaints = self._complaints + 1 if again else 1
        self._complaint, self._complained, self._unsaid = message, self.crew.now, 0
        self.crew.effects.append(do.Log("warning", f"error in '{self.spec.name}': {message} ({said})"))

    def _reaped(self, stimulus: told.Reaped) -> None:
        slot = self.crew.find(stimulus.wid, stimulus.generation)
        if slot is None or not slot.alive or slot.pid is None:
            return
        op = self.current
        if op is not None and slot.asked is not None and slot.generation <= op.after_generation:
            op.stopped.append(slot.pid)
        self.crew.reaped(slot, stimulus)
        self._blame(slot)

    def _vanished(self, stimulus: told.Vanished) -> None:
        slot = self.crew.find(stimulus.wid, stimulus.generation)
        if slot is not None and slot.alive:
            self.crew.vanished(slot, stimulus.why)
            self._blame(slot)

    def _blame(self, slot: Slot) -> None:
        # What the watcher does next (backoff, stop) follows from this end, unless an operation is going on.
        if slot.asked is None and self.current is None and slot.origin is not None:
            self._origin = slot.origin

    def _socket_ready(self, _: told.SocketReady) -> None:
        if self.state is _S.WAITING and self.current is None:
            self._origin, self._start_cause, self._replaces = Origin(kind="signal", name="socket"), "scale", False
            self._come_up(_E.SOCKET_READY)

    def _kill_asked(self, stimulus: told.KillAsked) -> None:
        for slot in list(self.crew.slots.values()):
            if slot.alive and stimulus.pid in (None, slot.pid):
                self.crew.stop(slot, "stopped", "command", stimulus.origin, signum=stimulus.signum,
                               grace=stimulus.graceful_timeout,
                               respawn_as="manual" if self.spec.respawn else None)  # fmt: skip

    def _signal_asked(self, stimulus: told.SignalAsked) -> None:
        slot = self.crew.slots.get(stimulus.wid)
        if slot is not None and slot.alive:
            self.crew.command(slot, stimulus.signum, stimulus.origin, at_once=stimulus.at_once)

    def _memory_exceeded(self, stimulus: told.MemoryExceeded) -> None:
        crew = self.crew
        slot = crew.find(stimulus.wid, stimulus.generation)
        # One at a time: a watcher whose processes grow alike must not lose all of them together. The next look comes.
        calm = self.state is _S.ACTIVE and not (crew.ending or crew.parting or crew.unsettled)
        if slot is not None and slot.alive and calm:
            crew.effects.append(
                do.Log("warning", f"process {slot.pid} of '{self.spec.name}' is replaced: {stimulus.found}")
            )
            slot.evidence = stimulus.found
            origin = Origin(kind="timer", name="memory_limit")
            crew.stop(slot, "memory_limit", "limit", origin, respawn_as="memory_limit")

    def _hastened(self, stimulus: told.Hastened) -> None:
        self._hurried = self.state is _S.STOPPING
        if self._phase == "before_stop":
            self._phase = None
            self._end_all()
        for slot in list(self.crew.slots.values()):
            self.crew.hasten(slot, stimulus.origin)
        if self._phase == "after_stop":
            self._down()

    def _timer_fired(self, stimulus: told.TimerFired) -> None:
        crew, name = self.crew, stimulus.name
        if not crew.fresh(name, stimulus.wid, stimulus.epoch):
            return
        if name == "warmup":
            crew.warmup_over()
        elif name == "wake" and self.state is _S.WAITING:
            crew.effects.append(do.WatchSockets(True))
        slot = crew.slots.get(stimulus.wid or 0)
        if slot is None:
            return
        if name == "retry":
            crew.retry(slot)
        elif name == "grace":
            assert slot.origin is not None
            crew.kill(slot, "stop", slot.origin, escalated=True)
        elif name == "reap":
            crew.reap_over(slot)
        elif name == "max_age" and slot.alive and not slot.ending:
            crew.stop(slot, "max_age", "limit", Origin(kind="timer", name="max_age"), respawn_as="max_age")

    # -- what is called for what: one table for all watchers, for bound methods would be 2.5 kB in each ---------------------

    DISPATCH: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        told.Submitted: lambda self, stimulus: self._submitted(stimulus),
        told.KillAsked: _kill_asked,
        told.SignalAsked: _signal_asked,
        told.Assigned: lambda self, stimulus: self._assigned(stimulus),
        told.Abandoned: lambda self, stimulus: self._abandoned(stimulus),
        told.Signalled: lambda self, stimulus: self.crew.signalled(stimulus),
        told.MemoryExceeded: _memory_exceeded,
        told.Hastened: _hastened,
        told.Spawned: _spawned,
        told.SpawnFailed: _spawn_failed,
        told.HookAnswered: lambda self, stimulus: self._hook_answered(stimulus),
        told.Reaped: _reaped,
        told.Swept: lambda self, stimulus: self.crew.swept(stimulus),
        told.Vanished: _vanished,
        told.TimerFired: _timer_fired,
        told.SocketReady: _socket_ready,
    }
    CONCLUSIONS: ClassVar[Mapping[WatcherState, Callable[[Any], None]]] = {
        _S.STOPPED: _is_down,
        _S.WAITING: _is_down,
        _S.STARTING: _conclude_starting,
        _S.BACKOFF: _conclude_backoff,
        _S.ACTIVE: _conclude_active,
        _S.RELOADING: _conclude_reloading,
        _S.STOPPING: _conclude_stopping,
    }
