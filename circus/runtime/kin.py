"""All that belongs to one process: its descendants, also those that left its session or lost their parents.

Finds them by walking down from the process, by its cgroup, among the orphans that this program adopted (by their
session, or by a mark in their environment), and where there are neither by looking for the mark in the whole system.
Signals through pidfds. Invariant: nobody is signalled who was not seen to belong here after a handle on him was taken,
so a pid that was given anew is never hit.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from circus.runtime import tree
from circus.runtime.pidfds import handle_on

if TYPE_CHECKING:
    from circus.runtime.cgroup import Group

MARK: Final = "CIRCUS_PROCESS"
"""The variable in the environment of the processes of a tree."""


def mark_of(boot: str, watcher: str, wid: int, generation: int) -> str:
    """Its value: which process of which watcher, of which circusd."""
    return f"{boot}:{watcher}:{wid}:{generation}"


_ROUNDS: Final = 20
"""How often to look again at once while somebody was missed, or SIGKILL is repeated while others turn up."""

_SCANS: Final = 3
"""So often at most when it costs much."""

_FRESH_SECONDS: Final = 0.1
"""How old a look at the whole system may be, so that many stops at once cost one."""

Way = Literal["cgroup", "walk", "adoption", "mark"]
WAYS: Final[frozenset[Way]] = frozenset({"cgroup", "walk", "adoption", "mark"})


def ways() -> frozenset[Way]:
    """How to find who belongs to a process: all ways, unless CIRCUS_KILL_BY names some, as tests do."""
    named = os.environ.get("CIRCUS_KILL_BY")
    return WAYS if not named else frozenset(way for way in WAYS if way in named.split(","))


class Member(msgspec.Struct):
    """One of them, found alive."""

    pid: int
    name: str
    started: float
    pidfd: int | None

    @property
    def seen(self) -> bool:
        """It was looked at; or else it is only known that somebody lives."""
        return self.started >= 0


class Kin:
    """What belongs to the process `pid`, which leads a session and a group of its own.

    Args:
        pid: the process.
        adopted: the orphans that this program has adopted, the same ones for a moment when asked so; None where it
            adopts none.
        mark: the value of MARK in its environment, None where it has none.
        group: its cgroup, None where it has none.
        by: the ways to find them.
    """

    def __init__(
        self,
        pid: int,
        *,
        adopted: Callable[[bool], list[int]] | None,
        mark: str | None = None,
        group: Group | None = None,
        by: frozenset[Way] = WAYS,
    ) -> None:
        self.pid, self.mark = pid, mark
        self.members: dict[int, Member] = {}
        self._adopted = adopted if "adoption" in by else None
        self._entry = f"{MARK}={mark}".encode() if mark is not None and "mark" in by else None
        self.group = group if "cgroup" in by else None
        self._walks = "walk" in by or "adoption" in by
        self._sessions = {pid}
        self._mark = mark.encode() if mark is not None else b""
        self.main_gone = False
        """The process itself has ended and its pid may be somebody else's."""
        self.killed = False
        """SIGKILL was sent, perhaps to the process alone."""
        self._killed: set[int] | None = None
        self._began, self._missed = time.monotonic(), False
        self._corpses: set[tuple[int, float]] = set()

    def look(self, scope: str = "tree", *, age: float = _FRESH_SECONDS) -> list[Member]:
        """Who lives now; with `group` only those of the process group. `age`: how old what costs much may be, in seconds."""
        for member in list(self.members.values()):
            found = tree.facts(member.pid)
            if found is None or found.dead or found.started != member.started:
                self._drop(member)
        self._find(age)
        if scope == "tree":
            return list(self.members.values())
        return [each for each in self.members.values() if self._is_of_group(each.pid)]

    def rest(self, scope: str, *, age: float = 0.0) -> list[Member]:
        """As `look`, of what an ended process has left: empty only when nobody is."""
        found = self.look(scope, age=age)
        if found or scope != "tree" or self.group is None or not self.group.populated():
            return found
        return [Member(pid, "not seen", -1.0, None) for pid in self.group.pids() or [0]]

    def signal(self, signum: int, scope: str) -> list[int]:
        """Signal those who live; the pids that were reached. With SIGKILL until nobody new turns up."""
        reached: list[int] = []
        for turn in range(_ROUNDS if signum == signal.SIGKILL else 1):
            found = self.look(scope, age=0.0 if turn else _FRESH_SECONDS)
            news = [each for each in found if each.pid not in reached]
            if signum == signal.SIGKILL and scope == "tree" and self.group is not None:
                self.group.kill()
            reached += [each.pid for each in news if _send(each, signum)]
            if signum == signal.SIGKILL:
                self.killed, self._killed = True, {each.pid for each in found}
            if not news:
                break
        return reached

    def spared(self, left: list[Member]) -> bool:
        """Whether SIGKILL was sent to them all, and one of these did not get it: he was not there then, or was not seen."""
        return self._killed is not None and any(not each.seen or each.pid not in self._killed for each in left)

    def close(self) -> None:
        """Let go of the handles, and of the cgroup."""
        for member in list(self.members.values()):
            self._drop(member)
        if self.group is not None:
            self.group.remove()

    def _drop(self, member: Member) -> None:
        del self.members[member.pid]
        if member.pidfd is not None:
            os.close(member.pidfd)

    def _find(self, age: float) -> None:
        """Look until nobody was missed: who has ended before he was looked at may have forked one more before. Who shall
        not be ended with the process, as it has no mark, may be missed.
        """
        dead = self._corpses
        for turn in range(_ROUNDS if self.mark is not None else 1):
            self._missed, self._corpses = False, set()
            self._find_once(0.0 if 0 < turn < _SCANS else max(age, _FRESH_SECONDS) if turn else age)
            self._missed = self._missed or not self._corpses <= dead
            dead = dead | self._corpses
            unseen = self.main_gone and not self.members and self.group is not None and self.group.populated()
            if not self._missed and not unseen:
                break

    def _find_once(self, age: float) -> None:
        if self.group is not None:
            for pid in self.group.pids():
                self._take(pid, self._is_grouped)
        if self._walks:
            if not self.main_gone:
                self._walk(self.pid)
            for pid in list(self.members):
                self._walk(pid)
        for pid in self._adopted(age > 0) if self._adopted is not None else ():
            self._take(pid, self._is_ours)
        if self._entry is not None and self._adopted is None:
            if self.group is not None:
                # Only those are outside who were forked before the process was put in: no news of this moment.
                age = min(max(age, _FRESH_SECONDS), time.monotonic() - self._began)
            for pid in _marked(self._mark, age):
                self._take(pid, self._is_marked)

    def _walk(self, parent: int) -> None:
        below = [(parent, child) for child in tree.children(parent)]
        for above, pid in below:
            if self._take(pid, lambda _, found, above=above: found.parent == above):  # type: ignore[misc]
                below += [(pid, child) for child in tree.children(pid)]

    def _take(self, pid: int, belongs: Callable[[int, tree.Facts], bool]) -> bool:
        """Take a handle on a process that seems to be one of ours, then see whether it is."""
        if pid in self.members or pid == self.pid or pid == os.getpid():
            return False
        found = tree.facts(pid)
        if found is None or found.dead:
            self._note_death(pid, found)
            return False
        if not belongs(pid, found):
            now = tree.facts(pid) if self.mark is not None else found
            if now is None or now.dead:
                self._note_death(pid, now)  # what was read of it may have been of a dead one
            return False
        pidfd: int | None = None
        if hasattr(os, "pidfd_open"):
            try:
                pidfd = handle_on(pid)
            except ProcessLookupError:
                self._missed = True
                return False
            except OSError:
                pidfd = None  # no descriptor left: the bare pid has to do
        found = tree.facts(pid)
        if found is None or found.dead or not belongs(pid, found):
            if pidfd is not None:
                os.close(pidfd)
            self._missed = True
            return False
        if found.session != os.getsid(0):
            self._sessions.add(found.session)
        self.members[pid] = Member(pid, found.name, found.started, pidfd)
        return True

    def _note_death(self, pid: int, found: tree.Facts | None) -> None:
        """The dead are there until somebody reaps them, and are missed but once."""
        if found is None:
            self._missed = True
        else:
            self._corpses.add((pid, found.started))

    def _is_ours(self, pid: int, found: tree.Facts) -> bool:
        return found.session in self._sessions or found.group == self.pid or self._is_marked(pid, found)

    def _is_grouped(self, pid: int, _: tree.Facts) -> bool:
        return self.group is not None and self.group.has(pid)

    def _is_marked(self, pid: int, _: tree.Facts) -> bool:
        return self._entry is not None and tree.has_in_environment(pid, self._entry)

    def _is_of_group(self, pid: int) -> bool:
        found = tree.facts(pid)
        return found is not None and found.group == self.pid


_marks: tuple[float, dict[bytes, list[int]]] = (float("-inf"), {})


def _marked(mark: bytes, age: float) -> list[int]:
    """All processes of the system with that mark, as of at most `age` seconds ago."""
    global _marks
    now = time.monotonic()
    if now - _marks[0] >= age:
        _marks = (now, tree.with_environment(MARK.encode()))
    return _marks[1].get(mark, [])


def _send(member: Member, signum: int) -> bool:
    try:
        if member.pidfd is not None:
            signal.pidfd_send_signal(member.pidfd, signum)
        else:
            os.kill(member.pid, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True
