"""The slots of a watcher: bounded, reused places (wid) in which one process after another lives.

The wid is the identity that metrics use; the pid is data. Invariant: a wid is held by at most one slot, and a new slot
takes the smallest free one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from circus.core.exit_status import Leftover
from circus.core.origin import Origin
from circus.core.process_fsm import ALIVE, ENDING, PARTING, ProcessState

NO_SIGNALS: Final[frozenset[int]] = frozenset()
"""One for all: each call makes another, and with a thousand processes they are 0.2 MB."""


class Slot(msgspec.Struct, gc=False):
    """One slot. While `state` is None the slot holds no process and waits for its delay (backoff)."""

    wid: int
    state: ProcessState | None = None
    pid: int | None = None
    generation: int = 0
    start_cause: str = "boot"
    replaces: bool = False
    spawned_at: float = 0.0
    spawn_seconds: float = 0.0
    ready: bool = False
    origin: Origin | None = None
    """What the next record about this slot comes from."""
    spawned_by: Origin | None = None
    """Names the record of the spawn; a crash points back to it."""
    asked: str | None = None
    """Why we are ending the process: the reason of its exit record."""
    respawn_as: str | None = None
    """The cause of the start that follows an end we asked for; None drops the slot."""
    stop_began: float = 0.0
    escalated: bool = False
    commanded: frozenset[int] = NO_SIGNALS
    failures: int = 0
    spawn_failures: int = 0
    trouble: str = ""
    """Why the last of them failed."""
    backoff_seconds: float = 0.0
    backoff_until: float = 0.0
    old: bool = False
    """Marked for replacement by the reload that runs."""
    grace_ends: float | None = None
    lived: float = 0.0
    exit_code: int | None = None
    step: int = 0
    """How far an ended process is on the way to a free slot."""
    evidence: str | None = None
    """What was measured when its end was asked for."""
    scope: str = "main"
    killing: bool = False
    """SIGKILL has been sent."""
    left: tuple[Leftover, ...] = ()
    """What belonged to the ended process and has to end before its slot is free."""
    awaited: int | None = None
    """The token of the hook that holds the next step up."""
    vacated: bool = False
    """The process has ended and nobody follows it."""
    hurried: bool = False
    """Hooks are told and not waited for."""
    held: bool = False
    """Pending, but the warm-up delay has not let it go to the spawner yet."""

    @property
    def alive(self) -> bool:
        """A process exists."""
        return self.state in ALIVE

    @property
    def ending(self) -> bool:
        """Its end has been asked for."""
        return self.state in ENDING

    @property
    def parting(self) -> bool:
        """Its process has ended, and not everything that goes with that is done."""
        return self.state in PARTING

    @property
    def staying(self) -> bool:
        """It has, or will at once have, a process that shall stay."""
        return self.state is not None and self.state not in ENDING and not self.vacated

    @property
    def public_state(self) -> str:
        """The word of the metrics: starting, running, stopping or backoff."""
        return _PUBLIC[self.state]


_PUBLIC: dict[ProcessState | None, str] = {
    None: "backoff",
    ProcessState.PENDING: "starting",
    ProcessState.STARTING: "starting",
    ProcessState.RUNNING: "running",
    ProcessState.STOPPING: "stopping",
    ProcessState.KILLING: "stopping",
    ProcessState.EXITED: "stopping",
    ProcessState.LOST: "stopping",
}


class SlotTable(dict[int, Slot]):
    """wid -> Slot."""

    __slots__ = ("_floor",)

    def __init__(self) -> None:
        super().__init__()
        self._floor = 1

    def open(self) -> Slot:
        """A new slot in the smallest free wid."""
        wid = self._floor
        while wid in self:
            wid += 1
        # Everything below is taken now, so the search for the next one need not begin at 1.
        self._floor = wid + 1
        slot = self[wid] = Slot(wid)
        return slot

    def put(self, slot: Slot) -> None:
        """Take in a slot that has its wid already."""
        assert slot.wid not in self
        self[slot.wid] = slot

    def close(self, wid: int) -> None:
        """Give a wid back."""
        if self.pop(wid, None) is not None:
            self._floor = min(self._floor, wid)
