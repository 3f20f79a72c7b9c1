"""How a process of a slot comes to its end: signals and the hooks around them, and what its death sets off.

Decides nothing about successors: when a slot is free its owner is told. Invariants: every process that ended is told
once as a record and once as the event `reap`, after every `kill` event of it; no hook can keep SIGKILL from being sent,
and none can keep a hastened slot waiting.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from circus.core import effects as do
from circus.core.exit_status import LOST, ExitStatus, classify
from circus.core.origin import Origin
from circus.core.process_fsm import ProcessEvent, ProcessState
from circus.core.roster import Asked, Roster
from circus.core.slots import Slot
from circus.spec.watcher import WatcherSpec

# SIGKILL is 9 wherever POSIX is; core may not ask the signal module.
SIGKILL = 9
REAP_SECONDS = 30.0
"""A process that SIGKILL does not end within this time (uninterruptible sleep) is given up as lost."""

# What `process_status` was in circus 0.19: a process found dead did not exist any more, one that we ended had none.
_UNEXISTING: Final = 2


@dataclass(slots=True, kw_only=True)
class Order:
    """A signal to a process, which hooks may hold up. `grace` runs from when it went out; None: nothing follows it."""

    wid: int
    generation: int
    pid: int
    signum: int
    by: str
    origin: Origin
    grace: float | None = None
    sent: bool = False


class Ending(Roster, ABC):
    """Stops, signals and ends."""

    def __init__(self, spec: WatcherSpec, *, random: Callable[[], float], signal_names: Mapping[int, str]) -> None:
        super().__init__(spec, random=random, signal_names=signal_names)
        self.orders: dict[int, Order] = {}
        """Signals whose hook has not answered, by its token."""

    @abstractmethod
    def drop(self, slot: Slot) -> None:
        """Give the slot up; it holds no process."""

    @abstractmethod
    def succeed(self, slot: Slot) -> None:
        """The slot of an ended process is free: fill it again, or give it up."""

    # -- stop -----------------------------------------------------------------------------------------------------

    def stop(self, slot: Slot, asked: str, by: str, origin: Origin, *, signum: int | None = None,
             grace: float | None = None, respawn_as: str | None = None) -> None:  # fmt: skip
        """End a slot's process, and the slot with it unless `respawn_as` names the cause of a successor."""
        if slot.state is None or slot.state is ProcessState.PENDING:
            self.drop(slot)
            return
        if slot.ending or slot.parting:
            if respawn_as is None:
                slot.respawn_as, slot.vacated = None, slot.parting
            return
        self._step(slot, ProcessEvent.STOP)
        slot.asked, slot.origin, slot.respawn_as, slot.stop_began = asked, origin, respawn_as, self.now
        self.disarm("max_age", slot.wid)
        grace = self.spec.graceful_timeout if grace is None else grace
        if grace <= 0:
            self.kill(slot, by, origin, escalated=False)
            return
        self._signal(slot, self.spec.stop_signal if signum is None else signum, by, origin, grace=grace)

    def kill(self, slot: Slot, by: str, origin: Origin, *, escalated: bool) -> None:
        """SIGKILL: the grace ran out, or there was none."""
        if slot.state is not ProcessState.STOPPING:
            return
        self._step(slot, ProcessEvent.GRACE_OVER)
        self.disarm("grace", slot.wid)
        self._forget_orders(slot)
        slot.escalated = escalated
        if escalated:
            self.tell("process.escalated", origin, slot, waited_seconds=self.now - slot.stop_began, left=[slot.pid])
        self._signal(slot, SIGKILL, by, origin, grace=REAP_SECONDS)

    def hasten(self, slot: Slot, origin: Origin) -> None:
        """Nothing that ends here is waited for any longer: neither the grace nor a hook."""
        if slot.parting:
            slot.hurried = True
            self._part(slot)
        elif slot.ending:
            slot.hurried = True
            self.kill(slot, "stop", origin, escalated=True)
            for order in self._forget_orders(slot):
                self._send(slot, order)

    def command(self, slot: Slot, signum: int, origin: Origin) -> None:
        """A signal that an operator wants sent, and nothing else."""
        self._signal(slot, signum, "command", origin)

    # -- signals --------------------------------------------------------------------------------------------------

    def _signal(self, slot: Slot, signum: int, by: str, origin: Origin, *, grace: float | None = None) -> None:
        assert slot.pid is not None
        order = Order(wid=slot.wid, generation=slot.generation, pid=slot.pid, signum=signum, by=by, origin=origin,
                      grace=grace)  # fmt: skip
        if "before_signal" in self.spec.hooks and not slot.hurried:
            self.orders[self.call_hook("before_signal", slot, origin, pid=slot.pid, signum=signum)] = order
        else:
            self._send(slot, order)

    def _send(self, slot: Slot, order: Order, *, vetoed: bool = False) -> None:
        order.sent = True
        ends = order.grace is not None
        if not vetoed:
            if not ends:
                slot.commanded.add(order.signum)
            kill = ends and order.signum == SIGKILL
            self.effects.append(do.SendSignal(slot.wid, order.pid, order.signum, order.by, kill))
            name = self.signal_names.get(order.signum, str(order.signum))
            self.tell("process.signalled", order.origin, slot, signal=name, by=order.by, scope="main", count=1)
        if order.grace is not None:
            self.arm("reap" if slot.state is ProcessState.KILLING else "grace", slot.wid, order.grace)
        if "after_signal" in self.spec.hooks:
            token = self.call_hook("after_signal", slot, order.origin, pid=order.pid, signum=order.signum)
            if ends and not slot.hurried:
                self.orders[token] = order
                return
        self._publish_kill(order)

    def _publish_kill(self, order: Order) -> None:
        if order.grace is not None:
            self.effects.append(do.Publish("kill", {"process_pid": order.pid}))

    def _of(self, slot: Slot, *, sent: bool) -> list[int]:
        mine = (slot.wid, slot.generation, sent)
        return [token for token, order in self.orders.items() if (order.wid, order.generation, order.sent) == mine]

    def _forget_orders(self, slot: Slot) -> list[Order]:
        """Take back what has not been sent."""
        return [self.orders.pop(token) for token in self._of(slot, sent=False)]

    def hook_answered(self, token: int, asked: Asked, slot: Slot | None, *, no: bool) -> None:
        """A hook about a signal or a death is done; `no` is an answer, a failure is none."""
        order = self.orders.pop(token, None)
        if asked.hook == "before_signal":
            if order is not None and slot is not None and slot.alive:
                self._send(slot, order, vetoed=no and order.signum != SIGKILL)
        elif asked.hook == "after_signal":
            if order is not None:
                self._publish_kill(order)
            if slot is not None and slot.parting:
                self._part(slot)
        elif slot is not None and slot.awaited == token:
            slot.awaited = None
            self._part(slot)

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
        for name in ("grace", "reap", "max_age"):
            self.disarm(name, slot.wid)
        self._forget_orders(slot)
        verdict = classify(status, asked=slot.asked, escalated=slot.escalated, commanded=slot.commanded)
        slot.lived = self.now - slot.spawned_at
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
                  expected=verdict.expected, lifetime_seconds=slot.lived,
                  stop_seconds=self.now - slot.stop_began if slot.asked else None,
                  cpu_user_seconds=status.cpu_user_seconds, cpu_system_seconds=status.cpu_system_seconds,
                  max_resident_bytes=status.max_resident_bytes, leftovers=None, tail=None, evidence=None,
                  **extra)  # fmt: skip
        slot.origin, slot.exit_code = follow, status.code
        slot.vacated = slot.asked is not None and slot.respawn_as is None
        slot.step = 0
        self._part(slot)

    def _part(self, slot: Slot) -> None:
        """Take the steps from a death to a free slot that can be taken now; a hook holds the next one up."""
        steps = (self._last_signals, self._before_reap, self._after_reap)
        while slot.awaited is None or slot.hurried:
            if slot.step == len(steps):
                slot.awaited = None
                self.succeed(slot)
                return
            if not steps[slot.step](slot):
                return
            slot.step += 1

    def _last_signals(self, slot: Slot) -> bool:
        outstanding = self._of(slot, sent=True)
        if outstanding and not slot.hurried:
            return False
        for token in outstanding:
            self._publish_kill(self.orders.pop(token))
        return True

    def _before_reap(self, slot: Slot) -> bool:
        if "before_reap" in self.spec.hooks:
            slot.awaited = self.call_hook("before_reap", slot, slot.origin, process_pid=slot.pid)
        return True

    def _after_reap(self, slot: Slot) -> bool:
        assert slot.pid is not None
        told = {"process_pid": slot.pid, "exit_code": slot.exit_code}
        self.effects.append(do.Publish("reap", told))
        self.effects.append(do.Forget(slot.wid, slot.pid))
        if "after_reap" in self.spec.hooks:
            status = None if slot.asked else _UNEXISTING
            slot.awaited = self.call_hook("after_reap", slot, slot.origin, **told, process_status=status)
        return True
