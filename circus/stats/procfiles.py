"""Linux: the files of one process that are read in every pass, and when reading them can be left out.

Owns the descriptors that are kept, two for a process at most; refuses to know what stands in the files. Memory cannot
grow without a page fault, and those are in the `stat` line: while that stays the same to the last byte, `statm` is left
alone. Nor can the line change while the only thread of a process has not run: of one that is calm the kernel's account
of its time on a CPU (`schedstat`, a quarter of the cost) is kept in place of `stat` and asked first. Either is trusted a
few times only: pages that were given back without a trace, or a new priority, are seen that much later. Invariant: what
is told as unchanged was read after the process last ran.
"""

from __future__ import annotations

import errno
import os
import resource
from typing import Final

from circus.runtime.fds import ROOM
from circus.stats.proctext import LINE, STATE, THREADS, fields

FLAGS: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)
CLOSED: Final = -1  # in place of a descriptor

# Each open descriptor makes every later spawn a little slower, and the rest of the table belongs to pidfds and pipes.
KEEP_BELOW: Final = 6144
_ACCOUNTS_BELOW: Final = 2 * KEEP_BELOW
"""Where no more files are kept, the one descriptor of a calm process still is: it saves most of what there is to read."""

_TRUSTED: Final = 5
_PATIENCE: Final = (2, 64)
"""After so many readings in a row without a change its account is asked first; of one that then runs again soon, after
twice as many, up to the second number."""
_RARELY: Final = 60
"""After so many readings all is read, of a process too that has not run."""
_WORTH: Final = 8
"""So many readings must have been saved for the change to its account to have been worth it."""


def may_keep(fd: int, below: int = KEEP_BELOW) -> bool:
    """Descriptors are given out from the lowest up (or from a base up), so the number of a new one tells how full the
    table is.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    base = ROOM.base or 0
    room = below if limit < 0 else min(below, (limit - base) * 3 // 4)
    return fd - base < room


class ProcessFiles:
    """The `stat` and `statm` of a process below a root; open from the first `look` on, and again after `close`."""

    __slots__ = ("_account", "_calm", "_keep", "_line", "_pages", "_patience", "_root", "_spent", "_stat", "_statm",
                 "_trust", "pid")  # fmt: skip

    def __init__(self, root: str, pid: int, *, keep: bool) -> None:
        self.pid = pid
        self._root = root
        self._keep = keep
        self._stat = self._statm = self._account = CLOSED
        self._line = self._pages = self._spent = b""
        self._trust = pid % _TRUSTED  # not all in the same pass
        self._calm = 0
        self._patience = _PATIENCE[0]

    def look(self) -> tuple[bytes, bytes] | None:
        """What stands in `stat` and `statm`; None while it is what `take` was given.

        Raises:
            ProcessLookupError, FileNotFoundError: the process is gone.
        """
        if self._account >= 0:
            spent = os.pread(self._account, 64, 0)
            if spent != self._spent:
                self._leave()
            else:
                self._calm += 1
                if self._trust:
                    self._trust -= 1
                    return None
                self._spent = spent  # equal and not the same: what else was known by it is looked at again as well
                self._trust = _TRUSTED
                if self._calm < _RARELY:
                    pages = self._read_statm()
                    return None if pages == self._pages else (self._line, pages)
                self._calm = _WORTH
        line, pages = self._open() if self._stat < 0 else (os.pread(self._stat, LINE, 0), b"")
        if line != self._line:
            self._calm = 0
        elif self._account < 0:
            self._calm += 1
            if self._calm >= self._patience:
                self._follow()
        if not pages:
            if line == self._line and self._trust:
                self._trust -= 1
                return None
            pages = self._read_statm()
        self._trust = _TRUSTED
        return None if line == self._line and pages == self._pages else (line, pages)

    def take(self, line: bytes, pages: bytes) -> None:
        """This is what stands there."""
        self._line, self._pages = line, pages

    def read_file(self, name: str, size: int = 4096) -> bytes:
        """The beginning of another file of the process."""
        fd = os.open(f"{self._root}/{self.pid}/{name}", FLAGS)
        try:
            return os.read(fd, size)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Give the descriptors back. Closing twice is harmless."""
        for fd in (self._stat, self._statm, self._account):
            if fd >= 0:
                os.close(fd)
        self._stat = self._statm = self._account = CLOSED
        self._calm = 0

    def _read_statm(self) -> bytes:
        return self.read_file("statm", 128) if self._statm < 0 else os.pread(self._statm, 128, 0)

    def _open(self) -> tuple[bytes, bytes]:
        """Read both files, and keep them open unless descriptors are short."""
        base = f"{self._root}/{self.pid}/"
        stat = os.open(base + "stat", FLAGS)
        statm = CLOSED
        try:
            line = os.read(stat, LINE)
            try:
                statm = os.open(base + "statm", FLAGS)
            except OSError as error:
                if error.errno not in {errno.EMFILE, errno.ENFILE}:
                    raise
                # The last free descriptor of all: use it for both, one after the other.
                os.close(stat)
                stat, self._keep = CLOSED, False
                statm = os.open(base + "statm", FLAGS)
            pages = os.read(statm, 128)
            if self._keep and stat >= 0 and self._account < 0:
                stat, statm = ROOM.move_up(stat), ROOM.move_up(statm)
                if may_keep(statm):
                    self._stat, self._statm = stat, statm
                    stat = statm = CLOSED
            return line, pages
        finally:
            if stat >= 0:
                os.close(stat)
            if statm >= 0:
                os.close(statm)

    def _follow(self) -> None:
        """Ask its account first from now on, if it has only one thread and the kernel keeps one."""
        self._calm, self._patience = 0, min(2 * self._patience, _PATIENCE[1])
        words = fields(self._line, THREADS)
        if not self._keep or words[STATE] != b"S" or words[THREADS] != b"1":
            return
        account = CLOSED
        try:
            account = ROOM.move_up(os.open(f"{self._root}/{self.pid}/schedstat", FLAGS))
            spent = os.pread(account, 64, 0)
            # What it may have done before the account was opened has to be known.
            same = (self.read_file("stat", LINE) if self._stat < 0 else os.pread(self._stat, LINE, 0)) == self._line
            if same and not spent.startswith(b"0 ") and may_keep(account, _ACCOUNTS_BELOW):
                self._account, self._spent, account = account, spent, CLOSED
        except OSError:
            return  # no such account, no descriptor left; or it is gone, and the next look tells
        finally:
            if account >= 0:
                os.close(account)
        if self._account >= 0 and self._stat >= 0:
            os.close(self._stat)
            self._stat = CLOSED

    def _leave(self) -> None:
        os.close(self._account)
        self._account = CLOSED
        if self._calm >= _WORTH:
            self._patience = _PATIENCE[0]
        self._calm = 0
        if self._statm >= 0:
            try:
                self._stat = ROOM.move_up(os.open(f"{self._root}/{self.pid}/stat", FLAGS))
            except OSError:
                self.close()
                raise
