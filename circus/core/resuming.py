"""A watcher's machine written down, and built again from what was written: for a daemon that takes over from another.

Two daemons read this page. One that was upgraded is the same process and loses nothing: what `record` wrote goes into
`resume`. One that adopts what a dead daemon left (state file, processes that are not its children) has a record that may
be old: it leaves out the slots whose processes it cannot prove, makes the others with `adopted`, sets the state that
fits what is left (`active` while something runs), resumes, and then submits a start, which fills what is missing and
keeps the rest. Of an adopted process nobody gets an exit status: its end is told as `Vanished`, never as `Reaped`.

Knows no pipe and no descriptor. Invariant: a machine that has nothing in progress and is resumed from its record does
what it would have done without; timers run for the rest of their time.
"""

from __future__ import annotations

from typing import Final

import msgspec

from circus.core import effects as do
from circus.core.origin import Origin
from circus.core.passage import LIVELY
from circus.core.process_fsm import ProcessState
from circus.core.queueing import Queueing
from circus.core.slots import Slot
from circus.core.watcher_fsm import Want, WatcherState

FORMAT: Final = 1
"""Of what is written here; raised when an older reader would misunderstand it, not for an added field with a default."""


class TimerRecord(msgspec.Struct, frozen=True):
    """A timer that runs: when it is over, on the clock of `MachineRecord`."""

    name: str
    wid: int | None
    due: float


class MachineRecord(msgspec.Struct, kw_only=True):
    """One watcher's machine with nothing in progress.

    Moments are monotonic seconds of this boot of the system, which all its processes share; they mean nothing after
    another boot. `origin` is what the state comes from. `held` are pending slots that the warm-up delay holds, in the
    order in which they are let go. `failure` and `start_failure` are exit statuses as a shell tells them.
    """

    format: int = FORMAT
    state: WatcherState
    want: Want
    target: int
    generation: int
    fatal: bool = False
    been_active: bool = False
    opened: bool = False
    hurried: bool = False
    origin: Origin
    start_cause: str = "boot"
    replaces: bool = False
    slots: list[Slot] = []
    timers: list[TimerRecord] = []
    held: list[int] = []
    warming: bool = False
    idle_failures: int = 0
    stumbled: bool = False
    failure: int | None = None
    start_failure: int = 1
    epoch: int = 0
    token: int = 0
    order: int = 0


def adopted(wid: int, pid: int, generation: int, *, spawned_at: float, origin: Origin, failures: int = 0) -> Slot:
    """The slot of a process that somebody else has started and that is to run on under us.

    Args:
        wid: the slot it had.
        pid: the process, proven by its start time.
        generation: which process of the watcher it is.
        spawned_at: when it was started, in monotonic seconds.
        origin: what it comes from; the record of its adoption, so that its end can be walked back to that.
        failures: in a row, of its slot.
    """
    return Slot(wid, ProcessState.RUNNING, pid, generation, "boot", spawned_at=spawned_at, ready=True, origin=origin,
                spawned_by=origin, failures=failures)  # fmt: skip


class Resuming(Queueing):
    """Writes the machine down and reads it again."""

    @property
    def busy(self) -> str | None:
        """What goes on that cannot be written down, in words that follow the watcher's name; None when nothing does."""
        crew = self.crew
        op = self.current or (self.queue[0] if self.queue else None)
        if op is not None:
            return f"{op.name or op.kind} is in progress"
        if self._phase is not None:
            return f"hook {self._phase} has not answered"
        asked = [each.hook for each in crew.hook_tokens.values()]
        if asked:
            return f"hook {asked[0]} has not answered"
        if self.reloading is not None:
            return "reload is in progress"
        return None

    def record(self) -> MachineRecord:
        """The machine as it stands, without what it is `busy` with. The slots in it are the machine's own."""
        crew = self.crew
        return MachineRecord(
            state=self.state,
            want=self.want,
            fatal=self.fatal,
            been_active=self.been_active,
            opened=self._opened,
            hurried=self._hurried,
            origin=self._origin,
            start_cause=self._start_cause,
            replaces=self._replaces,
            target=crew.target,
            generation=crew.generation,
            slots=list(crew.slots.values()),
            timers=[TimerRecord(name, wid, due) for (name, wid), (_, due) in crew.timers.items()],
            held=list(crew.held),
            warming=crew.warming,
            idle_failures=crew.idle_failures,
            stumbled=crew.stumbled,
            failure=crew.failure,
            start_failure=crew.start_failure,
            epoch=crew.epoch,
            token=crew.token,
            order=crew.order,
        )

    def resume(self, now: float, record: MachineRecord) -> list[do.Effect]:
        """Go on where a record stands; only for a machine that has done nothing yet.

        The processes of the slots have to be known to whoever performs what comes back, before it is performed: it arms
        the timers for what is left of their time, asks for spawns that had not been made, opens the streams, and watches
        the sockets or the leftovers of ended processes again. Nothing is told: no process starts or ends by this.
        """
        crew = self.crew
        crew.now, crew.effects = now, []
        self.state, self.want, self.fatal = record.state, record.want, record.fatal
        self.been_active, self._opened, self._hurried = record.been_active, record.opened, record.hurried
        self._origin, self._start_cause, self._replaces = record.origin, record.start_cause, record.replaces
        crew.respawning = self.state in LIVELY
        crew.target, crew.generation, crew.start_failure = record.target, record.generation, record.start_failure
        crew.held, crew.warming, crew.idle_failures = list(record.held), record.warming, record.idle_failures
        crew.stumbled, crew.failure = record.stumbled, record.failure
        crew.epoch, crew.token, crew.order = record.epoch, record.token, record.order
        if self._opened:
            crew.effects.append(do.OpenStreams())
        for slot in record.slots:
            crew.take_over(slot)
        for timer in record.timers:
            crew.arm(timer.name, timer.wid, max(timer.due - now, 0.0))
        if self.state is WatcherState.WAITING and not crew.armed("wake", None):
            crew.effects.append(do.WatchSockets(True))
        return crew.effects
