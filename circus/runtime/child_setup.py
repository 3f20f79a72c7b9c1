"""What has to be in force in a child before its first instruction: resource limits, the user, the cgroup.

Soft limits are set in the daemon just around the spawn and restored at once, hard ones are set on the child right
after. Limits that would bite the daemon itself in that half millisecond (CPU, address space, data, processes) go through
a `sh` that sets them and execs the program; so do descriptors, where the daemon has no free number below the limit, and
the stack, whose limit the kernel restores at the end of an exec. A hard limit of the daemon is never lowered: it could
not be raised again.
"""

from __future__ import annotations

import grp
import os
import pwd
import resource
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from typing import Final

from circus.exc import SpawnError
from circus.runtime.fds import ROOM

# What a limit of the daemon itself could break while it is in force there, or what would not last.
_BITING: Final = {"as": "-v", "cpu": "-t", "data": "-d", "nproc": "-u", "stack": "-s"}
_OTHERS: Final = {"nofile": "-n", "core": "-c", "fsize": "-f", "memlock": "-l"}
_UNIT: Final = {"as": 1024, "data": 1024, "stack": 1024, "memlock": 1024, "core": 512, "fsize": 512}
"""Bytes in what the shell counts."""

_CAP_SYS_RESOURCE: Final = 24
_PR_SET_PDEATHSIG: Final = 1

_OF_A_SHELL = ("PWD", "OLDPWD", "SHLVL")
"""Variables that a shell sets and hands on without having been given them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of a watcher, resolved on this system."""

    around: tuple[tuple[int, int], ...]
    """(resource, value) to be in force in the daemon around the spawn."""
    after: tuple[tuple[int, int], ...]
    """(resource, value) to be set soft and hard on the child."""
    script: tuple[str, ...]
    """What a shell in front of the program does, for the biting limits."""

    @property
    def prefix(self) -> tuple[str, ...]:
        """Words before the program: the `sh` that sets the biting limits."""
        return ("/bin/sh", "-c", f'{" && ".join(self.script)} && exec "$@"', "circus") if self.script else ()

    def words(self, env: Mapping[str, str]) -> tuple[str, ...]:
        """These words for a program with that environment: what a shell adds to it of its own is taken away again."""
        shell, option, text, name = self.prefix
        added = " ".join(each for each in _OF_A_SHELL if each not in env)
        return shell, option, f"unset {added}; {text}" if added else text, name

    def fitting(self) -> Limits:
        """The same, in the way that works now: a limit of descriptors below those that we need goes through `sh` too."""
        soft = dict(self.around).get(resource.RLIMIT_NOFILE, ROOM.inherited_soft if ROOM.raised else None)
        if soft is None or ROOM.has_numbers_below(soft):
            return self
        around = tuple(each for each in self.around if each[0] != resource.RLIMIT_NOFILE)
        # What the shell lowers must not be lowered here, so the limit in force stays.
        held = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return Limits((*around, (resource.RLIMIT_NOFILE, held)), self.after, (*self.script, _ulimit("nofile", soft)))

    def for_another_user(self) -> Limits:
        """The same for a child that is of another user by then, whose limits only CAP_SYS_RESOURCE lets us set: the
        shell in front of the program lowers its own. What no shell knows is in force, and its hard limit stays.
        """
        if not self.after or may_limit_others():
            return self
        after: list[tuple[int, int]] = []
        script = list(self.script)
        for number, value in self.after:
            name, hard = _name(number), resource.getrlimit(number)[1]
            if hard != resource.RLIM_INFINITY and not 0 <= value <= hard:
                after.append((number, value))  # nobody may raise it, and that is told
            elif name in _BITING or name in _OTHERS:
                script.append(_ulimit(name, None if value == resource.RLIM_INFINITY else value, hard=True))
        return Limits(self.around, tuple(after), tuple(script))


NO_LIMITS: Final = Limits((), (), ())


def resolve_limits(rlimits: Mapping[str, int | None]) -> Limits:
    """Sort limits (lower-case name without `rlimit_` -> value, None is infinity) by the way they are set.

    Raises:
        SpawnError: stage `rlimit`, for a name that this system does not know.
    """
    around: list[tuple[int, int]] = []
    after: list[tuple[int, int]] = []
    script: list[str] = []
    for name, value in rlimits.items():
        number = getattr(resource, f"RLIMIT_{name.upper()}", None)
        if number is None:
            raise SpawnError("rlimit", f"this system has no resource limit 'rlimit_{name}'")
        wanted = resource.RLIM_INFINITY if value is None else value
        _, hard = resource.getrlimit(number)
        if name == "nofile" and wanted == resource.RLIM_INFINITY:
            wanted = hard
        if name in _BITING and wanted != resource.RLIM_INFINITY:
            # As the shell counts: what it sets and what is set on the child must not be at odds.
            wanted -= wanted % _UNIT.get(name, 1)
        after.append((number, wanted))
        if name in _BITING or not hasattr(resource, "prlimit"):
            script.append(_ulimit(name, value, hard=name == "stack"))
        else:
            fits = hard == resource.RLIM_INFINITY or (wanted != resource.RLIM_INFINITY and wanted <= hard)
            around.append((number, wanted if fits else hard))
    return Limits(tuple(around), tuple(after) if hasattr(resource, "prlimit") else (), tuple(script))


def _ulimit(name: str, value: int | None, *, hard: bool = False) -> str:
    flag = _BITING.get(name) or _OTHERS.get(name)
    if flag is None:
        raise SpawnError("rlimit", f"'rlimit_{name}' cannot be set on this system")
    amount = "unlimited" if value is None else str(value // _UNIT.get(name, 1))
    if name == "nproc":
        # dash calls the number of processes -p, other shells -u.
        soft = "" if hard else "-S "
        return f"{{ ulimit {soft}-u {amount} 2>/dev/null || ulimit {soft}-p {amount}; }}"
    return f"ulimit {flag} {amount}" if hard else f"ulimit -S {flag} {amount}"


def soft_limits(limits: Limits) -> AbstractContextManager[None]:
    """Put soft limits in force in this process for the time of a spawn."""
    wanted = limits.around
    if ROOM.raised and all(number != resource.RLIMIT_NOFILE for number, _ in wanted):
        wanted = (*wanted, (resource.RLIMIT_NOFILE, ROOM.inherited_soft))
    return _in_force(wanted) if wanted else _AS_THEY_ARE


_AS_THEY_ARE: Final = nullcontext()


@contextmanager
def _in_force(wanted: Sequence[tuple[int, int]]) -> Iterator[None]:
    before: list[tuple[int, tuple[int, int]]] = []
    ROOM.turns += 1
    try:
        for number, value in wanted:
            held = resource.getrlimit(number)
            before.append((number, held))
            resource.setrlimit(number, (value, held[1]))
        yield
    finally:
        for number, held in reversed(before):
            resource.setrlimit(number, held)
        ROOM.turns += 1


def set_on_child(pid: int, limits: Limits) -> None:
    """Set soft and hard limits on a child that has just been made.

    Raises:
        SpawnError: stage `rlimit`, when a limit above the hard limit is not permitted.
    """
    for number, value in limits.after:
        try:
            resource.prlimit(pid, number, (value, value))
        except ProcessLookupError:
            return
        except (PermissionError, ValueError) as error:
            raise SpawnError(
                "rlimit", f"no permission to set RLIMIT_{_name(number).upper()} to {value}: {error}"
            ) from error


def _name(number: int) -> str:
    found = next(n for n in dir(resource) if n.startswith("RLIMIT_") and getattr(resource, n) == number)
    return found.removeprefix("RLIMIT_").lower()


def may_limit_others() -> bool:
    """Whether we may set limits of processes of other users: root may not always, in most containers for one."""
    return has_capability(_CAP_SYS_RESOURCE)


@cache
def has_capability(number: int) -> bool:
    """Whether this program has a capability in force; yes where nobody can know."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            held = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    except (OSError, StopIteration, ValueError):
        return True
    return bool(held >> number & 1)


def ask_for_death_signal(signum: int) -> Callable[[], None]:
    """What a child does between fork and exec to get that signal when the thread that made it ends.

    An exec of a program that switches its user by its mode takes it off again.

    Raises:
        SpawnError: this system has no such thing.
    """
    if not sys.platform.startswith("linux"):
        raise SpawnError("fork", "this system has no parent_death_signal (only Linux has)")
    import ctypes

    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0)
        if os.getppid() != parent:  # it has ended before we asked
            os.kill(os.getpid(), signum)

    return ask


def go_in(door: int) -> Callable[[], None]:
    """What a child does between fork and exec to be in a cgroup, whose `cgroup.procs` is open for writing."""

    def enter() -> None:
        # An old kernel asks who writes, not who has opened it. Then our parent puts us in, a little later.
        with suppress(OSError):
            os.write(door, b"0")

    return enter


def in_turn(*steps: Callable[[], None]) -> Callable[[], None]:
    """All of these, one after the other."""

    def take() -> None:
        for step in steps:
            step()

    return take


# The id that means none, and the first that nobody can have.
_NOBODY: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Identity:
    """The user and group a process runs as, with its supplementary groups."""

    uid: int | None
    gid: int | None
    groups: tuple[int, ...] | None


def resolve_identity(uid: int | str | None, gid: int | str | None) -> Identity | None:
    """Names to numbers; None when nothing has to be switched.

    Raises:
        SpawnError: stage `user`, for an unknown name.
    """
    if uid is None and gid is None:
        return None
    for word, given in (("user", uid), ("group", gid)):
        if given is not None and str(given).lstrip("-").isdigit() and not 0 <= int(given) < _NOBODY:
            raise SpawnError("user", f"no such {word}: {given!r}")
    user = None
    if uid is not None:
        try:
            user = pwd.getpwuid(int(uid)) if str(uid).isdigit() else pwd.getpwnam(str(uid))
        except KeyError:
            if not str(uid).isdigit():
                raise SpawnError("user", f"no such user: {uid!r}") from None
    uid_number = user.pw_uid if user is not None else None if uid is None else int(uid)
    try:
        gid_number = (
            (user.pw_gid if user is not None else None)
            if gid is None
            else int(gid)
            if str(gid).isdigit()
            else grp.getgrnam(str(gid)).gr_gid
        )
    except KeyError:
        raise SpawnError("user", f"no such group: {gid!r}") from None
    groups = None
    if user is not None and gid_number is not None:
        groups = tuple(os.getgrouplist(user.pw_name, gid_number))
    if uid_number in (None, os.geteuid()) and gid_number in (None, os.getegid()) and os.geteuid() != 0:
        return None
    return Identity(uid_number, gid_number, groups)
