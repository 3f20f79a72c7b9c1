"""What has to be in force in a child before its first instruction: resource limits and the user.

Soft limits are set in the daemon just around the spawn and restored at once, hard ones are set on the child right
after. Limits that would bite the daemon itself in that half millisecond (CPU, address space, data, processes) go through
a `sh` that sets them and execs the program. A hard limit of the daemon is never lowered: it could not be raised again.
"""

from __future__ import annotations

import grp
import os
import pwd
import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Final

from circus.exc import SpawnError
from circus.runtime.fds import ROOM

# What a limit of the daemon itself could break while it is in force there.
_BITING: Final = {"as": "-v", "cpu": "-t", "data": "-d", "nproc": "-u"}
_KILOBYTES: Final = frozenset({"as", "data"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of a watcher, resolved on this system."""

    around: tuple[tuple[int, int], ...]
    """(resource, value) to be in force in the daemon around the spawn."""
    after: tuple[tuple[int, int], ...]
    """(resource, value) to be set soft and hard on the child."""
    prefix: tuple[str, ...]
    """Words before the program: the `sh` that sets the biting limits."""


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
        after.append((number, wanted))
        if name in _BITING or not hasattr(resource, "prlimit"):
            script.append(_ulimit(name, value))
        else:
            fits = hard == resource.RLIM_INFINITY or (wanted != resource.RLIM_INFINITY and wanted <= hard)
            around.append((number, wanted if fits else hard))
    prefix = ("/bin/sh", "-c", f'{" && ".join(script)} && exec "$@"', "circus") if script else ()
    return Limits(tuple(around), tuple(after) if hasattr(resource, "prlimit") else (), prefix)


def _ulimit(name: str, value: int | None) -> str:
    flag = _BITING.get(name) or {"nofile": "-n", "core": "-c", "stack": "-s", "fsize": "-f", "memlock": "-l"}.get(name)
    if flag is None:
        raise SpawnError("rlimit", f"'rlimit_{name}' cannot be set on this system")
    amount = "unlimited" if value is None else str(ceil(value / 1024) if name in _KILOBYTES else value)
    if name == "nproc":
        # dash calls the number of processes -p, other shells -u.
        return f"{{ ulimit -S -u {amount} 2>/dev/null || ulimit -S -p {amount}; }}"
    return f"ulimit -S {flag} {amount}"


@contextmanager
def soft_limits(limits: Limits) -> Iterator[None]:
    """Put soft limits in force in this process for the time of a spawn."""
    wanted = limits.around
    if ROOM.raised and all(number != resource.RLIMIT_NOFILE for number, _ in wanted):
        wanted = (*wanted, (resource.RLIMIT_NOFILE, ROOM.inherited_soft))
    if not wanted:
        yield
        return
    before: list[tuple[int, tuple[int, int]]] = []
    try:
        for number, value in wanted:
            held = resource.getrlimit(number)
            before.append((number, held))
            resource.setrlimit(number, (value, held[1]))
        yield
    finally:
        for number, held in reversed(before):
            resource.setrlimit(number, held)


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
            name = next(n for n in dir(resource) if n.startswith("RLIMIT_") and getattr(resource, n) == number)
            raise SpawnError("rlimit", f"no permission to set {name} to {value}: {error}") from error


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
