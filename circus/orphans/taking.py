"""What can be had of a worker that lives on without its circusd: its listening sockets, and its output.

Owns the descriptors until they are given away. Invariant: a descriptor leads to what was noted, by its inode.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from circus.core.survivors import Survivor
from circus.exc import SocketError
from circus.runtime import identity
from circus.sockets import CircusSocket
from circus.spec.sockets import SocketSpec


class Taken(msgspec.Struct):
    """A worker to be taken over, with a handle on it, and its outputs to be read on."""

    survivor: Survivor
    pidfd: int
    pipes: dict[str, int]
    outdated: tuple[str, ...]


class Found(msgspec.Struct):
    """What came of it. `sockets` are descriptors of listening sockets by name, `regained` says how many there were; `boot`
    is that of the circusd before. `spared` are those who were left alone, of whom there are notes, and `inodes` those of
    the sockets that were noted; `in_the_way` says of a socket who of them holds its address.
    """

    boot: str = ""
    taken: list[Taken] = msgspec.field(default_factory=list)
    sockets: dict[str, int] = msgspec.field(default_factory=dict)
    spared: list[Survivor] = msgspec.field(default_factory=list)
    inodes: dict[str, int] = msgspec.field(default_factory=dict)
    in_the_way: dict[str, str] = msgspec.field(default_factory=dict)
    ended: int = 0
    left: int = 0
    regained: int = 0

    def close(self) -> None:
        """Let go of what nobody has taken."""
        for fd in self.sockets.values():
            os.close(fd)
        for taken in self.taken:
            for fd in (taken.pidfd, *taken.pipes.values()):
                os.close(fd)
        self.sockets.clear()
        self.taken.clear()


def take_back(
    found: Found, wished: Iterable[tuple[Survivor, int]], specs: Sequence[SocketSpec], noted: Mapping[str, int]
) -> dict[str, str]:
    """Get sockets back, which were noted with these inodes; why others could not be, by name."""
    ours = {spec.name: spec for spec in specs if not spec.so_reuseport}
    found.sockets, lost = _take_sockets(wished, {name: inode for name, inode in noted.items() if name in ours})
    for name, fd in list(found.sockets.items()):
        if not _fits(ours[name], fd):
            lost[name] = "has another address now"
            os.close(found.sockets.pop(name))
    # Each process has one of its own, at a port that was free when the first of them was started.
    random = (spec.name for spec in specs if spec.so_reuseport and spec.port == 0)
    return lost | dict.fromkeys(random, "has no port that stays")


def holders(
    living: Iterable[tuple[Survivor, int]], specs: Sequence[SocketSpec], noted: Mapping[str, int]
) -> dict[str, list[Survivor]]:
    """Who has which socket open, by its name: one that was noted, and is at the very address that is asked for now."""
    ours = {spec.name: spec for spec in specs if not spec.so_reuseport and noted.get(spec.name)}
    found: dict[str, list[Survivor]] = {}
    for survivor, pidfd in living if ours else ():
        there = identity.sockets_of(survivor.worker.pid)
        for name, spec in ours.items():
            fd = there.get(noted[name])
            if fd is not None and (name in found or _is_at(pidfd, fd, spec)):
                found.setdefault(name, []).append(survivor)
    return found


def _is_at(pidfd: int, number: int, spec: SocketSpec) -> bool:
    """Whether a descriptor of another process is the socket that a configuration asks for; False where we may not look."""
    try:
        fd = identity.take(pidfd, number)
    except OSError:
        return False
    try:
        return _fits(spec, fd)
    finally:
        os.close(fd)


def _fits(spec: SocketSpec, fd: int) -> bool:
    """Whether a descriptor is the socket that a configuration asks for."""
    with socket.socket(fileno=os.dup(fd)) as there:
        try:
            wanted = CircusSocket.from_spec(spec)
        except SocketError:
            return False
        with contextlib.closing(wanted):
            # What was asked for as protocol 0 has its real number by now.
            if (there.family, there.type) != (wanted.family, wanted.type) or wanted.proto not in (0, there.proto):
                return False
            address = there.getsockname()
            if wanted.is_unix:
                return address == wanted.path and _is_socket(address)
            return bool(address[0] == wanted.host and wanted.port in (0, address[1]))


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False


def _take_sockets(
    living: Iterable[tuple[Survivor, int]], wanted: Mapping[str, int]
) -> tuple[dict[str, int], dict[str, str]]:
    """(descriptors of the sockets that were got back, why others were not), by name; `wanted` are inodes by name."""
    got: dict[str, int] = {}
    lost = dict.fromkeys(wanted, "is open in none of the processes")
    for survivor, pidfd in living:
        missing = [name for name in survivor.recipe.sockets if name in lost]
        if not missing:
            continue
        there = identity.sockets_of(survivor.worker.pid)
        for name in missing:
            fd = there.get(wanted[name])
            if fd is None:
                continue
            try:
                got[name] = identity.take(pidfd, fd)
            except OSError as error:
                lost[name] = f"cannot be taken back from process {survivor.worker.pid}: {error.strerror}"
            else:
                del lost[name]
    return got, lost


def open_pipes(survivor: Survivor) -> tuple[dict[str, int], str | None]:
    """(read ends of its outputs, why they cannot be had). An output that it has closed is none."""
    worker, opened = survivor.worker, dict[str, int]()
    if worker.captured and not worker.pipes:
        return {}, "its output broke with circusd: only a worker that was started with orphans = adopt keeps it"
    for name, number in (("stdout", 1), ("stderr", 2)):
        if name in worker.pipes and identity.inode(worker.pid, number) == worker.pipes[name]:
            try:
                opened[name] = os.open(f"/proc/{worker.pid}/fd/{number}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                for fd in opened.values():
                    os.close(fd)
                return {}, f"its {name} cannot be opened: {error.strerror}"
    return opened, None
