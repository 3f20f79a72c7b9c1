"""What this machine calls its signals and limits, and who its users are.

Owns the questions that a configuration asks the operating system. Nothing is asked at import.
"""

from __future__ import annotations

import grp
import os
import pwd
import resource
import signal
import socket
import sys
from functools import cache

from circus.spec import scalars
from circus.spec.scalars import Platform


@cache
def this_platform() -> Platform:
    """The names of the running Python, which are right for its architecture and C library."""
    return Platform(
        signals={name: int(member) for name, member in signal.Signals.__members__.items()},
        rlimits=frozenset(
            name.removeprefix("RLIMIT_").lower() for name in vars(resource) if name.startswith("RLIMIT_")
        ),
    )


def to_signum(value: int | str) -> int:
    """Read a signal as this machine numbers it: 15, `15`, `TERM`, `SIGTERM`, `sigterm`, `SIGRTMIN+2`."""
    return scalars.to_signum(value, this_platform().signals)


def user_exists(user: int | str) -> bool:
    """Whether the machine knows this user, by name or id."""
    try:
        if isinstance(user, int):
            pwd.getpwuid(user)
        else:
            pwd.getpwnam(user)
    except (KeyError, OverflowError):
        return False
    return True


def group_exists(group: int | str) -> bool:
    """Whether the machine knows this group, by name or id."""
    try:
        if isinstance(group, int):
            grp.getgrgid(group)
        else:
            grp.getgrnam(group)
    except (KeyError, OverflowError):
        return False
    return True


def reaches_network(endpoint: str) -> bool:
    """Whether others than this machine can connect to an endpoint; True where it cannot be told."""
    if not endpoint.startswith("tcp://"):
        return False
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    if host in {"lo", "lo0"}:  # libzmq takes interfaces for hosts
        return False
    if host in {"*", ""}:
        return True
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return True
    return not all(str(address[0]).startswith("127.") or address[0] == "::1" for *_, address in found)


def missing_virtualenv(virtualenv: str, python_version: str | None) -> str | None:
    """Why this virtual environment cannot be used, or None when it can."""
    version = python_version or f"{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [os.path.join(virtualenv, "lib", f"{name}{version}", "site-packages") for name in ("python", "pypy")]
    if any(map(os.path.isdir, candidates)):
        return None
    if not os.path.isdir(virtualenv):
        return "there is no such directory"
    return f"there is no {candidates[0]}; virtualenv_py_ver names another Python version"
