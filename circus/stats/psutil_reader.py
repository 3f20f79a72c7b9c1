"""Everywhere but on Linux: what a process uses, read through psutil.

Owns the translation of psutil's answers and errors; refuses to know who asks and how often. Invariant: the numbers mean
what those of `procfs` mean, and what psutil cannot tell on this system is None.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final, TypeVar

import psutil

from circus.stats.readers import NOT_AVAILABLE, Description, MemoryReading, SlowReading
from circus.wire.samples import TreeSample

T = TypeVar("T")

_LETTERS: Final = {
    psutil.STATUS_RUNNING: "R",
    psutil.STATUS_SLEEPING: "S",
    psutil.STATUS_DISK_SLEEP: "D",
    psutil.STATUS_STOPPED: "T",
    psutil.STATUS_TRACING_STOP: "t",
    psutil.STATUS_ZOMBIE: "Z",
    psutil.STATUS_DEAD: "X",
    psutil.STATUS_IDLE: "I",
}
_SCAN_SECONDS: Final = 1.0


class PsutilReaders:
    """Makes readers, and looks at most once a second who is whose parent."""

    def __init__(self) -> None:
        self._scanned = float("-inf")
        self._by_parent: dict[int, list[int]] = {}

    def __call__(self, pid: int, *, keep: bool = True) -> PsutilReader:
        del keep  # psutil holds nothing open
        return PsutilReader(self, pid)

    def children(self, pid: int) -> list[int]:
        """The direct children of a process. One scan serves all: psutil's own method scans for each process."""
        if time.monotonic() - self._scanned > _SCAN_SECONDS:
            self._by_parent = {}
            for process in psutil.process_iter(["ppid"]):
                self._by_parent.setdefault(process.info["ppid"], []).append(process.pid)
            self._scanned = time.monotonic()
        return self._by_parent.get(pid, [])


class PsutilReader:
    """One process."""

    __slots__ = ("_factory", "_name", "_names", "_process", "create_time", "pid")

    def __init__(self, factory: PsutilReaders, pid: int) -> None:
        self.pid = pid
        self.create_time = 0.0
        self._factory = factory
        self._process: psutil.Process | None = None
        self._name = ""
        self._names: tuple[str, str] | None = None

    def read(self) -> tuple[str, float, float, int, int, int, int | None, int | None] | None:
        try:
            with _translated():
                return self._read()
        except ProcessLookupError:
            return None

    def _read(self) -> tuple[str, float, float, int, int, int, int | None, int | None]:
        process = self._process
        if process is None:
            process = self._process = psutil.Process(self.pid)
            self.create_time = process.create_time()
        try:
            with process.oneshot():
                cpu, memory = process.cpu_times(), process.memory_info()
                state = _LETTERS.get(process.status(), "S")
                major = getattr(memory, "pageins", None)
                total = getattr(memory, "pfaults", None)
                minor = max(total - major, 0) if total is not None and major is not None else total
                return state, cpu.user, cpu.system, memory.rss, memory.vms, process.num_threads(), minor, major
        except psutil.ZombieProcess:
            # Systems that tell nothing more of a zombie; the sampler keeps the CPU time that it knows.
            return "Z", 0.0, 0.0, 0, 0, 1, None, None

    def close(self) -> None:
        """Forget what psutil remembers."""
        self._process = None

    def read_slow(self) -> SlowReading:
        process = self._known()
        self._names = None
        with _translated():
            io = _told(process, "io_counters")
            switches = _told(process, "num_ctx_switches")
            limit = _told(process, "rlimit", getattr(psutil, "RLIMIT_NOFILE", 0))
            memory = _told(process, "memory_info")
            return SlowReading(
                shared_bytes=getattr(memory, "shared", None),
                open_fds=self.open_fds(),
                max_fds=None if limit is None or limit[0] < 0 else limit[0],
                read_bytes=getattr(io, "read_bytes", None),
                write_bytes=getattr(io, "write_bytes", None),
                voluntary_switches=getattr(switches, "voluntary", None),
                involuntary_switches=getattr(switches, "involuntary", None),
            )

    def open_fds(self) -> int | None:
        with _translated():
            count: int | None = _told(self._known(), "num_fds")
            return count

    def tree(self) -> Generator[None, None, TreeSample | None]:
        with _translated():
            process = self._known()
            processes, seconds, resident = 1, sum(process.cpu_times()[:4]), process.memory_info().rss
        todo, seen = list(self.children()), {self.pid}
        while todo:
            pid = todo.pop()
            if pid in seen:
                continue
            seen.add(pid)
            with contextlib.suppress(psutil.Error):
                below = psutil.Process(pid)
                used, memory = sum(below.cpu_times()[:4]), below.memory_info().rss
                processes += 1
                seconds += used
                resident += memory
                todo += self._factory.children(pid)
            yield
        return TreeSample(processes, seconds, resident)

    def read_memory(self) -> MemoryReading | None:
        with _translated():
            process = psutil.Process(self.pid)  # one of its own: this may run in another thread
            full = _told(process, "memory_footprint") or _told(process, "memory_full_info")
        unique, proportional = getattr(full, "uss", None), getattr(full, "pss", None)
        if unique is None or proportional is None:
            return None
        return MemoryReading(unique, proportional, getattr(full, "swap", 0))

    def describe(self) -> Description:
        process = self._known()
        with _translated():
            try:
                name, names = process.name(), self._names
                if names is None or name != self._name:
                    names = (_program(process), process.username())
                    self._name = name
                    # In the first moments after an exec there is no command line yet: then it is asked for again.
                    self._names = names if names[0] != NOT_AVAILABLE else None
                return Description(*names, process.nice(), sum(process.cpu_times()))
            except psutil.ZombieProcess:
                return Description(*(self._names or (NOT_AVAILABLE, NOT_AVAILABLE)), None, 0.0)

    def children(self) -> list[int]:
        return self._factory.children(self.pid)

    def _known(self) -> psutil.Process:
        if self._process is None:
            raise ProcessLookupError(self.pid)
        return self._process


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """The errors of psutil as those of the operating system, which callers know."""
    try:
        yield
    except psutil.NoSuchProcess as error:
        raise ProcessLookupError(error.pid) from error
    except psutil.AccessDenied as error:
        raise PermissionError(error.pid) from error


def _told(process: psutil.Process, name: str, *arguments: object) -> Any:
    """What psutil tells, None where this system does not, or does not tell us."""
    method: Callable[..., Any] | None = getattr(process, name, None)
    if method is None:
        return None
    try:
        return method(*arguments)
    except (psutil.AccessDenied, psutil.ZombieProcess, NotImplementedError):
        return None


def _program(process: psutil.Process) -> str:
    """The base name of the program, as 0.19 shows it: the first word of the first argument."""
    try:
        words = process.cmdline()[:1]
    except psutil.AccessDenied:
        return NOT_AVAILABLE
    first = words[0].split() if words else []
    return first[0].rpartition("/")[2] if first else NOT_AVAILABLE
