"""Linux: what a process uses, read from kept descriptors of /proc.

Owns the reading and parsing of /proc/PID; refuses to know who asks and how often. Resident memory is taken from
`statm`, because the number in `stat` is a sum that the kernel keeps only roughly. Invariant: a reader never tells the
numbers of another process that got the same pid. A kept descriptor cannot (it fails once the process is gone), and a
reader that opens anew each time compares the start time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import resource
from collections.abc import Generator
from typing import Final

from circus.runtime.fds import ROOM
from circus.stats.procroot import boot_time, fd_directories_have_sizes
from circus.stats.proctext import (
    CHILD_SYSTEM,
    CHILD_USER,
    MAJOR,
    MINOR,
    NICE,
    START,
    STATE,
    SYSTEM,
    THREADS,
    USER,
    VIRTUAL,
    WAITED_FOR_DISK,
    after,
    fields,
    nth,
    program,
    tree_share,
)
from circus.stats.readers import NOT_AVAILABLE, Description, MemoryReading, SlowReading
from circus.wire.samples import TreeSample

_FLAGS: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_LINE: Final = 1024  # the stat line, of which we need the first half
_TRUSTED: Final = 5
_CLOSED: Final = -1  # in place of a descriptor

# Each open descriptor makes every later spawn a little slower, and the rest of the table belongs to pidfds and pipes.
KEEP_BELOW: Final = 6144


class Procfs:
    """Makes readers below one root (another than /proc is for tests)."""

    def __init__(self, root: str = "/proc") -> None:
        self.root = root
        self.fd_sizes = fd_directories_have_sizes(root)
        self.asks_kernel = root == "/proc"
        self.boot_time = boot_time(root)
        self._users: dict[int, str] = {}

    def __call__(self, pid: int, *, keep: bool = True) -> ProcfsReader:
        return ProcfsReader(self, pid, keep=keep)

    def may_keep(self, fd: int) -> bool:
        """Descriptors are given out from the lowest up (or from a base up), so the number of a new one tells how full
        the table is.
        """
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        base = ROOM.base or 0
        room = KEEP_BELOW if limit < 0 else min(KEEP_BELOW, (limit - base) * 3 // 4)
        return fd - base < room

    def user(self, uid: int) -> str:
        """The name of a user, asked for once: the answer may come from a directory service."""
        name = self._users.get(uid)
        if name is None:
            try:
                name = pwd.getpwuid(uid).pw_name
            except KeyError:
                name = str(uid)
            self._users[uid] = name
        return name

    def read(self, pid: int, name: str, size: int = 4096) -> bytes:
        """The beginning of a file of a process."""
        fd = os.open(f"{self.root}/{pid}/{name}", _FLAGS)
        try:
            return os.read(fd, size)
        finally:
            os.close(fd)

    def children(self, pid: int, threads: int) -> list[int]:
        """The living direct children; a kernel that does not list them by parent is not asked further."""
        if threads == 1:  # its only thread has its own number, so the directory need not be listed
            return self._children_of_thread(pid, str(pid))
        found: list[int] = []
        for thread in os.listdir(f"{self.root}/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += self._children_of_thread(pid, thread)
        return found

    def _children_of_thread(self, pid: int, thread: str) -> list[int]:
        fd = os.open(f"{self.root}/{pid}/task/{thread}/children", _FLAGS)
        try:
            text = os.read(fd, 65536)
            while text and (more := os.read(fd, 65536)):
                text += more
        finally:
            os.close(fd)
        return [int(word) for word in text.split()]


Told = tuple[str, float, float, int, int, int, int, int]


class ProcfsReader:
    """One process; opens at the first `read`, and again at the first one after `close`.

    `read` returns the very same tuple while nothing has changed. Memory cannot grow without a page fault, and those are
    in the `stat` line: while that stays the same to the last byte, `statm` is read only every `_TRUSTED` times (pages
    that were given back without a trace in it, fewer than the kernel counts at once, are seen that much later).
    """

    __slots__ = ("_children", "_comm", "_described", "_keep", "_line", "_names", "_pages", "_procfs", "_start", "_stat",
                 "_statm", "_told", "_trust", "create_time", "pid")  # fmt: skip

    def __init__(self, procfs: Procfs, pid: int, *, keep: bool = True) -> None:
        self.pid = pid
        self.create_time = 0.0
        self._procfs = procfs
        self._keep = keep
        self._stat = self._statm = self._children = _CLOSED
        self._line = self._pages = self._start = self._comm = b""
        self._told: Told | None = None
        self._trust = pid % _TRUSTED  # not all in the same pass
        self._names: tuple[str, str] | None = None
        self._described: tuple[bytes, Description] | None = None

    def read(self) -> Told | None:
        try:
            if self._stat < 0:
                line, pages = self._open()
            else:
                line = os.pread(self._stat, _LINE, 0)
                if line == self._line and self._trust:
                    self._trust -= 1
                    return self._told
                pages = os.pread(self._statm, 128, 0)
                self._trust = _TRUSTED
        except (ProcessLookupError, FileNotFoundError):
            return None
        if line == self._line and pages == self._pages:
            return self._told
        words = fields(line, VIRTUAL)
        if words[START] != self._start:
            if self._start:
                return None  # the pid went to another process
            self._start = words[START]
            self.create_time = self._procfs.boot_time + int(self._start) / _TICKS
        self._line = line
        self._pages = pages
        self._told = (
            words[0].decode(),
            int(words[USER]) / _TICKS,
            int(words[SYSTEM]) / _TICKS,
            int(pages.split(b" ", 2)[1]) * _PAGE,
            int(words[VIRTUAL]),
            int(words[THREADS]),
            int(words[MINOR]),
            int(words[MAJOR]),
        )
        return self._told

    def _open(self) -> tuple[bytes, bytes]:
        """Read both files, and keep them open unless descriptors are short."""
        base = f"{self._procfs.root}/{self.pid}/"
        stat = os.open(base + "stat", _FLAGS)
        statm = _CLOSED
        try:
            line = os.read(stat, _LINE)
            try:
                statm = os.open(base + "statm", _FLAGS)
            except OSError as error:
                if error.errno not in {errno.EMFILE, errno.ENFILE}:
                    raise
                # The last free descriptor of all: use it for both, one after the other.
                os.close(stat)
                stat, self._keep = _CLOSED, False
                statm = os.open(base + "statm", _FLAGS)
            pages = os.read(statm, 128)
            if self._keep and stat >= 0:
                stat, statm = ROOM.move_up(stat), ROOM.move_up(statm)
                if self._procfs.may_keep(statm):
                    self._stat, self._statm = stat, statm
                    stat = statm = _CLOSED
            return line, pages
        finally:
            if stat >= 0:
                os.close(stat)
            if statm >= 0:
                os.close(statm)

    def close(self) -> None:
        """Give the descriptors back. Closing twice is harmless."""
        for fd in (self._stat, self._statm, self._children):
            if fd >= 0:
                os.close(fd)
        self._stat = self._statm = self._children = _CLOSED

    def read_slow(self) -> SlowReading:
        procfs = self._procfs
        status = procfs.read(self.pid, "status")
        self._names = self._described = None  # the user may have changed; the next `describe` looks again
        read_bytes, write_bytes = self._io()
        peak, waited = after(status, b"\nVmHWM:"), nth(self._schedstat(), 1)
        return SlowReading(
            shared_bytes=int(self._pages.split(b" ", 3)[2]) * _PAGE,
            open_fds=self.open_fds(),
            max_fds=self._max_fds(),
            read_bytes=read_bytes,
            write_bytes=write_bytes,
            voluntary_switches=after(status, b"\nvoluntary_ctxt_switches:"),
            involuntary_switches=after(status, b"\nnonvoluntary_ctxt_switches:"),
            peak_resident_bytes=None if peak is None else peak * 1024,
            cpu_wait_seconds=None if waited is None else waited / 1e9,
        )

    def open_fds(self) -> int | None:
        path = f"{self._procfs.root}/{self.pid}/fd"
        try:
            return os.stat(path).st_size if self._procfs.fd_sizes else len(os.listdir(path))
        except PermissionError:
            return None

    def tree(self) -> Generator[None, None, TreeSample | None]:
        """CPU time of descendants that ended counts from the moment in which their parent waited for them."""
        try:
            todo = self._procfs.children(self.pid, 0 if self._told is None else self._told[5])
        except FileNotFoundError:
            self._procfs.read(self.pid, "stat")  # still there: then it is the kernel that keeps no lists of children
            return None
        processes, (ticks, pages) = 1, tree_share(self._line, self._pages)
        seen = {self.pid}
        while todo:
            pid = todo.pop()
            if pid in seen:
                continue
            seen.add(pid)
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                line, statm = self._procfs.read(pid, "stat", _LINE), self._procfs.read(pid, "statm", 128)
                more_ticks, more_pages = tree_share(line, statm)
                processes += 1
                ticks += more_ticks
                pages += more_pages
                words = fields(line, THREADS)
                todo += self._procfs.children(pid, int(words[THREADS]))
            yield
        return TreeSample(processes, ticks / _TICKS, pages * _PAGE)

    def read_memory(self) -> MemoryReading | None:
        try:
            text = self._procfs.read(self.pid, "smaps_rollup")
        except (FileNotFoundError, PermissionError):
            return None
        proportional = after(text, b"\nPss:")
        if proportional is None:  # a zombie, a kernel thread
            return None
        private = [after(text, key) or 0 for key in (b"\nPrivate_Clean:", b"\nPrivate_Dirty:", b"\nPrivate_Hugetlb:")]
        return MemoryReading(sum(private) * 1024, proportional * 1024, (after(text, b"\nSwap:") or 0) * 1024)

    def describe(self) -> Description:
        if self._described is not None and self._described[0] is self._line:
            return self._described[1]
        comm = self._line[: self._line.rindex(b")")]
        names = self._names
        if names is None or comm != self._comm:  # an exec changes the name
            names = (self._command(), self._user())
            self._comm = comm
            # In the first moments after an exec there is no command line yet: then it is asked for again.
            self._names = names if names[0] != NOT_AVAILABLE else None
        words = fields(self._line)
        ticks = sum(int(words[i]) for i in (USER, SYSTEM, CHILD_USER, CHILD_SYSTEM))
        if len(words) > WAITED_FOR_DISK:
            ticks += int(words[WAITED_FOR_DISK])
        nice = None if words[STATE] == b"Z" else int(words[NICE])
        described = Description(*names, nice, ticks / _TICKS)
        if self._names is not None:
            self._described = (self._line, described)
        return described

    def children(self) -> list[int]:
        if self._told is None or self._told[5] != 1:
            return self._procfs.children(self.pid, 0 if self._told is None else self._told[5])
        if self._children < 0 and self._stat >= 0:
            # Whoever asks for children asks again: this descriptor makes it ten times cheaper.
            fd = os.open(f"{self._procfs.root}/{self.pid}/task/{self.pid}/children", _FLAGS)
            fd = ROOM.move_up(fd)
            if self._procfs.may_keep(fd):
                self._children = fd
            else:
                os.close(fd)
        if self._children >= 0:
            text = os.pread(self._children, 4096, 0)
            if len(text) < 2048:  # the kernel may give less than there is, but not that much less
                return [int(word) for word in text.split()]
        return self._procfs.children(self.pid, 1)

    def _command(self) -> str:
        try:
            return program(self._procfs.read(self.pid, "cmdline")) or NOT_AVAILABLE
        except PermissionError:
            return NOT_AVAILABLE

    def _user(self) -> str:
        uid = after(self._procfs.read(self.pid, "status"), b"\nUid:")
        return NOT_AVAILABLE if uid is None else self._procfs.user(uid)

    def _max_fds(self) -> int | None:
        if self._procfs.asks_kernel:
            try:
                limit, _ = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
            except PermissionError:
                pass  # another user's process; its limits can still be read
            else:
                return None if limit < 0 else limit
        return after(self._procfs.read(self.pid, "limits"), b"\nMax open files")

    def _io(self) -> tuple[int | None, int | None]:
        try:
            text = self._procfs.read(self.pid, "io")
        except (FileNotFoundError, PermissionError):
            return None, None  # kernels without accounting, processes of others
        return after(text, b"\nread_bytes:"), after(text, b"\nwrite_bytes:")

    def _schedstat(self) -> bytes:
        """Of its first thread: time on a CPU, time waited for one (nanoseconds), times on a CPU."""
        try:
            return self._procfs.read(self.pid, "schedstat", 128)
        except (FileNotFoundError, PermissionError):
            return b""  # kernels without this account
