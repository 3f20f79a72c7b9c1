"""The processes of one watcher, slot by slot: start, stop, end, respawn.

Decides; performs nothing: every method appends effects. Knows no watcher states: the lifecycle above reads the counts
and draws its conclusions. Invariant: the counts agree with the slots, because `_move` is the only place that
assigns a slot's state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from circus.core import effects as do
from circus.core import retry
from circus.core.exit_status import LOST, ExitStatus, Verdict, classify
from circus.core.origin import Origin
from circus.core.process_fsm import ALIVE, ProcessEvent, ProcessState, step
from circus.core.slots import Slot, SlotTable
from circus.spec.watcher import WatcherSpec

# SIGKILL is 9 wherever POSIX is; core may not ask the signal module.
SIGKILL = 9
REAP_SECONDS = 30.0
"""A process that SIGKILL does not end within this time (uninterruptible sleep) is given up as lost."""


class Crew:
    """The slots, their timers and what happens in them."""

    def __init__(self, spec: WatcherSpec, *, random: Callable[[], float], signal_names: Mapping[int, str]) -> None:
        self.spec = spec
        self.slots = SlotTable()
        self.count: dict[ProcessState | None, int] = dict.fromkeys((None, *ProcessState), 0)
        self.now = 0.0
        self.effects: list[do.Effect] = []
        self.generation = 0
        self.respawning = False
        """Whether unexpected ends are followed by a new process; the lifecycle sets it."""
        self.target = spec.numprocesses
        self.last_exit: tuple[Slot, Verdict, ExitStatus] | None = None
        self.hook_tokens: dict[int, tuple[str, int, int]] = {}
        self.random = random
        self.signal_names = signal_names
        self._token = 0
        self._epochs: dict[tuple[str, int | None], int] = {}
        self._epoch = 0
        self._held: list[int] = []
        self._warming = False

    # -- counts ---------------------------------------------------------------------------------------------------

    @property
    def alive(self) -> int:
        """Processes that exist."""
        return sum(self.count[state] for state in ALIVE)

    @property
    def ending(self) -> int:
        """Processes whose end has been asked for."""
        return self.count[ProcessState.STOPPING] + self.count[ProcessState.KILLING]

    @property
    def unsettled(self) -> int:
        """Slots between the decision to start and readiness."""
        return self.count[ProcessState.PENDING] + self.count[ProcessState.STARTING]

    @property
    def running(self) -> int:
        """Processes that are ready and shall stay."""
        return self.count[ProcessState.RUNNING]

    @property
    def waiting(self) -> int:
        """Slots that wait for their delay."""
        return self.count[None]

    # -- small tools ----------------------------------------------------------------------------------------------

    def tell(
        self, record: str, origin: Origin, slot: Slot | None = None, opens: Origin | None = None, **data: Any
    ) -> None:
        """Ask for a lifecycle record."""
        wid, pid, generation = (slot.wid, slot.pid, slot.generation) if slot else (None, None, None)
        self.effects.append(do.Tell(record, origin, data, wid, pid, generation, opens))

    def arm(self, name: str, wid: int | None, delay: float) -> None:
        """Arm a timer; one of the same name and slot becomes stale."""
        self._epoch += 1
        self._epochs[name, wid] = self._epoch
        self.effects.append(do.ArmTimer(name, wid, self._epoch, delay))

    def disarm(self, name: str, wid: int | None) -> None:
        """Forget a timer."""
        if self._epochs.pop((name, wid), None) is not None:
            self.effects.append(do.CancelTimer(name, wid))

    def fresh(self, name: str, wid: int | None, epoch: int) -> bool:
        """Whether a fired timer is the one that was armed last; it is used up by this."""
        if self._epochs.get((name, wid)) != epoch:
            return False
        del self._epochs[name, wid]
        return True

    def call_hook(self, hook: str, slot: Slot | None = None, **kwargs: Any) -> int:
        """Ask for a hook; the token tells its answer from those of others."""
        self._token += 1
        if slot is not None:
            self.hook_tokens[self._token] = (hook, slot.wid, slot.generation)
        self.effects.append(do.CallHook(self._token, hook, kwargs))
        return self._token

    def find(self, wid: int, generation: int) -> Slot | None:
        """The slot, if it still holds that process."""
        slot = self.slots.get(wid)
        return slot if slot is not None and slot.generation == generation else None

    def _move(self, slot: Slot, state: ProcessState | None) -> None:
        self.count[slot.state] -= 1
        self.count[state] += 1
        slot.state = state

    def _step(self, slot: Slot, event: ProcessEvent) -> ProcessState:
        assert slot.state is not None
        state = step(slot.state, event, subject=f"{self.spec.name}:{slot.wid}")
        if state is not slot.state:
            self._move(slot, state)
        return state

    # -- start ----------------------------------------------------------------------------------------------------

    def open(self, cause: str, origin: Origin, *, replaces: bool = False) -> Slot:
        """A new slot with a process to come."""
        slot = self.slots.open()
        self.count[None] += 1
        self.launch(slot, cause, origin, replaces=replaces)
        return slot

    def launch(self, slot: Slot, cause: str, origin: Origin, *, replaces: bool) -> None:
        """A process to come in a slot that has none."""
        self.disarm("retry", slot.wid)
        self.generation += 1
        slot.generation = self.generation
        slot.start_cause, slot.origin, slot.replaces = cause, origin, replaces
        slot.pid, slot.asked, slot.respawn_as, slot.escalated, slot.ready, slot.old = (
            None,
            None,
            None,
            False,
            False,
            False,
        )
        slot.backoff_seconds = slot.backoff_until = 0.0
        slot.commanded.clear()
        self._move(slot, ProcessState.PENDING)
        # With a warm-up delay only one process at a time is let go; the timer releases the next.
        if self.spec.warmup_delay > 0 and (self._warming or self._held):
            slot.held = True
            self._held.append(slot.wid)
            return
        self._let_go(slot)

    def _let_go(self, slot: Slot) -> None:
        slot.held = False
        if self.spec.warmup_delay > 0:
            self._warming = True
            self.arm("warmup", None, self.spec.warmup_delay)
        if "before_spawn" in self.spec.hooks:
            self.call_hook("before_spawn", slot)
        else:
            self.effects.append(do.Spawn(slot.wid, slot.generation))

    def warmup_over(self) -> None:
        """The delay between two spawns has passed."""
        self._warming = False
        while self._held:
            slot = self.slots.get(self._held.pop(0))
            if slot is not None and slot.held:
                self._let_go(slot)
                return

    def spawned(self, slot: Slot, pid: int, seconds: float) -> None:
        """The process exists."""
        self._step(slot, ProcessEvent.SPAWNED)
        slot.pid, slot.spawned_at, slot.spawn_seconds, slot.spawn_failures = pid, self.now, seconds, 0
        origin = slot.origin
        assert origin is not None
        slot.spawned_by = Origin(kind="record", trace=origin.trace)
        self.tell("process.spawned", origin, slot, slot.spawned_by, cause=slot.start_cause,
                  replacement=slot.replaces, generation=slot.generation, spawn_seconds=seconds)  # fmt: skip
        if self.spec.max_age > 0:
            bonus = round(self.random() * self.spec.max_age_variance)
            self.arm("max_age", slot.wid, self.spec.max_age + bonus)
        if "after_spawn" in self.spec.hooks:
            self.call_hook("after_spawn", slot, pid=pid)
        else:
            self.came_up(slot)

    def came_up(self, slot: Slot) -> None:
        """Nothing more stands between the process and its work."""
        if self._step(slot, ProcessEvent.READY) is not ProcessState.RUNNING:
            return
        slot.ready = True
        self.effects.append(do.Publish("spawn", {"process_pid": slot.pid}))
        assert slot.spawned_by is not None
        since_fork = self.now - slot.spawned_at + slot.spawn_seconds
        self.tell("process.ready", slot.spawned_by, slot, seconds=since_fork)

    def spawn_failed(self, slot: Slot, stage: str, errno: int | None, message: str) -> None:
        """No process came; wait and try again, or stay (the lifecycle asks `spent`)."""
        self._step(slot, ProcessEvent.SPAWN_FAILED)
        slot.spawn_failures += 1
        slot.failures += 1
        origin = slot.origin
        assert origin is not None
        follow = Origin(kind="record", trace=origin.trace)
        self.tell("process.spawn_failed", origin, slot, follow, stage=stage, errno=errno, message=message,
                  attempt=slot.spawn_failures)  # fmt: skip
        slot.origin = follow
        self._again(slot, slot.start_cause, follow, replaces=slot.replaces)

    def spent(self, slot: Slot) -> bool:
        """Whether a slot has used up its attempts."""
        return slot.spawn_failures > 0 and retry.spent(slot.spawn_failures, self.spec.max_retry)

    def _again(self, slot: Slot, cause: str, origin: Origin, *, replaces: bool) -> None:
        spec = self.spec
        self._move(slot, None)
        wait = retry.delay(slot.failures, backoff=spec.backoff, backoff_max=spec.backoff_max,
                           jitter=spec.backoff_jitter, random=self.random())  # fmt: skip
        slot.start_cause, slot.origin, slot.replaces = cause, origin, replaces
        slot.backoff_seconds, slot.backoff_until = wait, self.now + wait
        if self.spent(slot) and not (self.alive or self.unsettled):
            return  # the lifecycle gives up now
        if wait > 0 or self.spent(slot):
            self.arm("retry", slot.wid, wait or spec.backoff_max)
        else:
            self.launch(slot, cause, origin, replaces=replaces)

    def retry(self, slot: Slot) -> None:
        """The delay of a slot is over."""
        if slot.state is None:
            assert slot.origin is not None
            self.launch(slot, slot.start_cause, slot.origin, replaces=slot.replaces)

    # -- stop -----------------------------------------------------------------------------------------------------

    def stop(self, slot: Slot, asked: str, by: str, origin: Origin, *, signum: int | None = None,
             grace: float | None = None, respawn_as: str | None = None) -> None:  # fmt: skip
        """End a slot's process, and the slot with it unless `respawn_as` names the cause of a successor."""
        if slot.state is None or slot.state is ProcessState.PENDING:
            self.drop(slot)
            return
        if slot.ending:
            if respawn_as is None:
                slot.respawn_as = None
            return
        assert slot.pid is not None
        self._step(slot, ProcessEvent.STOP)
        slot.asked, slot.origin, slot.respawn_as, slot.stop_began = asked, origin, respawn_as, self.now
        self.disarm("max_age", slot.wid)
        grace = self.spec.graceful_timeout if grace is None else grace
        if grace <= 0:
            self.kill(slot, by, origin, escalated=False)
            return
        signum = self.spec.stop_signal if signum is None else signum
        self._signal(slot, signum, by, origin, kill=signum == SIGKILL)
        self.arm("grace", slot.wid, grace)

    def kill(self, slot: Slot, by: str, origin: Origin, *, escalated: bool) -> None:
        """SIGKILL: the grace ran out, or there was none."""
        if slot.state is not ProcessState.STOPPING:
            return
        self._step(slot, ProcessEvent.GRACE_OVER)
        self.disarm("grace", slot.wid)
        slot.escalated = escalated
        if escalated:
            self.tell("process.escalated", origin, slot, waited_seconds=self.now - slot.stop_began, left=[slot.pid])
        self._signal(slot, SIGKILL, by, origin, kill=True)
        self.arm("reap", slot.wid, REAP_SECONDS)

    def _signal(self, slot: Slot, signum: int, by: str, origin: Origin, *, kill: bool) -> None:
        assert slot.pid is not None
        self.effects.append(do.SendSignal(slot.wid, slot.pid, signum, by, kill))
        self.effects.append(do.Publish("kill", {"process_pid": slot.pid}))
        self.tell("process.signalled", origin, slot, signal=self.signal_names.get(signum, str(signum)), by=by,
                  scope="main", count=1)  # fmt: skip

    def drop(self, slot: Slot) -> None:
        """Give the slot up; it holds no process."""
        if slot.state is ProcessState.PENDING:
            self._step(slot, ProcessEvent.STOP)
            self.effects.append(do.CancelSpawn(slot.wid, slot.generation))
        for name in ("retry", "grace", "reap", "max_age"):
            self.disarm(name, slot.wid)
        self.count[slot.state] -= 1
        self.slots.close(slot.wid)

    # -- end ------------------------------------------------------------------------------------------------------

    def reaped(self, slot: Slot, status: ExitStatus) -> None:
        """The process is gone and its status known."""
        self._step(slot, ProcessEvent.REAPED)
        self._ended(slot, status, "process.exited", {})

    def vanished(self, slot: Slot, why: str, event: ProcessEvent = ProcessEvent.VANISHED) -> None:
        """The process is gone, or beyond reach, and nobody knows how."""
        self._step(slot, event)
        self._ended(slot, LOST, "process.lost", {"why": why})

    def _ended(self, slot: Slot, status: ExitStatus, record: str, extra: dict[str, Any]) -> None:
        spec, pid = self.spec, slot.pid
        assert pid is not None
        for name in ("grace", "reap", "max_age"):
            self.disarm(name, slot.wid)
        verdict = classify(status, asked=slot.asked, escalated=slot.escalated, commanded=slot.commanded)
        lifetime = self.now - slot.spawned_at
        if slot.asked is not None:
            assert slot.origin is not None
            origin = slot.origin
            follow = Origin(kind="record", trace=origin.trace)
        else:
            # Its own end opens a new operation, so a new trace; the cause points back to the spawn.
            assert slot.spawned_by is not None
            origin = Origin(kind="record", seq=slot.spawned_by.seq)
            follow = Origin(kind="record")
        self.tell(record, origin, slot, follow, reason=verdict.reason, initiator=verdict.initiator,
                  outcome=verdict.outcome, exit_code=status.exit_code, signal=status.signal, core=status.core,
                  expected=verdict.expected, lifetime_seconds=lifetime,
                  stop_seconds=self.now - slot.stop_began if slot.asked else None,
                  cpu_user_seconds=status.cpu_user_seconds, cpu_system_seconds=status.cpu_system_seconds,
                  max_resident_bytes=status.max_resident_bytes, leftovers=None, tail=None, evidence=None,
                  **extra)  # fmt: skip
        self.effects.append(do.Publish("reap", {"process_pid": pid, "exit_code": status.code}))
        self.effects.append(do.Forget(slot.wid, pid))
        self.last_exit = (slot, verdict, status)
        if slot.asked is None:
            slot.origin = follow
        counted = len(self.slots) - self.ending
        if slot.respawn_as is not None and self.respawning and counted <= self.target:
            self._move(slot, None)
            self.launch(slot, slot.respawn_as, follow, replaces=True)
        elif slot.asked is not None or not self.respawning or slot.old or not spec.respawn or counted > self.target:
            self.drop(slot)
        else:
            slot.failures = 1 if lifetime >= spec.stable_after else slot.failures + 1
            self._again(slot, "crash", follow, replaces=True)
