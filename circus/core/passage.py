"""How a watcher comes up and goes down: its state, what is wanted, and the hooks on the way.

The lifecycle below it adds the queue of commands and the facts about processes. Invariant: `_to` is the only place that
assigns the state, and it tells.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Final

from circus.core import effects as do
from circus.core import stimuli as told
from circus.core.crew import Crew
from circus.core.origin import Origin
from circus.core.reconcile import plan
from circus.core.slots import Slot
from circus.core.watcher_fsm import Want, WatcherEvent, WatcherState, step, wire_status
from circus.spec.watcher import WatcherSpec

STORY: Final = 16
"""How many stimuli an IllegalTransition tells."""

_S, _E = WatcherState, WatcherEvent

LIVELY = frozenset({_S.STARTING, _S.BACKOFF, _S.ACTIVE, _S.RELOADING})


class Passage(ABC):
    """A watcher's state and the two ways between down and up.

    Args:
        spec: what to run; `replace_spec` changes it live.
        random: numbers in [0, 1) for jitter and the bonus of max_age.
        signal_names: number -> name on this system.
    """

    def __init__(self, spec: WatcherSpec, *, random: Callable[[], float], signal_names: Mapping[int, str]) -> None:
        self.spec = spec
        self.crew = Crew(spec, random=random, signal_names=signal_names)
        self.state = _S.STOPPED
        self.want = Want.DOWN
        self.fatal = False
        self.been_active = False
        self.story: list[object] = []
        self._origin = Origin(kind="boot")
        self._start_cause = "boot"
        self._replaces = False
        self._phase: str | None = None
        """The hook whose answer the watcher waits for."""
        self._awaited = 0
        self._hurried = False
        """Whether the stop that goes on waits for no hook any more."""
        self._hindrance = ""
        """Why the last way up led down again by itself."""
        self._opened = False
        """Whether there is something to close again: streams, and the hooks around a stop."""

    @abstractmethod
    def _is_down(self) -> None:
        """The watcher has come to rest."""

    @abstractmethod
    def _abandon_reload(self, reason: str) -> None:
        """Forget a reload that runs."""

    def remember(self, stimulus: object) -> None:
        """Keep it for the story of an illegal transition; not in a deque, which would take 0.7 kB of each watcher."""
        self.story.append(stimulus)
        if len(self.story) > STORY:
            del self.story[0]

    # -- what others read -----------------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """One of circus 0.19's four words."""
        return wire_status(self.state, been_active=self.been_active)

    @property
    def public_state(self) -> str:
        """The full state, `fatal` for a watcher that gave up."""
        return "fatal" if self.fatal and self.state is _S.STOPPED else self.state.value

    @property
    def target(self) -> int:
        """How many processes are wanted."""
        return self.crew.target

    @property
    def shortfall(self) -> str | None:
        """Why less of it runs than should, as far as that lies in what it was to start; None when nothing is amiss."""
        tried = [slot for slot in self.crew.slots.values() if slot.state is None and slot.spawn_failures]
        if self.state in LIVELY and tried:
            missing = "" if len(tried) == self.target else f"{len(tried)} of {self.target} processes: "
            return f"{missing}{tried[0].trouble} (it is tried again)"
        if self.state is _S.BACKOFF:
            return "its processes end as soon as they are started (it is tried again)"
        return self._hindrance or None

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing is left to do."""
        return self.state in (_S.STOPPED, _S.WAITING) and self._phase is None

    def replace_spec(self, spec: WatcherSpec) -> None:
        """Use other options from here on; the target is changed by a resize only."""
        self.spec = self.crew.spec = spec

    def _to(self, event: WatcherEvent) -> None:
        before = self.public_state
        self.state = step(self.state, event, subject=self.spec.name, story=self.story)
        self.crew.respawning = self.state in LIVELY
        self._tell_state(before)

    def _put_away(self) -> None:
        """What was given up is stopped by command: somebody knows of it, and it is not down against his will."""
        before, self.fatal = self.public_state, False
        self._tell_state(before)

    def _tell_state(self, before: str) -> None:
        if self.public_state != before:
            waits = (
                [slot for slot in self.crew.slots.values() if slot.state is None] if self.state is _S.BACKOFF else []
            )
            data = {
                "from": before,
                "to": self.public_state,
                "want": self.want.value,
                "desired": self.target,
                "backoff_seconds": max((slot.backoff_seconds for slot in waits), default=0.0),
                "consecutive_failures": max((slot.failures for slot in waits), default=0),
            }
            self.crew.effects.append(do.Tell("watcher.state", self._origin, data))

    # -- on demand ------------------------------------------------------------------------------------------------

    def _emptied(self) -> None:
        """The last process is gone and none follows by itself."""
        if self.spec.on_demand and self.target > 0:
            self._sleep()
        else:
            self._go_down(_E.EMPTIED, Want.DOWN, self._origin)

    def _sleep(self) -> None:
        """Wait for a connection; not at once when what the last ones started kept dying."""
        self.want = Want.UP
        self._to(_E.ARM)
        wait = self.crew.pause(self.crew.idle_failures)
        if wait > 0:
            self.crew.arm("wake", None, wait)
        else:
            self.crew.effects.append(do.WatchSockets(True))

    def _cease(self) -> None:
        """Wait for no connection any more."""
        self.want = Want.DOWN
        self.crew.disarm("wake", None)
        self.crew.effects.append(do.WatchSockets(False))
        self._to(_E.STOP)
        if self._opened:
            self._opened = False
            self.crew.effects.append(do.CloseStreams())

    # -- up -------------------------------------------------------------------------------------------------------

    def _come_up(self, event: WatcherEvent) -> None:
        self.want, self.fatal, self.been_active, self._hindrance = Want.UP, False, False, ""
        self.crew.failure = None
        if event is _E.SOCKET_READY:
            self.crew.effects.append(do.WatchSockets(False))
        self._to(event)
        if not self._ask("before_start"):
            self._bring_up()

    def _bring_up(self) -> None:
        self._opened = True
        self.crew.effects.append(do.OpenStreams())
        self._reconcile(self._start_cause, self._origin, replaces=self._replaces)

    def _reconcile(self, cause: str, origin: Origin, *, replaces: bool = False) -> None:
        crew = self.crew
        todo = plan(crew.slots.values(), crew.target)
        for wid in todo.surplus:
            crew.stop(crew.slots[wid], "stopped", "command", origin)
        if self.spec.respawn or not self.been_active or cause != "scale":
            for _ in range(todo.missing):
                crew.open(cause, origin, replaces=replaces)

    def _active(self) -> None:
        self._to(_E.TARGET_MET)
        if not self.been_active:
            self.been_active = True
            self.crew.effects.append(do.Publish("start"))
            self.crew.effects.append(do.Log("info", f"{self.spec.name} started"))

    def _ask(self, hook: str) -> bool:
        if hook not in self.spec.hooks:
            return False
        self._phase, self._awaited = hook, self.crew.call_hook(hook)
        return True

    # -- down -----------------------------------------------------------------------------------------------------

    def _go_down(
        self, event: WatcherEvent, want: Want, origin: Origin, *, fatal: bool = False, hindrance: str = ""
    ) -> None:
        if self.state is _S.STOPPING:
            self.want = want
            return
        self._hindrance = hindrance
        self._abandon_reload("the watcher was stopped")
        self.want, self._origin, self.fatal, self._hurried = want, origin, fatal, False
        self._to(event)
        self._phase = None
        failure = self.crew.start_failure if fatal else self.crew.failure if event is _E.EMPTIED else None
        if failure is not None and self.spec.on_failure == "exit":
            self.crew.effects.append(do.Failed(failure, origin))
        crew = self.crew
        for slot in list(crew.slots.values()):
            if not (slot.alive or slot.parting):
                crew.drop(slot)
        if not (self._opened and self._ask("before_stop")):
            self._end_all()

    def _end_all(self) -> None:
        for slot in list(self.crew.slots.values()):
            self.crew.stop(slot, "stopped", "stop", self._origin)

    def _drained(self) -> None:
        effects = self.crew.effects
        if not self._opened:
            self._down()
            return
        self._opened = False
        effects.append(do.CloseStreams())
        effects.append(do.Publish("stop"))
        if self.want is Want.DOWN:
            self._to(_E.DRAINED_DOWN)
        effects.append(do.Log("info", f"{self.spec.name} stopped"))
        if not self._ask("after_stop") or self._hurried:
            self._down()

    def _down(self) -> None:
        self._phase = None
        if self.want is Want.UP and self.state is _S.STOPPING:
            if self.spec.on_demand:
                self._to(_E.DRAINED_DOWN)
                self._sleep()
            else:
                self._come_up(_E.DRAINED_UP)
                return
        if self.state is _S.STOPPING:
            self._to(_E.DRAINED_DOWN)
        self._is_down()

    def _hook_answered(self, stimulus: told.HookAnswered) -> None:
        crew = self.crew
        asked = crew.hook_tokens.pop(stimulus.token, None)
        slot = crew.find(asked.wid, asked.generation) if asked is not None else None
        no = not stimulus.ok and stimulus.error is None
        origin = asked.origin if asked is not None else self._origin
        answer = Origin(kind="record", trace=origin.trace)
        crew.tell("hook.finished", origin, slot, answer, hook=stimulus.hook,
                  ok=stimulus.ok, veto=no, seconds=stimulus.seconds, error=stimulus.error)  # fmt: skip
        if asked is None:
            if self._phase is not None and stimulus.token == self._awaited:
                phase, self._phase = self._phase, None
                self._watcher_hook_answered(phase, stimulus, answer)
        elif asked.hook in ("before_spawn", "after_spawn"):
            if slot is not None:
                self._spawn_hook_answered(slot, stimulus, answer)
        else:
            crew.hook_answered(stimulus.token, asked, slot, no=no)

    def _spawn_hook_answered(self, slot: Slot, stimulus: told.HookAnswered, answer: Origin) -> None:
        crew = self.crew
        if stimulus.hook == "before_spawn" and slot.pid is None:
            if stimulus.ok:
                crew.effects.append(do.Spawn(slot.wid, slot.generation))
                return
            crew.tell("process.spawn_failed", answer, slot, stage="hook", errno=None,
                      message=stimulus.error or "before_spawn said no", attempt=1)  # fmt: skip
            self._refused(stimulus, answer)
        elif stimulus.hook == "after_spawn" and slot.alive and not slot.ending:
            if stimulus.ok:
                crew.came_up(slot)
                return
            self._refused(stimulus, answer)

    def _watcher_hook_answered(self, phase: str, stimulus: told.HookAnswered, answer: Origin) -> None:
        if phase == "before_stop":
            self._end_all()
        elif phase == "after_stop":
            self._down()
        elif not stimulus.ok:
            self._refused(stimulus, answer)
        elif phase == "before_start":
            self._bring_up()
        else:
            self._active()

    def _refused(self, stimulus: told.HookAnswered, answer: Origin) -> None:
        """A hook does not let the watcher run. What it raised is in the log already."""
        hindrance = f"its hook {stimulus.hook} failed: {stimulus.error}"
        if stimulus.error is None:
            hindrance = f"its hook {stimulus.hook} said no (it did not return True)"
            self.crew.effects.append(do.Log("warning", f"'{self.spec.name}' is stopped: {hindrance}"))
        self._go_down(_E.VETOED, Want.DOWN, answer, hindrance=hindrance)
