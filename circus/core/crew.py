"""The processes of one watcher, slot by slot: how they start, and what follows their ends.

Decides; performs nothing: every method appends effects. Knows no watcher states: the lifecycle above reads the counts
and draws its conclusions. Invariant: a process has been let go by the warm-up delay and by `before_spawn` before it is
spawned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from circus.core import effects as do
from circus.core import retry
from circus.core.ending import Ending
from circus.core.exit_status import start_failure
from circus.core.origin import Origin
from circus.core.process_fsm import ProcessEvent, ProcessState
from circus.core.slots import NO_SIGNALS, Slot
from circus.spec.watcher import WatcherSpec


class Crew(Ending):
    """The slots, their timers and what happens in them."""

    def __init__(self, spec: WatcherSpec, *, random: Callable[[], float], signal_names: Mapping[int, str]) -> None:
        super().__init__(spec, random=random, signal_names=signal_names)
        self.held: list[int] = []
        """Pending slots that the warm-up delay holds, in the order in which they are let go."""
        self.warming = False
        """Whether the warm-up delay since the last spawn still runs."""
        self.idle_failures = 0
        """How many failures in a row the watcher went to sleep with (on_demand)."""

    # -- start ----------------------------------------------------------------------------------------------------

    def open(self, cause: str, origin: Origin, *, replaces: bool = False) -> Slot:
        """A new slot with a process to come."""
        slot = self.slots.open()
        self.count[None] += 1
        slot.failures, self.idle_failures = self.idle_failures, 0
        self.launch(slot, cause, origin, replaces=replaces)
        return slot

    def launch(self, slot: Slot, cause: str, origin: Origin, *, replaces: bool) -> None:
        """A process to come in a slot that has none."""
        self.disarm("retry", slot.wid)
        self.generation += 1
        slot.generation = self.generation
        slot.start_cause, slot.origin, slot.replaces = cause, origin, replaces
        slot.pid = slot.asked = slot.respawn_as = slot.awaited = slot.evidence = None
        slot.escalated = slot.ready = slot.old = slot.vacated = slot.hurried = slot.killing = False
        slot.left = ()
        slot.backoff_seconds = slot.backoff_until = 0.0
        slot.commanded = NO_SIGNALS
        self._move(slot, ProcessState.PENDING)
        # With a warm-up delay only one process at a time is let go; the timer releases the next. A reload does not wait:
        # the old processes are there, or, one after the other, it has waited before it stopped one.
        if self.spec.warmup_delay > 0 and cause != "reload" and (self.warming or self.held):
            slot.held = True
            self.held.append(slot.wid)
            return
        self._let_go(slot)

    def _let_go(self, slot: Slot) -> None:
        slot.held = False
        if self.spec.warmup_delay > 0:
            self.warming = True
            self.arm("warmup", None, self.spec.warmup_delay)
        if "before_spawn" in self.spec.hooks:
            self.call_hook("before_spawn", slot, slot.origin)
        else:
            self.effects.append(do.Spawn(slot.wid, slot.generation))

    def warmup_over(self) -> None:
        """The delay between two spawns has passed."""
        self.warming = False
        while self.held:
            slot = self.slots.get(self.held.pop(0))
            if slot is not None and slot.held:
                self._let_go(slot)
                if self.spec.warmup_delay > 0:
                    return

    def spawned(self, slot: Slot, pid: int, seconds: float) -> None:
        """The process exists."""
        self._step(slot, ProcessEvent.SPAWNED)
        # From a death until somebody is there again, its delay and failed attempts included.
        died = slot.spawned_at + slot.lived if slot.replaces and slot.start_cause == "crash" else None
        slot.pid, slot.spawned_at, slot.spawn_seconds, slot.spawn_failures = pid, self.now, seconds, 0
        origin = slot.origin
        assert origin is not None
        slot.spawned_by = Origin(kind="record", trace=origin.trace)
        self.tell("process.spawned", origin, slot, slot.spawned_by, cause=slot.start_cause,
                  replacement=slot.replaces, generation=slot.generation, spawn_seconds=seconds,
                  respawn_seconds=None if died is None else self.now - died)  # fmt: skip
        self.limit_age(slot)
        if "after_spawn" in self.spec.hooks:
            self.call_hook("after_spawn", slot, slot.spawned_by, pid=pid)
        else:
            self.came_up(slot)

    def limit_age(self, slot: Slot) -> None:
        """Let the process be replaced at its `max_age`, counted from its spawn; the bonus is drawn here."""
        self.disarm("max_age", slot.wid)
        if self.spec.max_age > 0:
            bonus = round(self.random() * self.spec.max_age_variance)
            self.arm("max_age", slot.wid, max(slot.spawned_at + self.spec.max_age + bonus - self.now, 0.0))

    def came_up(self, slot: Slot) -> None:
        """Nothing more stands between the process and its work."""
        if self._step(slot, ProcessEvent.READY) is not ProcessState.RUNNING:
            return
        slot.ready = True
        self.effects.append(do.Publish("spawn", {"process_pid": slot.pid}))
        assert slot.spawned_by is not None
        since_fork = self.now - slot.spawned_at + slot.spawn_seconds
        self.tell("process.ready", slot.spawned_by, slot, seconds=since_fork)

    def spawn_failed(self, slot: Slot, stage: str, errno: int | None, message: str) -> float | None:
        """No process came; wait and try again, or stay (the lifecycle asks `spent`).

        Returns:
            The seconds until it is tried again; None where that is not known, or is not done.
        """
        self._step(slot, ProcessEvent.SPAWN_FAILED)
        slot.spawn_failures, slot.trouble = slot.spawn_failures + 1, message
        self.start_failure = start_failure(errno)
        slot.failures += 1
        origin = slot.origin
        assert origin is not None
        follow = Origin(kind="record", trace=origin.trace)
        self.tell("process.spawn_failed", origin, slot, follow, stage=stage, errno=errno, message=message,
                  attempt=slot.spawn_failures)  # fmt: skip
        slot.origin = follow
        return self._again(slot, slot.start_cause, follow, replaces=slot.replaces)

    def spent(self, slot: Slot) -> bool:
        """Whether a slot has used up its attempts."""
        return slot.spawn_failures > 0 and retry.spent(slot.spawn_failures, self.spec.max_retry)

    def _again(self, slot: Slot, cause: str, origin: Origin, *, replaces: bool) -> float | None:
        spec = self.spec
        self._move(slot, None)
        wait = self.pause(slot.failures)
        if slot.failures > retry.IMMEDIATE:
            self.stumbled = True
            wait = max(wait, retry.LEAST) if slot.spawn_failures else wait
        slot.start_cause, slot.origin, slot.replaces = cause, origin, replaces
        slot.backoff_seconds, slot.backoff_until = wait, self.now + wait
        if self.spent(slot) and not (self.alive or self.unsettled or self.parting):
            return None  # the lifecycle gives up now
        if wait > 0 or self.spent(slot):
            self.arm("retry", slot.wid, wait or spec.backoff_max)
            return None if self.spent(slot) else wait  # of a spent one only if another slot gets a process
        self.launch(slot, cause, origin, replaces=replaces)
        return None if slot.held else 0.0

    def pause(self, failures: int) -> float:
        """Seconds to wait after that many failures in a row."""
        spec = self.spec
        return retry.delay(failures, backoff=spec.backoff, backoff_max=spec.backoff_max, jitter=spec.backoff_jitter,
                           random=self.random())  # fmt: skip

    def retry(self, slot: Slot) -> None:
        """The delay of a slot is over."""
        if slot.state is None:
            assert slot.origin is not None
            self.launch(slot, slot.start_cause, slot.origin, replaces=slot.replaces)

    def take_over(self, slot: Slot) -> None:
        """Have a slot that was somebody else's, with what lives in it."""
        self.slots.put(slot)
        self.count[slot.state] += 1
        if slot.state is ProcessState.PENDING and not slot.held:
            self.effects.append(do.Spawn(slot.wid, slot.generation))
        elif slot.left:
            assert slot.pid is not None
            self.effects.append(do.AwaitTree(slot.wid, slot.generation, slot.pid, slot.scope))

    # -- what follows an end --------------------------------------------------------------------------------------

    def drop(self, slot: Slot) -> None:
        """Give the slot up; it holds no process."""
        if slot.state is ProcessState.PENDING:
            self._step(slot, ProcessEvent.STOP)
            self.effects.append(do.CancelSpawn(slot.wid, slot.generation))
        for name in ("retry", "grace", "reap", "max_age"):
            self.disarm(name, slot.wid)
        self.count[slot.state] -= 1
        self.slots.close(slot.wid)

    def _sleeps_without(self, slot: Slot) -> bool:
        """On demand, nobody stays beside this slot: the next connection brings the next process."""
        others = (each for each in self.slots.values() if each is not slot)
        return self.spec.on_demand and all(each.ending or each.parting for each in others)

    def succeed(self, slot: Slot) -> None:
        """The slot of an ended process is free: fill it again, or give it up."""
        others = sum(other.vacated for other in self.slots.values() if other is not slot) if self.parting > 1 else 0
        surplus = len(self.slots) - self.ending - others > self.target
        origin = slot.origin
        assert origin is not None
        if slot.vacated or surplus or not self.respawning:
            self.drop(slot)
        elif slot.respawn_as is not None and slot.respawn_as != "reload" and self._sleeps_without(slot):
            self.idle_failures = 0
            self.drop(slot)
        elif slot.respawn_as is not None:
            self._move(slot, None)
            self.launch(slot, slot.respawn_as, origin, replaces=True)
        elif slot.old or not self.spec.respawn:
            self.drop(slot)
        else:
            slot.failures = 1 if slot.lived >= self.spec.stable_after else slot.failures + 1
            if self.spec.on_demand and len(self.slots) == 1:
                # The next connection brings the next process.
                self.idle_failures = slot.failures
                self.drop(slot)
            else:
                self._again(slot, "crash", origin, replaces=True)
