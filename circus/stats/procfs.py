"""Linux: what a process uses, read from kept descriptors of /proc.

Owns the reading and parsing of /proc/PID; refuses to know who asks and how often. Resident memory is taken from
`statm`, because the number in `stat` is a sum that the kernel keeps only roughly. Invariant: a reader never tells the
numbers of another process that got the same pid. A kept descriptor cannot (it fails once the process is gone), and a
reader that opens anew each time compares the start time.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import sys
from collections.abc import Generator
from typing import Final

from circus.runtime.fds import ROOM
from circus.stats.procfiles import CLOSED, FLAGS, ProcessFiles, may_keep
from circus.stats.procroot import boot_time, fd_directories_have_sizes
from circus.stats.proctext import (
    CHILD_SYSTEM,
    CHILD_USER,
    LINE,
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

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


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
        fd = os.open(f"{self.root}/{pid}/{name}", FLAGS)
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
        fd = os.open(f"{self.root}/{pid}/task/{thread}/children", FLAGS)
        try:
            text = os.read(fd, 65536)
            while text and (more := os.read(fd, 65536)):
                text += more
        finally:
            os.close(fd)
        return [int(word) for word in text.split()]


Told = tuple[str, float, float, int, int, int, int, int]


class ProcfsReader(ProcessFiles):
    """One process; opens at the first `read`, and again at the first one after `close`.

    `read` returns the very same tuple while nothing has changed.
    """

    __slots__ = ("_children", "_described", "_described_line", "_had", "_procfs", "_start", "_told", "create_time")

    def __init__(self, procfs: Procfs, pid: int, *, keep: bool = True) -> None:
        super().__init__(procfs.root, pid, keep=keep)
        self.create_time = 0.0
        self._procfs = procfs
        self._children = CLOSED
        self._start = self._described_line = b""
        self._told: Told | None = None
        self._described: Description | None = None
        self._had: tuple[bytes, list[int]] | None = None

    def read(self) -> Told | None:
        try:
            seen = self.look()
        except (ProcessLookupError, FileNotFoundError):
            return None
        if seen is None:
            return self._told
        line, pages = seen
        words = fields(line, VIRTUAL)
        if words[START] != self._start:
            if self._start:
                return None  # the pid went to another process
            self._start = words[START]
            self.create_time = self._procfs.boot_time + int(self._start) / _TICKS
        self.take(line, pages)
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

    def close(self) -> None:
        """Give the descriptors back. Closing twice is harmless."""
        super().close()
        if self._children >= 0:
            os.close(self._children)
        self._children = CLOSED

    def read_slow(self) -> SlowReading:
        status = self.read_file("status")
        self._described = None  # the user may have changed; the next `describe` looks again
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
            self.read_file("stat")  # still there: then it is the kernel that keeps no lists of children
            return None
        processes, (ticks, pages) = 1, tree_share(self._line, self._pages)
        seen = {self.pid}
        while todo:
            pid = todo.pop()
            if pid in seen:
                continue
            seen.add(pid)
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                line, statm = self._procfs.read(pid, "stat", LINE), self._procfs.read(pid, "statm", 128)
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
            text = self.read_file("smaps_rollup")
        except (FileNotFoundError, PermissionError):
            return None
        proportional = after(text, b"\nPss:")
        if proportional is None:  # a zombie, a kernel thread
            return None
        private = [after(text, key) or 0 for key in (b"\nPrivate_Clean:", b"\nPrivate_Dirty:", b"\nPrivate_Hugetlb:")]
        return MemoryReading(sum(private) * 1024, proportional * 1024, (after(text, b"\nSwap:") or 0) * 1024)

    def describe(self) -> Description:
        last = self._described
        if last is not None and self._described_line is self._line:
            return last
        if last is not None and self._described_line.startswith(self._line[: self._line.rindex(b")") + 1]):
            command, user = last.cmdline, last.username
        else:  # an exec changes the name
            command, user = self._command(), self._user()
        words = fields(self._line)
        ticks = sum(int(words[i]) for i in (USER, SYSTEM, CHILD_USER, CHILD_SYSTEM))
        if len(words) > WAITED_FOR_DISK:
            ticks += int(words[WAITED_FOR_DISK])
        nice = None if words[STATE] == b"Z" else int(words[NICE])
        described = Description(command, user, nice, ticks / _TICKS)
        # In the first moments after an exec there is no command line yet: then it is asked for again.
        self._described, self._described_line = (described if command != NOT_AVAILABLE else None), self._line
        return described

    def children(self) -> list[int]:
        if self._account < 0:
            return self._children_now()
        # Who has not run since has no more children; one that has ended without it cannot be read.
        if self._had is None or self._had[0] is not self._spent:
            self._had = (self._spent, self._children_now())
        return self._had[1].copy()

    def _children_now(self) -> list[int]:
        if self._told is None or self._told[5] != 1:
            return self._procfs.children(self.pid, 0 if self._told is None else self._told[5])
        if self._children < 0 and self._stat >= 0:
            # Whoever asks for children asks again: this descriptor makes it ten times cheaper.
            fd = os.open(f"{self._procfs.root}/{self.pid}/task/{self.pid}/children", FLAGS)
            fd = ROOM.move_up(fd)
            if may_keep(fd):
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
            return sys.intern(program(self.read_file("cmdline")) or NOT_AVAILABLE)  # many run the same
        except PermissionError:
            return NOT_AVAILABLE

    def _user(self) -> str:
        uid = after(self.read_file("status"), b"\nUid:")
        return NOT_AVAILABLE if uid is None else self._procfs.user(uid)

    def _max_fds(self) -> int | None:
        if self._procfs.asks_kernel:
            try:
                limit, _ = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
            except PermissionError:
                pass  # another user's process; its limits can still be read
            else:
                return None if limit < 0 else limit
        return after(self.read_file("limits"), b"\nMax open files")

    def _io(self) -> tuple[int | None, int | None]:
        try:
            text = self.read_file("io")
        except (FileNotFoundError, PermissionError):
            return None, None  # kernels without accounting, processes of others
        return after(text, b"\nread_bytes:"), after(text, b"\nwrite_bytes:")

    def _schedstat(self) -> bytes:
        """Of its first thread: time on a CPU, time waited for one (nanoseconds), times on a CPU."""
        try:
            return self.read_file("schedstat", 128)
        except (FileNotFoundError, PermissionError):
            return b""  # kernels without this account
