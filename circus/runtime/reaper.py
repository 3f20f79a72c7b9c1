"""Learn of deaths at once, and collect each status exactly once.

A pidfd per process, all of them in one epoll that the loop watches (the loop's own handle and key for each would cost
more memory than the rest of a watched process); without pidfds SIGCHLD tells that somebody died. Waits only for pids
that it was given; where this program is the main one (circusd), orphans of its processes become its own children, and
are reaped by their pid. Invariant: a process is reported exactly once, and never one that was not watched.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
from collections.abc import Callable

from circus.core.exit_status import LOST, ExitStatus
from circus.runtime import identity, tree
from circus.runtime.fds import ROOM
from circus.runtime.wait_status import exit_status

Report = Callable[[int, ExitStatus], None]
"""Told the pid and how it ended."""

_DEATHS_PER_TURN = 64
"""At most so many are collected before the loop gets its turn; each leads to records, and perhaps to a fork."""

_TURN_SECONDS = 0.002
"""Nor are more begun after this time: requests wait meanwhile."""

_ORPHANS_SHARE = 10
"""How many times what it took a list of orphans may be old, where an old one is good enough: with a thousand children
reading it takes most of a millisecond, and with a thousand deaths it is wanted as often."""

_STRANGERS_SECONDS = 0.1
"""Orphans that have ended can wait so long, and many are reaped at once; of our own processes the pidfds tell."""

_FOREIGN_SECONDS = 60.0
"""A dead child of our own session may be somebody's in this program, of a hook for one: its status is left that long."""

_BLIND_SECONDS = 1.0
"""How often to look for the dead where neither a pidfd nor SIGCHLD tells of them."""


def pidfd_usable() -> bool:
    """Whether deaths can be told by pidfds here; CIRCUS_REAPER=sigchld says no."""
    if os.environ.get("CIRCUS_REAPER") == "sigchld" or not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


class Reaper:
    """Watches processes for one loop.

    Args:
        loop: where reports are made.
        own_strangers: adopt the orphans of our processes, and reap children that nobody watches; only for the main
            program.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, own_strangers: bool = False) -> None:
        self._loop = loop
        self._own_strangers = own_strangers
        self._pidfds = pidfd_usable()
        self._epoll: select.epoll | None = None
        self._by_pidfd: dict[int, int] = {}
        self._watched: dict[int, tuple[int | None, Report]] = {}
        self._sigchld = self._told = self._expected = False
        self._timer: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._lingering: asyncio.TimerHandle | None = None
        self.strangers = 0
        """Children of others that were reaped here."""
        self._adopted: dict[int, int] = {}
        """Those that are not our children, by pid: the ticks of their starts."""
        self._foreign: dict[tuple[int, float], float] = {}
        self._orphans: list[int] = []
        self._orphans_good = float("-inf")
        self.adopts = own_strangers and (os.getpid() == 1 or tree.become_subreaper())
        """Whether orphans of our processes become children of this program."""
        if not self._pidfds or own_strangers:
            self._listen_to_sigchld()

    def _listen_to_sigchld(self) -> None:
        # A handler that somebody else has is his; a second one would silently take its place.
        if self._sigchld or signal.getsignal(signal.SIGCHLD) not in (signal.SIG_DFL, signal.SIG_IGN):
            return
        try:
            # Not the loop's own handler: that one writes a byte for each signal into a socket, and when a thousand
            # children end at once the socket is full, and the byte of a SIGTERM is lost among theirs.
            signal.signal(signal.SIGCHLD, self._caught)
            self._sigchld = True
        except ValueError:
            # Not the main thread: the sweep alone finds the dead.
            self._sigchld = False

    def _caught(self, *_: object) -> None:
        # Runs before the loop hears of the pidfd, so most deaths must cost next to nothing here.
        if self._told or self._expected:
            return
        self._expected = self._pidfd_tells()  # then who else has died is looked for after it
        self._told = not self._expected
        if self._told:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._child_ended)

    def _pidfd_tells(self) -> bool:
        try:
            peeked = _peeked()
        except (ChildProcessError, AttributeError):
            return False
        watched = None if peeked is None else self._watched.get(peeked.si_pid)
        return watched is not None and watched[0] is not None

    def _child_ended(self) -> None:
        self._told = False
        if len(self._by_pidfd) < len(self._watched) or not self._pidfds:
            self.sweep()  # of some this is the only word
        else:
            self._sweep_soon(_STRANGERS_SECONDS)

    def _sweep_soon(self, delay: float) -> None:
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(delay, self._sweep_now)

    def _sweep_now(self) -> None:
        self._sweeping = None
        self.sweep()

    def watch(self, pid: int, report: Report) -> None:
        """Report the end of a child of ours; it must not have been waited for."""
        pidfd: int | None = None
        if self._pidfds:
            try:
                pidfd = ROOM.move_up(os.pidfd_open(pid))
            except OSError:
                # No descriptor left: this one is found by SIGCHLD and the sweep.
                self._listen_to_sigchld()
        self._keep(pid, pidfd, report)

    def _keep(self, pid: int, pidfd: int | None, report: Report) -> None:
        self._watched[pid] = (pidfd, report)
        if pidfd is not None:
            self._by_pidfd[pidfd] = pid
            self._deaths_told().register(pidfd, select.EPOLLIN)
        else:
            self._look_again()

    def adopt(self, pid: int, pidfd: int, start: int, report: Report) -> None:
        """Report the end of a process that is not our child, started at that tick; the handle is ours from now on."""
        self._adopted[pid] = start
        self._keep(pid, ROOM.move_up(pidfd), report)

    def adopted(self, pid: int) -> tuple[int, int] | None:
        """(handle, tick of its start) of a process that is not our child, None for one that is or is not watched."""
        start = self._adopted.get(pid)
        pidfd = self._watched[pid][0] if start is not None else None
        return None if start is None or pidfd is None else (pidfd, start)

    def report_to(self, pid: int, report: Report) -> None:
        """Report the end of a process that is watched already to somebody else."""
        if pid in self._watched:
            self._watched[pid] = (self._watched[pid][0], report)

    def _deaths_told(self) -> select.epoll:
        if self._epoll is None:
            self._epoll = select.epoll()
            self._loop.add_reader(self._epoll.fileno(), self._readable)
        return self._epoll

    def _look_again(self) -> None:
        """Sweep every second as long as something is watched of whose end nothing would tell."""
        if self._sigchld or self._timer is not None or all(fd is not None for fd, _ in self._watched.values()):
            return

        def look() -> None:
            self._timer = None
            self.sweep()
            self._look_again()

        self._timer = self._loop.call_later(_BLIND_SECONDS, look)

    def _readable(self) -> None:
        # Level-triggered, as the epoll of the loop is: what is left over is told again at its next turn.
        if self._expected:
            self._expected = False
            self._sweep_soon(_STRANGERS_SECONDS)
        over = self._loop.time() + _TURN_SECONDS
        for pidfd, _ in self._deaths_told().poll(0, _DEATHS_PER_TURN):
            pid = self._by_pidfd.get(pidfd)
            if pid is not None:  # or a report before this one has led to its end being collected
                self._collect(pid)
                if self._loop.time() >= over:
                    return

    def _collect(self, pid: int) -> bool:
        if pid in self._adopted:
            return self._collect_adopted(pid)
        try:
            got, status, usage = os.wait4(pid, os.WNOHANG)
        except ChildProcessError:
            # Somebody else waited for it; it is gone, and nobody can know how.
            self._report(pid, LOST)
            return True
        if got == 0:
            return False
        self._report(pid, exit_status(status, usage))
        return True

    def _collect_adopted(self, pid: int) -> bool:
        pidfd = self._watched[pid][0]
        assert pidfd is not None
        if not identity.has_ended(pidfd):
            return False
        found = identity.status(pid, self._adopted.pop(pid), pidfd)
        self._report(pid, LOST if found is None else exit_status(found))
        return True

    def _report(self, pid: int, status: ExitStatus) -> None:
        pidfd, report = self._watched.pop(pid)
        try:
            report(pid, status)  # a successor is started in there, and waits for nothing
        finally:
            if pidfd is not None:
                self._forget(pidfd)

    def _forget(self, pidfd: int) -> None:
        if self._epoll is not None:  # the report may have led to the end of all
            self._epoll.unregister(pidfd)
        del self._by_pidfd[pidfd]
        os.close(pidfd)

    def send_signal(self, pid: int, signum: int) -> None:
        """Signal a watched process; a pid that was reused in the meantime is never hit.

        Raises:
            ProcessLookupError: it is gone.
            PermissionError: not permitted.
        """
        if pid not in self._watched:
            raise ProcessLookupError(pid)
        pidfd = self._watched[pid][0]
        if pidfd is not None:
            signal.pidfd_send_signal(pidfd, signum)
        else:
            # Not reaped yet, so the kernel cannot have given the pid to another.
            os.kill(pid, signum)

    def sweep(self) -> None:
        """Look for deaths that no notification told; cheap when there are none."""
        self._expected = False  # whose pidfd was to tell may be collected here
        if self._own_strangers:
            self._reap_by_peeking()
            return
        if self._nobody_died():
            return
        for pid in list(self._watched):
            if pid in self._watched:
                self._collect(pid)

    def _nobody_died(self) -> bool:
        try:
            return _peeked() is None
        except (ChildProcessError, AttributeError):
            return False

    def orphans(self, cached: bool = False) -> list[int]:
        """Children of this program that nobody watches; when `cached`, as of some milliseconds ago."""
        if not self.adopts:
            return []
        began = self._loop.time()
        if not cached or began >= self._orphans_good:
            self._orphans = [pid for pid in tree.children(os.getpid()) if pid not in self._watched]
            ended = self._loop.time()
            self._orphans_good = ended + _ORPHANS_SHARE * (ended - began)
        return self._orphans

    def _reap_by_peeking(self) -> None:
        over = self._loop.time() + _TURN_SECONDS
        while self._loop.time() < over:
            try:
                peeked = _peeked()
            except ChildProcessError:
                peeked = None
            if peeked is None:
                return
            if peeked.si_pid in self._watched:
                self._collect(peeked.si_pid)
            elif not self._reap_stranger(peeked.si_pid):
                # It would be the first to be seen again and again, so the others are looked for one by one.
                self._reap_one_by_one()
                return
        self._sweep_soon(0)

    def _reap_one_by_one(self) -> None:
        for pid in tree.children(os.getpid()):
            if pid in self._watched:
                self._collect(pid)
            else:
                found = tree.facts(pid)
                if found is not None and found.dead:
                    self._reap_stranger(pid)

    def _reap_stranger(self, pid: int) -> bool:
        found, now = tree.facts(pid), self._loop.time()
        if found is not None and found.session == os.getsid(0):
            left = self._foreign.setdefault((pid, found.started), now) + _FOREIGN_SECONDS - now
            if left > 0:
                self._foreign = {each: at for each, at in self._foreign.items() if now - at < 2 * _FOREIGN_SECONDS}
                if self._lingering is None:
                    self._lingering = self._loop.call_later(left, self._look_at_lingering)
                return False
            del self._foreign[pid, found.started]
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return True  # whose it was has taken it
        self.strangers += 1
        return True

    def _look_at_lingering(self) -> None:
        self._lingering = None
        self.sweep()

    def close(self) -> None:
        """Stop watching; the processes stay as they are."""
        for pidfd, _ in self._watched.values():
            if pidfd is not None:
                self._forget(pidfd)
        self._watched.clear()
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
        for timer in (self._timer, self._sweeping, self._lingering):
            if timer is not None:
                timer.cancel()
        if self._sigchld:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._sigchld = False


def _peeked() -> os.waitid_result | None:
    """The first of our children that have ended and were not waited for; its status is left where it is."""
    return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
