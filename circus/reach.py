"""How far a signal to a process reaches, and what is left of its tree when it has ended, for all watchers of an arbiter.

Performs; what shall be reached is decided in core. Owns the cgroups and marks of processes whose scope is wider than
themselves. Invariant: what is opened for a process is closed when it is forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from circus.core.exit_status import Leftover
from circus.process import Process
from circus.runtime.kin import MARK, Kin, Member, mark_of, ways
from circus.runtime.reaper import Reaper

if TYPE_CHECKING:
    from circus.runtime.cgroup import Group, Groups

_AGAIN_SECONDS: Final = 0.5
"""How often to look who is left, beside being told of deaths: somebody may have been started meanwhile."""
_UNSEEN_SECONDS: Final = 0.02
"""The same while somebody is left who could not be seen yet, of whose death nothing tells."""


Told = Callable[[tuple[Leftover, ...]], None]


class Reach:
    """Kin of processes, by process.

    Args:
        loop: where deaths are told.
        reaper: which knows the orphans that this program adopted.
        boot: makes marks unique.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, reaper: Reaper, boot: str) -> None:
        self._loop, self._reaper, self._boot = loop, reaper, boot
        self._by = ways()
        self._kin: dict[int, Kin] = {}
        self._vigils: dict[int, _Vigil] = {}
        self._groups: Groups | None = None
        self._opened = False

    def mark(self, name: str, wid: int, generation: int) -> dict[str, str]:
        """What the environment of a process with a wide scope has besides its own."""
        return {MARK: mark_of(self._boot, name, wid, generation)}

    def expect(self, name: str, wid: int, generation: int, scope: str) -> Group | None:
        """A cgroup for a process with a wide scope that is started now; None where there is none.

        Its door is open where nobody of its tree may be missed: the child goes in before it executes anything, or what it
        forks first would be left outside. That costs a fork instead of a vfork, and is not done in a program of
        somebody else, whose threads may hold any lock at that moment.
        """
        if "cgroup" not in self._by:
            return None
        self._open_groups()
        group = None if self._groups is None else self._groups.make(_group_name(name, wid, generation))
        if group is not None and scope == "tree" and self._reaper.adopts:
            group.open()
        return group

    def born(self, process: Process, mark: dict[str, str], group: Group | None) -> None:
        """A process with a wide scope has just been started, for which that cgroup was made."""
        if group is not None:
            group.shut()
            if not group.has(process.pid) and not group.join(process.pid):
                group.remove()
                group = None
        self._kin[process.pid] = Kin(process.pid, adopted=self._adopted, mark=mark[MARK], group=group, by=self._by)

    def adopt(self, process: Process, mark: str, path: str | None, *, ended: bool) -> None:
        """A process of another circusd, in whose environment the mark is: its orphans do not become ours."""
        group = None
        if path is not None and os.path.isdir(path):
            from circus.runtime.cgroup import Group

            group = Group(path)
        self._kin[process.pid] = Kin(process.pid, adopted=None, mark=mark, group=group, by=self._by)
        self._kin[process.pid].main_gone = ended

    def mark_of(self, pid: int) -> str | None:
        """What is in the environment of a process, if we put something there and need it."""
        kin = self._kin.get(pid)
        return None if kin is None else kin.mark

    def group_of(self, pid: int) -> str | None:
        """Where the cgroup of a process is, if it has one of its own."""
        kin = self._kin.get(pid)
        return None if kin is None or kin.group is None else kin.group.path

    def take_over(self, process: Process, mark: dict[str, str], *, ended: bool) -> None:
        """A process with a wide scope that was started by another program, of the same boot."""
        group = None
        if "cgroup" in self._by:
            self._open_groups()
            name = _group_name(process.name, process.wid, process.generation)
            group = None if self._groups is None else self._groups.find(name, 0 if ended else process.pid)
        self._kin[process.pid] = Kin(process.pid, adopted=self._adopted, mark=mark[MARK], group=group, by=self._by)
        self._kin[process.pid].main_gone = ended

    def _open_groups(self) -> None:
        if not self._opened:
            from circus.runtime.cgroup import Groups

            self._opened, self._groups = True, Groups.open()

    @property
    def _adopted(self) -> Callable[[bool], list[int]] | None:
        return self._reaper.orphans if self._reaper.adopts else None

    def _of(self, pid: int) -> Kin:
        if pid not in self._kin:
            self._kin[pid] = Kin(pid, adopted=self._adopted, by=self._by)
        return self._kin[pid]

    def signal(self, process: Process, signum: int, scope: str) -> tuple[int, ...]:
        """Signal a process and what belongs to it; the pids that were reached.

        Raises:
            PermissionError: the process itself may not be signalled.
        """
        kin, reached = self._of(process.pid), []
        # Read before the parent is signalled: once it is gone its children are somebody else's.
        kin.look()
        if not kin.main_gone:
            with contextlib.suppress(ProcessLookupError):  # its end is already on the way to us
                process.send_signal(signum)
                reached.append(process.pid)
                kin.killed = kin.killed or signum == signal.SIGKILL
        if scope != "main":
            reached += kin.signal(signum, scope)
        return tuple(reached)

    def leftovers(self, process: Process, scope: str) -> tuple[Leftover, ...] | None:
        """Who lives on of what belonged to a process that has ended; None where nobody can know."""
        known = process.pid in self._kin or self._reaper.adopts
        kin = self._of(process.pid)
        kin.main_gone = True
        if not known:
            return None
        # Who shall be ended with it must not be missed; who is only named may be.
        found = kin.look(age=1.0) if scope == "main" else kin.rest(scope)
        return _named(found)

    def await_end(self, pid: int, scope: str, left: Told) -> None:
        """Tell who is left of what belonged to an ended process, whenever it is somebody else, until nobody is."""
        vigil = self._vigils[pid] = _Vigil(self._loop, lambda: self._left(pid, scope), left)
        vigil.look()

    def _left(self, pid: int, scope: str) -> list[Member]:
        kin = self._of(pid)
        left = kin.rest(scope)
        if kin.spared(left):
            kin.signal(signal.SIGKILL, scope)
            left = kin.rest(scope)
        return left

    def outlived(self, process: Process) -> list[int]:
        """Who was sent SIGKILL, of a process and what belongs to it, and lived on when he was last seen."""
        kin = self._kin.get(process.pid)
        if kin is None or not kin.killed:
            return []
        return [*([process.pid] if process.is_alive() else []), *kin.members]

    def forget(self, pid: int) -> None:
        """The process is done with."""
        vigil = self._vigils.pop(pid, None)
        if vigil is not None:
            vigil.close()
        kin = self._kin.pop(pid, None)
        if kin is not None:
            kin.close()

    def close(self) -> None:
        """Forget all of them."""
        for pid in list(self._kin):
            self.forget(pid)
        if self._groups is not None:
            self._groups.close()


def _named(found: list[Member]) -> tuple[Leftover, ...]:
    return tuple(Leftover(each.pid, each.name) for each in found)


def _group_name(name: str, wid: int, generation: int) -> str:
    return f"{name}.{wid}.{generation}"


class _Vigil:
    """Waits for the end of processes that are not ours to reap."""

    def __init__(self, loop: asyncio.AbstractEventLoop, living: Callable[[], list[Member]], tell: Told) -> None:
        self._loop, self._living, self._tell = loop, living, tell
        self._told: tuple[Leftover, ...] = ()
        self._watched: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        self.close()
        left = self._living()
        if not left:
            self._timer = self._loop.call_later(0, self._tell, ())
            return
        named = _named(left)
        if named != self._told:
            self._told = named
            self._loop.call_soon(self._tell, named)
        for member in left:
            if member.pidfd is not None:
                self._loop.add_reader(member.pidfd, self.look)
                self._watched.append(member.pidfd)
        seen = all(member.seen for member in left)
        self._timer = self._loop.call_later(_AGAIN_SECONDS if seen else _UNSEEN_SECONDS, self.look)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for pidfd in self._watched:
            self._loop.remove_reader(pidfd)
        self._watched.clear()
