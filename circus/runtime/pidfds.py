"""Handles on processes, which tell of their ends: in the descriptors of this program, or out of the way of its spawns.

A child is made with a copy of its parent's table of descriptors, and closes at exec what is not for it: with 5,000
pidfds in the table that takes a millisecond, three times what the rest of a spawn takes. On Linux a thread may have a
table of its own. One of ours opens the pidfds into it and puts them into an epoll that both tables hold; the loop
learns of ends from the epoll alone, and no spawn sees the pidfds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import pairwise

from circus.runtime.fds import ROOM

_MANY = 64
"""So many ends are told at once."""

_ONCE = getattr(select, "EPOLLIN", 0) | getattr(select, "EPOLLONESHOT", 0)
"""An end is told once: whoever is told takes its status, and the pidfd is closed some time afterwards."""

_CLOSE_RANGE = 436
_UNSHARE = 2  # close_range.h
_LAST = 2**32 - 1

_LOWERED_SECONDS = 0.0005
"""A spawn is over in about that time, and with it the limit of descriptors that its program shall have."""


class Pidfds:
    """In the table of this program.

    Attributes:
        epoll: readable when an end is to be told.
    """

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self._pidfds: dict[int, int] = {}
        self._pids: dict[int, int] = {}

    def __contains__(self, pid: int) -> bool:
        return pid in self._pidfds

    def get(self, pid: int) -> int | None:
        """The handle on a process."""
        return self._pidfds.get(pid)

    def open(self, pid: int) -> None:
        """Take a handle on a process that was not waited for.

        Raises:
            ProcessLookupError: somebody has waited for it.
            OSError: there is no descriptor left.
        """
        self.take(pid, ROOM.move_up(handle_on(pid)))

    def take(self, pid: int, pidfd: int) -> None:
        """A handle that was opened elsewhere is ours from now on.

        Raises:
            OSError: a user may have only so many in epolls; the handle is closed.
        """
        self._pids[pidfd] = pid  # before it can tell
        try:
            self.epoll.register(pidfd, _ONCE)
        except OSError:
            os.close(pidfd)
            raise
        self._pidfds[pid] = pidfd

    def forget(self, pid: int) -> None:
        """Give the handle up."""
        pidfd = self._pidfds.pop(pid)
        del self._pids[pidfd]
        self.epoll.unregister(pidfd)
        os.close(pidfd)

    def ended(self) -> list[int]:
        """Whose ends have not been told yet, at most 64; 0 for one whose handle was given up meanwhile."""
        return [self._pids.get(pidfd, 0) for pidfd, _ in self.epoll.poll(0, _MANY)]

    def tell(self) -> bool:
        """Whether `ended` has something to tell; a system call that does not depend on how many there are."""
        # Signal handlers ask, and interrupt each other: a poll object must not be shared.
        return bool(_readable(self.epoll.fileno()).poll(0))

    def close(self) -> None:
        """Give all handles up."""
        for pid in list(self._pidfds):
            self.forget(pid)
        self.epoll.close()


class PidfdThread(Pidfds):
    """In the table of a thread; what is asked for is done when `hurry` is called.

    Args:
        gone: told by `ended` the pid of a process that somebody has waited for.
        missed: told by `ended` the pid of a process on which no handle can be had.
        failed: called by `ended` when the thread cannot have a table of its own here, and nothing will be done.

    Raises:
        OSError: there is no descriptor left.
        RuntimeError: no thread can be had.
    """

    def __init__(
        self, gone: Callable[[int], object], missed: Callable[[int], object], failed: Callable[[], object]
    ) -> None:
        super().__init__()
        self._gone, self._missed, self._failed = gone, missed, failed
        self._wanted: deque[tuple[int, bool]] = deque()
        self._words: deque[Callable[[], object]] = deque()
        self._ends = self._hurries = False
        self._opened: list[int] = []
        try:
            for flags in (0, 0, os.EFD_NONBLOCK):
                self._opened.append(os.eventfd(0, flags | os.EFD_CLOEXEC))
            self._bell, self._begun, self._word = self._opened
            self.epoll.register(self._word, select.EPOLLIN)
            # Not waited for: it has its table long before anything is to be told.
            threading.Thread(target=self._run, name="circus-pidfds", daemon=True).start()
        except (OSError, RuntimeError):
            self._give_up()
            raise

    @property
    def waits(self) -> bool:
        """Whether something is to be done that `hurry` was not called for."""
        return bool(self._wanted) and not self._hurries

    def open(self, pid: int) -> None:
        self._wanted.append((pid, True))

    def forget(self, pid: int) -> None:
        self._wanted.append((pid, False))

    def hurry(self) -> None:
        """Let the thread do what was asked for."""
        self._hurries = True
        os.eventfd_write(self._bell, 1)

    def undone(self) -> list[int]:
        """Whom `open` was called for in vain."""
        return list(dict.fromkeys(pid for pid, wanted in self._wanted if wanted and (pid, False) not in self._wanted))

    def ended(self) -> list[int]:
        found = super().ended()
        if 0 in found:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._word)
            while self._words:
                self._words.popleft()()
        return found

    def close(self) -> None:
        self._ends = True
        self.hurry()
        _readable(self._begun).poll()  # until then its table is ours, and the numbers are what it keeps
        self._give_up()

    def _give_up(self) -> None:
        self.epoll.close()
        for fd in self._opened:
            os.close(fd)

    def _say(self, word: Callable[[], object]) -> None:
        # What wakes the loop otherwise is a descriptor that is not in the table of the thread.
        self._words.append(word)
        os.eventfd_write(self._word, 1)

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the main thread's
        bell, begun = self._bell, self._begun
        try:
            _have_own_table(self.epoll.fileno(), *self._opened)
        except (OSError, ImportError, AttributeError):  # forbidden, or no ctypes here
            self._ends = True
            self._say(self._failed)
        os.eventfd_write(begun, 1)
        while not self._ends:
            os.eventfd_read(bell)
            self._hurries = False
            with contextlib.suppress(ValueError):  # the epoll was closed meanwhile
                while self._wanted and not self._ends:
                    self._do(*self._wanted.popleft())

    def _do(self, pid: int, wanted: bool) -> None:
        if not wanted:
            if pid in self._pidfds:
                super().forget(pid)
            return
        try:
            self.take(pid, _open_in_time(pid))
        except ProcessLookupError:
            self._say(partial(self._gone, pid))
        except OSError:
            self._say(partial(self._missed, pid))


def handle_on(pid: int) -> int:
    """A new handle on a process.

    Raises:
        ProcessLookupError: there is none with that pid; it may be the number of somebody's thread.
        OSError: there is no descriptor left.
    """
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINVAL):  # a thread, say newer and older kernels; or no pid at all
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH)) from None
        raise


def _open_in_time(pid: int) -> int:
    """A handle on a process, as soon as no limit of a worker is in force here."""
    while True:
        turns = ROOM.turns
        try:
            return handle_on(pid)
        except OSError as error:
            if isinstance(error, ProcessLookupError) or (turns == ROOM.turns and turns % 2 == 0):
                raise
            time.sleep(_LOWERED_SECONDS)


def _readable(fd: int) -> select.poll:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return poll


def _have_own_table(*kept: int) -> None:
    """Give the calling thread a table of descriptors with these alone.

    Not by `unshare`, which containers often forbid.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    ends = [-1, *sorted(kept), _LAST + 1]
    # The last part first: what is closed by the call that gives the thread its table was not copied at all.
    for before, after in reversed(list(pairwise(ends))):
        if before + 1 < after and libc.syscall(
            ctypes.c_long(_CLOSE_RANGE), ctypes.c_uint(before + 1), ctypes.c_uint(after - 1), ctypes.c_uint(_UNSHARE)
        ):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    for _ in range(3):
        os.open(os.devnull, os.O_RDWR)  # the three that libraries write to
