"""The gate in front of on_demand watchers: tells them when a connection waits on a socket of theirs.

Watches only while somebody waits, and only the sockets that the watcher uses. Accepts nothing: the connection stays in
the queue for the worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping


class Gate:
    """Readable listening sockets, by who waits for them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[object, tuple[frozenset[int], Callable[[], None]]] = {}
        self._watched: set[int] = set()

    @property
    def waiting(self) -> list[object]:
        """Who waits."""
        return list(self._waiting)

    def watch(self, who: object, fds: Iterable[int], ready: Callable[[], None]) -> None:
        """Call `ready` when one of the sockets has a connection, until `unwatch`."""
        self._waiting[who] = (frozenset(fds), ready)
        self._adjust()

    def unwatch(self, who: object) -> None:
        """It waits no more; harmless when it did not."""
        if self._waiting.pop(who, None) is not None:
            self._adjust()

    def _adjust(self) -> None:
        wanted: set[int] = set().union(*(fds for fds, _ in self._waiting.values()))
        for fd in self._watched - wanted:
            self._loop.remove_reader(fd)
        for fd in wanted - self._watched:
            self._loop.add_reader(fd, self._readable, fd)
        self._watched = wanted

    def _readable(self, fd: int) -> None:
        # The socket stays readable until a worker accepts, so whoever is told must not be asked again.
        for who, (fds, ready) in list(self._waiting.items()):
            if fd in fds:
                self.unwatch(who)
                ready()


def sockets_used(names: Iterable[str], sockets: Mapping[str, int]) -> list[int]:
    """The descriptors of the named sockets; of all when none is named."""
    named = [sockets[name] for name in names if name in sockets]
    return named or list(sockets.values())
