"""Keeps the last sample of every process, and renews samples in slices that leave the loop free.

Owns which processes are known, when each is read and what it said last; refuses to know the loop, sockets and who wants
the numbers. Invariants: CPU seconds, of a process and of a watcher, never go down; between two `yield`s of a sweep at
most about one budget of time passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from circus.stats import aggregate
from circus.stats.psinfo import Worked
from circus.stats.readers import MemoryReading, choose_readers
from circus.wire.samples import ProcessSample, Totals

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from circus.ports import Clock
    from circus.stats.reading import Reader, ReaderFactory

EndedCpu = Callable[[str], tuple[float, float]]

NEVER: Final = float("-inf")
_GOLDEN: Final = 0.618033988749895
_SHORTEST: Final = 0.25  # seconds; a percentage over less is mostly ticks of the kernel's clock


class Slice:
    """The time that may pass before the loop gets its turn; `end` is monotonic."""

    __slots__ = ("_budget", "_monotonic", "end")

    def __init__(self, clock: Clock, budget: float) -> None:
        self._monotonic = clock.monotonic
        self._budget = budget
        self.end = NEVER

    def begin(self) -> None:
        """A new slice begins now."""
        self.end = self._monotonic() + self._budget

    def over(self) -> bool:
        """True when it is time to let others run."""
        return self._monotonic() >= self.end


class Member:
    """One process of a watcher, or the daemon itself.

    Attributes:
        sample: what it said last; made once and overwritten by each reading.
        percent: CPU in percent of a core between the last two readings that lay far enough apart.
        read_at: monotonic time of the last reading, minus infinity before the first.
        gone: it could not be read any more, or has been taken off.
        born: monotonic time of its start, as far as we know it: an age must not jump when the clock does.
        worked: what `service` has made of the last answers, to use again while they stay the same: those are `worked_told`
            and `worked_described`.
    """

    __slots__ = ("base_cpu", "base_time", "born", "gone", "memory", "memory_asked", "percent", "read_at", "reader", "sample",
                 "slow_due", "slow_told", "told", "used", "worked", "worked_described", "worked_told")  # fmt: skip

    def __init__(self, reader: Reader, sample: ProcessSample, memory: bool, born: float) -> None:
        self.reader = reader
        self.born = born
        self.sample = sample
        self.memory = memory
        self.memory_asked: Future[MemoryReading | None] | None = None
        self.told: tuple[object, ...] | None = None
        self.slow_told: tuple[object, ...] | None = None
        self.worked: Worked | None = None
        self.worked_told: tuple[object, ...] | None = None
        self.worked_described: object = None
        self.used = 0.0
        self.percent = 0.0
        self.base_cpu = 0.0
        self.base_time = NEVER
        self.read_at = NEVER
        self.slow_due = NEVER
        self.gone = False


class _Watched:
    """A watcher: its members by wid and the highest CPU totals ever told."""

    __slots__ = ("cpu", "members", "memory")

    def __init__(self, memory: bool) -> None:
        self.memory = memory
        self.members: dict[int, Member] = {}
        self.cpu = (0.0, 0.0)


class Sampler:
    """The table of processes and their samples.

    `ended_cpu` tells the exact CPU seconds (user, system) of the processes of a watcher that have ended; it must change
    in the same turn of the loop in which `discard` is called. Readers are those of this machine unless others are given.
    `errors` counts readings that failed, by reason.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        ended_cpu: EndedCpu,
        slow_interval: float = 15.0,
        reader_factory: ReaderFactory | None = None,
        budget: float = 0.001,
    ) -> None:
        self.clock = clock
        self.reader_factory = reader_factory or choose_readers()
        self.errors = {"vanished": 0, "denied": 0, "other": 0}
        self.slice = Slice(clock, budget)
        self._ended_cpu = ended_cpu
        self.slow_interval = slow_interval
        self._watched: dict[str, _Watched] = {}
        self._spread = 0.0
        self._threads: ThreadPoolExecutor | None = None

    def add_watcher(self, name: str, memory: bool = False) -> None:
        """Know a watcher, also while it has no process; `memory` also reads what costs a walk over its pages."""
        watched = self._watched.setdefault(name, _Watched(memory))
        watched.memory = memory
        for member in watched.members.values():
            member.memory = memory

    def remove_watcher(self, name: str) -> None:
        """Forget a watcher with all its processes and totals."""
        watched = self._watched.pop(name, None)
        if watched is not None:
            for member in watched.members.values():
                _drop(member)

    def add(self, watcher: str, wid: int, pid: int, generation: int, started: float) -> None:
        """Know a process; it is first read by the next sweep."""
        self.discard(watcher, wid)
        watched = self._watched.setdefault(watcher, _Watched(memory=False))
        sample = ProcessSample(wid=wid, pid=pid, generation=generation, started=started)
        watched.members[wid] = Member(self.reader_factory(pid), sample, watched.memory, self.born(started))

    def born(self, started: float) -> float:
        """The monotonic time of what is Unix time until the clock jumps."""
        return self.clock.monotonic() - (self.clock.time() - started)

    def discard(self, watcher: str, wid: int) -> None:
        """Forget a process; unknown ones are fine."""
        watched = self._watched.get(watcher)
        member = watched.members.pop(wid, None) if watched is not None else None
        if member is not None:
            _drop(member)

    def watchers(self) -> list[str]:
        """The names of all watchers, in the order in which they came."""
        return list(self._watched)

    def members(self, watcher: str) -> list[Member]:
        """The processes of a watcher, also those that were never read."""
        watched = self._watched.get(watcher)
        return list(watched.members.values()) if watched is not None else []

    def last(self, watcher: str, wid: int) -> ProcessSample | None:
        """The last sample of a slot's process; None when it was never read."""
        watched = self._watched.get(watcher)
        member = watched.members.get(wid) if watched is not None else None
        return member.sample if member is not None and member.sample.state is not None else None

    def __contains__(self, place: tuple[str, int]) -> bool:
        """Whether a process is known, by watcher and wid."""
        watched = self._watched.get(place[0])
        return watched is not None and place[1] in watched.members

    def __len__(self) -> int:
        return sum(len(watched.members) for watched in self._watched.values())

    def sweep(self, members: Iterable[Member], *, slow: int | None = None, max_age: float = 0.0) -> Iterator[None]:
        """Read these processes, yielding whenever the loop should have its turn.

        With `slow`, processes for which the slow tier is due get it too: those that never had it, and that many others.
        Samples younger than `max_age` are left as they are. Whoever drives the sweep calls `slice.begin()` before
        each step.
        """
        monotonic, slice_ = self.clock.monotonic, self.slice
        now = monotonic()
        for member in members:
            if member.gone or now - member.read_at < max_age:
                continue
            if self._read(member, now) and slow is not None and now >= member.slow_due:
                if member.slow_due == NEVER:
                    yield from self._read_slow(member, now)
                elif slow > 0:
                    slow -= 1
                    yield from self._read_slow(member, now)
            now = monotonic()
            if now >= slice_.end:
                yield
                now = monotonic()

    def totals(self, watcher: str) -> Totals:
        """The sums of a watcher as of the last readings."""
        watched = self._watched.get(watcher)
        if watched is None:
            return Totals(0, 0.0, 0.0, 0)
        totals = aggregate.totals(
            [member.sample for member in watched.members.values()], self._ended_cpu(watcher), watched.cpu
        )
        watched.cpu = (totals.cpu_user_seconds, totals.cpu_system_seconds)
        return totals

    def told_cpu(self, watcher: str) -> tuple[float, float]:
        """The highest totals of a watcher that were ever told."""
        watched = self._watched.get(watcher)
        return (0.0, 0.0) if watched is None else watched.cpu

    def tell_cpu(self, watcher: str, cpu: tuple[float, float]) -> None:
        """Never tell less than that, which somebody else has told."""
        if watcher in self._watched:
            self._watched[watcher].cpu = cpu

    def release(self) -> None:
        """Close what readers keep open; the next sweep opens anew."""
        for watched in self._watched.values():
            for member in watched.members.values():
                member.reader.close()
                member.worked = None
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    def slow_share(self, interval: float) -> int:
        """How many processes must get the slow tier in a pass, when passes come at this interval."""
        return int(len(self) * interval / self.slow_interval) + 1

    def _read(self, member: Member, now: float) -> bool:
        """Renew one sample; False when there is nothing new."""
        try:
            told = member.reader.read()
        except PermissionError:
            self.errors["denied"] += 1
            return False
        except (OSError, ValueError, IndexError):  # descriptors are short, or a file does not parse
            self.errors["other"] += 1
            return False
        if told is None:
            self._vanished(member)
            return False
        if told is not member.told:
            member.told = told
            sample = member.sample
            user, system = told[1], told[2]
            if sample.cpu_user_seconds is None or user > sample.cpu_user_seconds:
                sample.cpu_user_seconds = user
            if sample.cpu_system_seconds is None or system > sample.cpu_system_seconds:
                sample.cpu_system_seconds = system
            sample.state = told[0]
            sample.resident_bytes = told[3]
            sample.virtual_bytes = told[4]
            sample.threads = told[5]
            sample.minor_faults = told[6]
            sample.major_faults = told[7]
            member.used = user + system
        member.read_at = now
        elapsed = now - member.base_time
        if elapsed >= _SHORTEST:
            if member.base_time != NEVER:
                member.percent = max(0.0, (member.used - member.base_cpu) / elapsed * 100.0)
            member.base_cpu, member.base_time = member.used, now
        if member.memory_asked is not None and member.memory_asked.done():
            self._take_memory(member)
        return True

    def _read_slow(self, member: Member, now: float) -> Iterator[None]:
        if member.slow_due == NEVER:
            # Processes that were started together get their turns at different times.
            self._spread = (self._spread + _GOLDEN) % 1.0
            member.slow_due = now + self.slow_interval * self._spread
        else:
            # One that has not used a tick of CPU time nor touched a new page since is looked at half as often.
            asleep = member.told is member.slow_told
            member.slow_due = now + self.slow_interval * (2.0 if asleep else 1.0)
        member.slow_told = member.told
        sample = member.sample
        try:
            (
                sample.shared_bytes, sample.open_fds, sample.max_fds, sample.read_bytes, sample.write_bytes,
                sample.voluntary_switches, sample.involuntary_switches, sample.peak_resident_bytes,
                sample.cpu_wait_seconds,
            ) = member.reader.read_slow()  # fmt: skip
            steps = member.reader.tree()
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    sample.tree = end.value
                    break
                if self.slice.over():
                    yield
        except (ProcessLookupError, FileNotFoundError):
            if not member.gone:
                self._vanished(member)
            return
        except PermissionError:
            self.errors["denied"] += 1
            return
        except (OSError, ValueError, IndexError):
            self.errors["other"] += 1
            return
        sample.slow_time = self.clock.time()
        if member.memory and member.memory_asked is None and not member.gone:
            # The kernel walks all pages of the process: milliseconds, so not in the loop.
            if self._threads is None:
                from concurrent.futures import ThreadPoolExecutor

                self._threads = ThreadPoolExecutor(1, thread_name_prefix="circus-memory")
            member.memory_asked = self._threads.submit(member.reader.read_memory)

    def _vanished(self, member: Member) -> None:
        """It is gone, but whoever reaps it has not said so yet: until then its CPU time stays in the totals."""
        self.errors["vanished"] += 1
        member.gone = True
        member.sample.state = member.sample.resident_bytes = None

    def _take_memory(self, member: Member) -> None:
        asked, member.memory_asked = member.memory_asked, None
        if asked is None or asked.cancelled():
            return
        if asked.exception() is not None:
            self.errors["vanished" if isinstance(asked.exception(), ProcessLookupError) else "other"] += 1
            return
        told = asked.result()
        if told is not None:
            sample = member.sample
            sample.unique_bytes, sample.proportional_bytes, sample.swapped_bytes = told


def _drop(member: Member) -> None:
    member.gone = True
    member.reader.close()
    if member.memory_asked is not None:
        member.memory_asked.cancel()
