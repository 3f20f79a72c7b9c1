"""A clock that a test sets, and processes that say what a test told them to say."""

from __future__ import annotations

from collections.abc import Generator

from circus.stats.readers import Description, MemoryReading, SlowReading
from circus.wire.samples import TreeSample


class FakeClock:
    """Monotonic and Unix seconds that only a test moves."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000.0 + self.now


class FakeReader:
    """A process of numbers. Reading takes `costs` seconds of the clock; `error` is raised instead of an answer."""

    def __init__(self, clock: FakeClock, pid: int) -> None:
        self.pid = pid
        self.create_time = 1_700_000_000.0
        self.user = self.system = 0.0
        self.resident = 4096
        self.state = "S"
        self.gone = False
        self.error: Exception | None = None
        self.slow_error: Exception | None = None
        self.costs = 0.0
        self.reads = self.slow_reads = self.closed = 0
        self.below: list[int] = []
        self._clock = clock
        self._told: tuple[str, float, float, int, int, int, int, int] | None = None

    def read(self) -> tuple[str, float, float, int, int, int, int, int] | None:
        self._clock.now += self.costs
        self.reads += 1
        if self.error is not None:
            raise self.error
        if self.gone:
            return None
        told = (self.state, self.user, self.system, self.resident, 2 * self.resident, 1, 10, 1)
        if told != self._told:
            self._told = told
        return self._told

    def read_slow(self) -> SlowReading:
        if self.slow_error is not None:
            raise self.slow_error
        self.slow_reads += 1
        return SlowReading(open_fds=4, max_fds=1024)

    def open_fds(self) -> int | None:
        return 4

    def tree(self) -> Generator[None, None, TreeSample | None]:
        for _ in self.below:
            self._clock.now += self.costs
            yield
        return TreeSample(1 + len(self.below), self.user + self.system, self.resident)

    def read_memory(self) -> MemoryReading | None:
        return MemoryReading(1024, 2048, 0)

    def describe(self) -> Description:
        return Description("fake", "nobody", 0, self.user + self.system)

    def children(self) -> list[int]:
        return self.below

    def close(self) -> None:
        self.closed += 1


class FakeReaders:
    """Makes them and remembers them by pid."""

    def __init__(self, clock: FakeClock) -> None:
        self.made: dict[int, FakeReader] = {}
        self._clock = clock

    def __call__(self, pid: int, *, keep: bool = True) -> FakeReader:
        del keep
        made = self.made[pid] = FakeReader(self._clock, pid)
        return made
