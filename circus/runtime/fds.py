"""The file descriptors of the daemon: room for many, and low numbers kept free for spawning.

A worker must start with the soft limit that the daemon itself was given, which is put in force in the daemon just
around the spawn. That works only while the lowest free number lies below the limit, so long-lived descriptors (one or
more per worker) are moved up out of the way.

libzmq accepts clients in a thread of its own, and ends the program when a unix socket finds no descriptor for one.
Invariant: neither the limit of a worker nor the number of workers takes the last descriptors away from it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
from dataclasses import dataclass
from typing import Final

_GENEROUS: Final = 65_536
_CLIENTS_MEANWHILE: Final = 128
"""Who may connect while the limit of a worker is in force: as many as wait in a backlog."""
_CLIENTS: Final = 512
"""Descriptors that no worker gets; a third where the limit is low. With a third of them gone no further clients get in."""


@dataclass(slots=True)
class FdRoom:
    """The soft limit found at start, and the number from which long-lived descriptors are placed."""

    inherited_soft: int
    base: int | None = None
    turns: int = 0
    """How often the soft limit of a worker was put in force for its spawn, and taken back: odd in between."""

    def raise_soft_limit(self, needed: int, *, generous: bool = False) -> str | None:
        """Make room for `needed` descriptors, and for more to come when `generous`.

        Returns:
            None when there is room now, else a sentence that says what is missing.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Once low numbers are taken it is too late to keep them free, so room for growth has to be made at the start.
        wished = max(needed * 2, _GENEROUS) if generous else needed
        if soft == resource.RLIM_INFINITY or soft >= wished:
            return None
        limit = wished if hard == resource.RLIM_INFINITY else min(hard, wished)
        if limit > soft:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            self.base = self.inherited_soft
        if limit < needed:
            return (
                f"{needed} file descriptors are needed for the configured processes, but the hard limit is {hard}: "
                f"raise it (ulimit -Hn, or LimitNOFILE in systemd)"
            )
        return None

    @property
    def raised(self) -> bool:
        """Whether workers have to be given another limit than the daemon's."""
        return self.base is not None

    def has_numbers_below(self, limit: int) -> bool:
        """Whether a spawn under that soft limit finds the two descriptors that it needs for itself, and clients theirs."""
        number = _lowest_free()
        return number is not None and (limit == resource.RLIM_INFINITY or number + _CLIENTS_MEANWHILE < limit)

    def has_room(self) -> bool:
        """Whether descriptors for clients are left when one more process takes its own."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        number = _lowest_free(self.base or 0)
        return number is not None and (soft == resource.RLIM_INFINITY or number < soft - _for_clients(soft))

    def left(self) -> int:
        """How many descriptors can be had, at least: holes that others have left are not looked for."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return _GENEROUS
        low = _lowest_free()
        if low is None:
            return 0
        if self.base is None or low >= self.base:
            return max(soft - low, 0)
        high = _lowest_free(self.base)
        return self.base - low + (0 if high is None else max(soft - high, 0))

    def is_nearly_full(self) -> bool:
        """Whether a third of what is kept for clients is gone."""
        return self.left() <= _for_clients(resource.getrlimit(resource.RLIMIT_NOFILE)[0]) * 2 // 3

    def has_room_for_clients(self) -> bool:
        """Whether most of what is kept for clients are free again."""
        return self.left() >= _for_clients(resource.getrlimit(resource.RLIMIT_NOFILE)[0]) * 4 // 5

    def move_up(self, fd: int) -> int:
        """The same descriptor under a high number, if low ones have to be kept free."""
        if self.base is None or fd >= self.base:
            return fd
        try:
            moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, self.base)
        except OSError:
            return fd
        os.close(fd)
        return moved


def _for_clients(soft: int) -> int:
    return _CLIENTS if soft == resource.RLIM_INFINITY else min(_CLIENTS, soft // 3)


def _lowest_free(start: int = 0) -> int | None:
    """The lowest free number from `start` up; None when there is none."""
    try:
        free = fcntl.fcntl(devnull(), fcntl.F_DUPFD_CLOEXEC, start)
    except OSError:
        return None
    os.close(free)
    return free


_devnull: int | None = None


def devnull() -> int:
    """A descriptor of /dev/null that this program keeps."""
    global _devnull
    if _devnull is None:
        _devnull = os.open(os.devnull, os.O_RDWR)
    return _devnull


ROOM = FdRoom(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""The one table of descriptors that this program has."""


def keep_to_ourselves() -> None:
    """Close on exec what this program was started with: its workers are spawned without a look at open descriptors.

    For the main program only, before it opens anything that is to be inherited.
    """
    for name in os.listdir("/dev/fd"):
        fd = int(name)
        if fd > 2:
            with contextlib.suppress(OSError):  # the one that reads the directory is gone again
                os.set_inheritable(fd, False)
