"""How a process of a slot comes to its end: signals and the hooks around them, and what its death sets off.

Decides nothing about successors: when a slot is free its owner is told. Invariants: every process that ended is told
once as a record and once as the event `reap`, after every `kill` event of it; no hook can keep SIGKILL from being sent,
and none can keep a hastened slot waiting.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from circus.core import effects as do
from circus.core import stimuli as told
from circus.core.exit_status import LOST, ExitStatus, classify
from circus.core.origin import Origin
from circus.core.process_fsm import ProcessEvent, ProcessState
from circus.core.roster import Asked, Roster
from circus.core.slots import Slot
from circus.spec.watcher import WatcherSpec

# The same numbers wherever POSIX is; core may not ask the signal module.
SIGHUP, SIGKILL = 1, 9
REAP_SECONDS = 30.0
"""A process that SIGKILL does not end within this time (uninterruptible sleep) is given up as lost."""

# What `process_status` was in circus 0.19: a process found dead did not exist any more, one that we ended had none.
_UNEXISTING: Final = 2


NOTHING_KNOWN: Final = {"leftovers": None, "tail": None, "sample": None, "evidence": None}
"""The keys of an end about which nothing could be found out."""


class Order(msgspec.Struct, kw_only=True):
    """A signal to a process, which hooks may hold up. `grace` runs from when it went out; None: nothing follows it."""

    wid: int
    generation: int
    pid: int
    signum: int
    by: str
    origin: Origin
    scope: str = "main"
    grace: float | None = None
    escalates: bool = False
    sent: bool = False
    reached: tuple[int, ...] = ()


class Ending(Roster, ABC):
    """Stops, signals and ends."""

    def __init__(self, spec: WatcherSpec, *, random: Callable[[], float], signal_names: Mapping[int, str]) -> None:
        super().__init__(spec, random=random, signal_names=signal_names)
        self.orders: dict[int, Order] = {}
        """Signals whose hook has not answered, by its token."""
        self.sent: dict[int, Order] = {}
        """Signals of which nobody has told yet whom they reached."""
        self.order = 0
        self.outlived: list[str] = []  # SIGKILL, since somebody emptied this

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
        slot.grace_ends = None
        self.disarm("max_age", slot.wid)
        grace = self.spec.graceful_timeout if grace is None else grace
        if grace <= 0:
            self.kill(slot, by, origin, escalated=False)
            return
        self._signal(slot, self.spec.stop_signal if signum is None else signum, by, origin, grace=grace)

    def kill(self, slot: Slot, by: str, origin: Origin, *, escalated: bool) -> None:
        """SIGKILL: the grace ran out, or there was none."""
        if slot.left and not slot.killing:
            self._kill_rest(slot, origin)
        if slot.state is not ProcessState.STOPPING:
            return
        self._step(slot, ProcessEvent.GRACE_OVER)
        self.disarm("grace", slot.wid)
        self._forget_orders(slot)
        slot.escalated, slot.killing = escalated, True
        self._signal(slot, SIGKILL, by, origin, grace=REAP_SECONDS, escalates=escalated)

    def hasten(self, slot: Slot, origin: Origin) -> None:
        """Nothing that ends here is waited for any longer: neither the grace nor a hook."""
        if slot.parting:
            slot.hurried = True
            self.kill(slot, "stop", origin, escalated=True)
            self._part(slot)
        elif slot.ending:
            slot.hurried = True
            self.kill(slot, "stop", origin, escalated=True)
            for order in self._forget_orders(slot):
                self._send(slot, order)

    def command(self, slot: Slot, signum: int, origin: Origin, *, at_once: bool = False) -> None:
        """A signal that an operator wants sent, and nothing else; `at_once` no hook is asked first."""
        self._signal(slot, signum, "command", origin, at_once=at_once)

    def hang_up(self, slot: Slot, origin: Origin) -> None:
        """SIGHUP, for a reload: to the process alone, and no hook is asked."""
        assert slot.pid is not None
        order = Order(wid=slot.wid, generation=slot.generation, pid=slot.pid, signum=SIGHUP, by="reload", origin=origin)
        self._send(slot, order)

    # -- signals --------------------------------------------------------------------------------------------------

    def _signal(self, slot: Slot, signum: int, by: str, origin: Origin, *, grace: float | None = None,
                escalates: bool = False, at_once: bool = False) -> None:  # fmt: skip
        assert slot.pid is not None
        if not slot.parting:
            slot.scope = self.spec.scope
        order = Order(wid=slot.wid, generation=slot.generation, pid=slot.pid, signum=signum, by=by, origin=origin,
                      scope="main" if grace is None else slot.scope, grace=grace, escalates=escalates)  # fmt: skip
        if "before_signal" in self.spec.hooks and not (slot.hurried or slot.parting or at_once):
            self.orders[self.call_hook("before_signal", slot, origin, pid=slot.pid, signum=signum)] = order
        else:
            self._send(slot, order)

    def _send(self, slot: Slot, order: Order, *, vetoed: bool = False) -> None:
        order.sent = True
        if not vetoed:
            if order.by == "command" and order.grace is None:
                slot.commanded |= {order.signum}
            self.order += 1
            self.sent[self.order] = order
            self.effects.append(do.SendSignal(self.order, slot.wid, order.pid, order.signum, order.scope))
        if order.grace is not None:
            slot.grace_ends = self.now + order.grace
            self.arm("reap" if slot.killing else "grace", slot.wid, order.grace)
        if vetoed:
            self._after_signal(slot, order)

    def signalled(self, stimulus: told.Signalled) -> None:
        """A signal has reached these processes."""
        order, pids = self.sent.pop(stimulus.order), stimulus.pids
        slot = self.find(order.wid, order.generation)
        if slot is None:
            return
        if pids and order.escalates:
            waited = self.now - slot.stop_began
            self.tell("process.escalated", order.origin, slot, waited_seconds=waited, left=list(pids))
        if pids:
            name = self.signal_names.get(order.signum, str(order.signum))
            self.tell("process.signalled", order.origin, slot, signal=name, by=order.by, scope=order.scope,
                      count=len(pids))  # fmt: skip
        order.reached = pids
        self._after_signal(slot, order)

    def _after_signal(self, slot: Slot, order: Order) -> None:
        hooked = not slot.parting and (order.grace is not None or order.by == "command")
        if "after_signal" in self.spec.hooks and hooked:
            token = self.call_hook("after_signal", slot, order.origin, pid=order.pid, signum=order.signum)
            if order.grace is not None and not slot.hurried:
                self.orders[token] = order
                return
        self._publish_kill(slot, order)

    def _publish_kill(self, slot: Slot | None, order: Order) -> None:
        """One event for each process that was meant: for the main one in any case, as long as it lives."""
        if order.grace is None:
            return
        tried = () if order.pid in order.reached or (slot is not None and slot.parting) else (order.pid,)
        for pid in (*tried, *order.reached):
            self.effects.append(do.Publish("kill", {"process_pid": pid}))

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
                self._publish_kill(slot, order)
            if slot is not None and slot.parting:
                self._part(slot)
        elif slot is not None and slot.awaited == token:
            slot.awaited = None
            self._part(slot)

    # -- end ------------------------------------------------------------------------------------------------------

    def reaped(self, slot: Slot, found: told.Reaped) -> None:
        """The process is gone and its status known."""
        leftovers = found.leftovers
        self._step(slot, ProcessEvent.REAPED)
        if slot.asked is None:
            slot.scope = self.spec.scope
        if slot.scope != "main" and leftovers is not None:
            # They end too before the slot is free, so nothing is left over.
            slot.left, leftovers = leftovers, ()
        evidence = slot.evidence or found.evidence
        extra = {"leftovers": leftovers, "tail": found.tail, "sample": found.sample, "evidence": evidence}
        self._ended(slot, found.status, "process.exited", extra)

    def vanished(self, slot: Slot, why: str, event: ProcessEvent = ProcessEvent.VANISHED) -> None:
        """The process is gone, or beyond reach, and nobody knows how."""
        self._step(slot, event)
        self._ended(slot, LOST, "process.lost", NOTHING_KNOWN | {"why": why})

    def reap_over(self, slot: Slot) -> None:
        """SIGKILL did not end it, or what belonged to it, in a long time."""
        left = [f"{each.pid} ({each.name})" for each in slot.left] if slot.parting else [f"{slot.pid}"]
        self.outlived += left
        self.effects.append(do.Log("error", f"'{self.spec.name}': SIGKILL did not end {', '.join(left)}"))
        if not slot.parting:
            self.vanished(slot, "SIGKILL did not end it", ProcessEvent.REAP_OVER)
        self._no_rest(slot, [each.pid for each in slot.left])

    def _ended(self, slot: Slot, status: ExitStatus, record: str, extra: dict[str, Any]) -> None:
        for name in ("grace", "reap", "max_age"):
            self.disarm(name, slot.wid)
        self._forget_orders(slot)
        verdict = classify(status, asked=slot.asked, escalated=slot.escalated, commanded=slot.commanded,
                           evidence=extra["evidence"])  # fmt: skip
        if not verdict.expected and self.failure is None:
            self.failure = status.as_shell
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
                  max_resident_bytes=status.max_resident_bytes, **extra)  # fmt: skip
        slot.origin, slot.exit_code = follow, status.code
        slot.vacated = slot.asked is not None and slot.respawn_as is None
        slot.step = 0
        self._part(slot)

    def _part(self, slot: Slot) -> None:
        """Take the steps from a death to a free slot that can be taken now; a hook holds the next one up."""
        steps = (self._last_signals, self._end_rest, self._rest_ended, self._before_reap, self._after_reap)
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
            self._publish_kill(slot, self.orders.pop(token))
        return True

    def _end_rest(self, slot: Slot) -> bool:
        """What belonged to the process keeps the rest of the grace; a whole one, and the signal, if there was none yet."""
        if not slot.left:
            return True
        assert slot.pid is not None
        assert slot.origin is not None
        self.effects.append(do.AwaitTree(slot.wid, slot.generation, slot.pid, slot.scope))
        grace = self.spec.graceful_timeout
        if slot.asked is None:
            slot.stop_began, slot.grace_ends = self.now, None
        if slot.killing or (slot.grace_ends is None and grace <= 0):
            self._kill_rest(slot, slot.origin, escalates=False)
        elif slot.grace_ends is None:
            self._signal(slot, self.spec.stop_signal, "stop", slot.origin, grace=grace)
        else:
            self.arm("grace", slot.wid, max(0.0, slot.grace_ends - self.now))
        return True

    def _kill_rest(self, slot: Slot, origin: Origin, *, escalates: bool = True) -> None:
        slot.killing = True
        self.disarm("grace", slot.wid)
        self._signal(slot, SIGKILL, "stop", origin, grace=REAP_SECONDS, escalates=escalates)

    def swept(self, stimulus: told.Swept) -> None:
        """No more is left of what belonged to an ended process."""
        slot = self.find(stimulus.wid, stimulus.generation)
        if slot is not None and slot.left and stimulus.left:
            slot.left = stimulus.left
        elif slot is not None:
            self._no_rest(slot, [])

    def _no_rest(self, slot: Slot, left: list[int]) -> None:
        if slot.left:
            assert slot.origin is not None
            self.tell("process.drained", slot.origin, slot, seconds=self.now - slot.spawned_at - slot.lived, left=left)
            slot.left = ()
            self.disarm("grace", slot.wid)
            self.disarm("reap", slot.wid)
            self._part(slot)

    def _rest_ended(self, slot: Slot) -> bool:
        return not slot.left

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
