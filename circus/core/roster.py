"""The slots of one watcher in numbers, and the small tools that everything done to them uses: records, timers, hooks.

Decides nothing. Invariant: the counts agree with the slots, because `_move` is the only place that assigns a slot's
state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from circus.core import effects as do
from circus.core.origin import Origin
from circus.core.process_fsm import ALIVE, ProcessEvent, ProcessState, step
from circus.core.retry import IMMEDIATE
from circus.core.slots import Slot, SlotTable
from circus.spec.watcher import WatcherSpec


class Asked(msgspec.Struct, frozen=True):
    """A hook that was asked about a process: its answer must still find that one, and its record this origin."""

    hook: str
    wid: int
    generation: int
    origin: Origin


class Roster:
    """Slots, counts, timers, tokens."""

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
        self.failure: int | None = None
        """The exit status of the first process since the start of the watcher that failed, as a shell would tell it."""
        self.start_failure = 1
        """The same of the last attempt to start one that failed."""
        self.hook_tokens: dict[int, Asked] = {}
        self.random = random
        self.signal_names = signal_names
        self.stumbled = False
        """Whether a slot has ever failed so often that its restarts are not immediate any more."""
        self.token = 0
        """Of the hook that was called last."""
        self.timers: dict[tuple[str, int | None], tuple[int, float]] = {}
        """The timers that run, by name and slot: their epoch, and when they are due."""
        self.epoch = 0

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
    def owed(self) -> bool:
        """Whether a slot is on its way up that is waited for; who keeps dying has had his turn, with a delay or without."""
        return bool(self.unsettled) and (not self.stumbled or any(map(_owed, self.slots.values())))

    @property
    def running(self) -> int:
        """Processes that are ready and shall stay."""
        return self.count[ProcessState.RUNNING]

    @property
    def parting(self) -> int:
        """Processes that have ended and whose slots wait for hooks, or for the rest of their tree."""
        return self.count[ProcessState.EXITED] + self.count[ProcessState.LOST]

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
        self.epoch += 1
        self.timers[name, wid] = self.epoch, self.now + delay
        self.effects.append(do.ArmTimer(name, wid, self.epoch, delay))

    def disarm(self, name: str, wid: int | None) -> None:
        """Forget a timer."""
        if self.timers.pop((name, wid), None) is not None:
            self.effects.append(do.CancelTimer(name, wid))

    def armed(self, name: str, wid: int | None) -> bool:
        """Whether such a timer is to come."""
        return (name, wid) in self.timers

    def fresh(self, name: str, wid: int | None, epoch: int) -> bool:
        """Whether a fired timer is the one that was armed last; it is used up by this."""
        armed = self.timers.get((name, wid))
        if armed is None or armed[0] != epoch:
            return False
        del self.timers[name, wid]
        return True

    def call_hook(self, hook: str, slot: Slot | None = None, origin: Origin | None = None, **kwargs: Any) -> int:
        """Ask for a hook; the token tells its answer from those of others. One about a slot's process needs an origin."""
        self.token += 1
        if slot is not None:
            assert origin is not None
            self.hook_tokens[self.token] = Asked(hook, slot.wid, slot.generation, origin)
        self.effects.append(do.CallHook(self.token, hook, kwargs))
        return self.token

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


def _owed(slot: Slot) -> bool:
    return slot.state in (ProcessState.PENDING, ProcessState.STARTING) and slot.failures <= IMMEDIATE
