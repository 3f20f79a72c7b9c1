"""Learn of deaths at once, and collect each status exactly once.

A pidfd per process tells of its end (`ends`); without pidfds SIGCHLD tells that somebody died. Waits only for pids
that it was given; where this program is the main one (circusd), orphans of its processes become its own children, and
are reaped by their pid. Invariant: a process is reported exactly once, and never one that was not watched.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Callable

from circus.core.exit_status import LOST, ExitStatus
from circus.runtime import identity, tree
from circus.runtime.ends import Ends
from circus.runtime.pidfds import handle_on
from circus.runtime.wait_status import exit_status

Report = Callable[[int, ExitStatus], None]
"""Told the pid and how it ended."""

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
        self._ends = Ends(loop, self._has_ended, self._is_unheld) if pidfd_usable() else None
        self._watched: dict[int, Report] = {}
        self._unheld: set[int] = set()
        """Those of whose ends no pidfd tells."""
        self._sigchld = self._told = False
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
        if self._ends is None or own_strangers:
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
        if not self._told and (self._ends is None or not self._ends.are_coming()):
            self._told = True
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._child_ended)

    def _child_ended(self) -> None:
        self._told = False
        if self._unheld:
            self.sweep()  # of some this is the only word
        else:
            if self._ends is not None:
                self._ends.look()
            self._sweep_soon(_STRANGERS_SECONDS)

    def _sweep_soon(self, delay: float) -> None:
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(delay, self._sweep_now)

    def _sweep_now(self) -> None:
        self._sweeping = None
        self.sweep()

    def watch(self, pid: int, report: Report) -> None:
        """Report the end of a child of ours; it must not have been waited for."""
        self._watched[pid] = report
        if self._ends is None:
            self._is_unheld(pid)
        else:
            self._ends.open(pid)

    def _is_unheld(self, pid: int) -> None:
        """No descriptor left, or no pidfds at all: this one is found by SIGCHLD and the sweep."""
        if pid in self._watched:
            self._unheld.add(pid)
            self._listen_to_sigchld()
            self._sweep_soon(0)  # it may have ended before SIGCHLD was listened to
            self._look_again()

    def adopt(self, pid: int, pidfd: int, start: int, report: Report) -> None:
        """Report the end of a process that is not our child, started at that tick; the handle is ours from now on."""
        self._adopted[pid] = start
        self._watched[pid] = report
        assert self._ends is not None
        self._ends.take(pid, pidfd)

    def adopted(self, pid: int) -> tuple[int, int] | None:
        """(handle, tick of its start) of a process that is not our child, None for one that is or is not watched."""
        start = self._adopted.get(pid)
        pidfd = None if start is None or self._ends is None else self._ends.handle(pid)
        return None if start is None or pidfd is None else (pidfd, start)

    def report_to(self, pid: int, report: Report) -> None:
        """Report the end of a process that is watched already to somebody else."""
        if pid in self._watched:
            self._watched[pid] = report

    def _look_again(self) -> None:
        """Sweep every second as long as something is watched of whose end nothing would tell."""
        if self._sigchld or self._timer is not None or not self._unheld:
            return

        def look() -> None:
            self._timer = None
            self.sweep()
            self._look_again()

        self._timer = self._loop.call_later(_BLIND_SECONDS, look)

    def _has_ended(self, pid: int) -> None:
        if self._own_strangers or self._unheld:
            self._sweep_soon(_STRANGERS_SECONDS)  # who else has ended was not looked for at SIGCHLD
        # A report before this one may have led to its end being collected. Who is traced has ended for his tracer first,
        # and when that lets go no pidfd tells it.
        if pid in self._watched and not self._collect(pid):
            self._is_unheld(pid)

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
        pidfd = None if self._ends is None else self._ends.handle(pid)
        assert pidfd is not None
        if not identity.has_ended(pidfd):
            return False
        found = identity.status(pid, self._adopted.pop(pid), pidfd)
        self._report(pid, LOST if found is None else exit_status(found))
        return True

    def _report(self, pid: int, status: ExitStatus) -> None:
        report = self._watched.pop(pid)
        try:
            report(pid, status)  # a successor is started in there, and waits for nothing
        except Exception as error:  # the others that have ended are to be reported all the same
            said = f"the report of the end of process {pid} failed"
            self._loop.call_exception_handler({"message": said, "exception": error})
        finally:
            self._unheld.discard(pid)
            if self._ends is not None:
                self._ends.forget(pid)

    def send_signal(self, pid: int, signum: int) -> None:
        """Signal a watched process; a pid that was reused in the meantime is never hit.

        Raises:
            ProcessLookupError: it is gone.
            PermissionError: not permitted.
        """
        if pid not in self._watched:
            raise ProcessLookupError(pid)
        pidfd = None if self._ends is None else self._ends.handle(pid)
        if pidfd is not None:
            signal.pidfd_send_signal(pidfd, signum)
        elif self._ends is None or not _signal_child(pid, signum):
            # Not reaped yet, so the kernel cannot have given the pid to another.
            os.kill(pid, signum)

    def sweep(self) -> None:
        """Look for deaths that no notification told; cheap when there are none."""
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
        self._watched.clear()
        self._unheld.clear()
        if self._ends is not None:
            self._ends.close()
        for timer in (self._timer, self._sweeping, self._lingering):
            if timer is not None:
                timer.cancel()
        if self._sigchld:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._sigchld = False


def _peeked() -> os.waitid_result | None:
    """The first of our children that have ended and were not waited for; its status is left where it is."""
    return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)


def _signal_child(pid: int, signum: int) -> bool:
    """Signal a child through a handle that is taken now; False when there is no descriptor for one.

    Raises:
        ProcessLookupError: somebody else has waited for it, and the pid may be that of another by now.
    """
    try:
        pidfd = handle_on(pid)
    except ProcessLookupError:
        raise
    except OSError:
        return False
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        signal.pidfd_send_signal(pidfd, signum)
    except ChildProcessError:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH)) from None
    finally:
        os.close(pidfd)
    return True
