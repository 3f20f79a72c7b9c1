"""The rows of circus-top before they are text: what one process and one watcher use and how they are.

Owns how two samples become a percentage; refuses to know messages and text. Invariant: what is not known is None, and
a percentage is only told when two readings of the same process, or its whole life, lie behind it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from circus.wire.snapshot import LastExit, SlotSnapshot

# CPU time comes in ticks of 10 ms: over less than this a percentage is mostly the tick.
SHORTEST_SECONDS: Final = 0.2


@dataclass(slots=True)
class Rate:
    """CPU in percent of a core, from a sum of seconds that only grows."""

    percent: float | None = None
    seconds: float | None = None
    time: float = 0.0

    def take(self, seconds: float | None, time: float, since: float | None = None) -> None:
        """A new reading. `since`: nothing can have been used before that time, so that one reading is enough."""
        if seconds is None:
            self.percent = self.seconds = None
            return
        if self.seconds is not None and seconds < self.seconds:
            self.seconds = None  # another process or another daemon: what was before says nothing
        if self.seconds is not None:
            used, elapsed = seconds - self.seconds, time - self.time
            if 0.0 <= elapsed < SHORTEST_SECONDS:
                return
        elif since is not None and time - since >= SHORTEST_SECONDS:
            used, elapsed = seconds, time - since
        else:
            used, elapsed = 0.0, 0.0
        if elapsed > 0.0:
            self.percent = used / elapsed * 100.0
        self.seconds, self.time = seconds, time


@dataclass(slots=True, kw_only=True)
class Process:
    """One process, or a slot that waits for one (then `pid` is None). `heard` is monotonic time of its last news."""

    wid: int | None
    pid: int | None
    heard: float
    name: str | None = None
    generation: int | None = None
    started: float | None = None
    rate: Rate = field(default_factory=Rate)
    cpu_percent: float | None = None
    memory_bytes: int | None = None
    memory_percent: float | None = None
    threads: int | None = None
    open_fds: int | None = None
    max_fds: int | None = None
    age_seconds: float | None = None
    state: str | None = None
    system_state: str | None = None
    backoff_seconds: float = 0.0
    last_exit: LastExit | None = None


@dataclass(slots=True, kw_only=True)
class Watcher:
    """One watcher: its processes by wid (by pid where wids are not told) and what is true of them together.

    `slots` is what `telemetry` told last about its slots, `slots_time` when (the daemon's time), `sample_time` when its
    last sample was taken.
    """

    name: str
    rate: Rate = field(default_factory=Rate)
    processes: dict[int, Process] = field(default_factory=dict)
    waiting: list[Process] = field(default_factory=list)
    slots: dict[int, SlotSnapshot] = field(default_factory=dict)
    slots_time: float | None = None
    sample_time: float | None = None
    state: str | None = None
    desired: int | None = None
    restarts: int | None = None
    last_exit: LastExit | None = None
    cpu_percent: float | None = None
    memory_bytes: int | None = None
    memory_percent: float | None = None
    threads: int | None = None
    open_fds: int | None = None
    age_seconds: float | None = None

    def rows(self) -> list[Process]:
        """Its processes, and the slots that wait for one."""
        return [*self.processes.values(), *self.waiting]

    def add_up(self) -> None:
        """Sum up what is the sum of the processes."""
        processes = self.processes.values()
        self.threads = total(process.threads for process in processes)
        self.open_fds = total(process.open_fds for process in processes)
        self.age_seconds = max((p.age_seconds for p in processes if p.age_seconds is not None), default=None)

    def place_slots(self) -> None:
        """Give each process the state of its slot, and find the slots that wait."""
        for wid, process in self.processes.items():
            slot = self.slots.get(wid)
            if slot is None:
                process.state = "running" if self.slots_time is not None else None
                continue
            # A snapshot from before the process was born still tells how the one before it ended.
            process.state = slot.state if slot.pid == process.pid else "running"
            process.last_exit = slot.last_exit
        newer = self.sample_time is None or (self.slots_time or 0.0) > self.sample_time
        self.waiting = [
            _of_slot(slot)
            for wid, slot in self.slots.items()
            if wid not in self.processes and (slot.pid is None or newer)
        ]


def _of_slot(slot: SlotSnapshot) -> Process:
    return Process(
        wid=slot.wid,
        pid=slot.pid,
        heard=0.0,
        generation=slot.generation,
        started=slot.started,
        state=slot.state,
        backoff_seconds=slot.backoff_seconds,
        last_exit=slot.last_exit,
    )


def total(values: Iterable[int | None]) -> int | None:
    """The sum of what is known; None when nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
