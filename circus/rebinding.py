"""Sockets of a new configuration in the place of the old ones: all of them, or none.

Knows no watcher. Invariant: until `commit` the old sockets are listened on as before, or are again after `undo`; what
was opened for nothing is closed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from circus.exc import SocketError
from circus.planning import rebound
from circus.sockets import CircusSocket, CircusSockets
from circus.spec.diff import Change
from circus.spec.sockets import SocketSpec


class Rebinding:
    """The exchange of some sockets.

    Args:
        sockets: those that are there; `commit` changes them.
        old: the configuration in force.
        new: the one to come.
    """

    def __init__(self, sockets: CircusSockets, old: Iterable[SocketSpec], new: Iterable[SocketSpec]) -> None:
        self._sockets = sockets
        self._old = {spec.name: spec for spec in old}
        self._new = {spec.name: spec for spec in new}
        self._opened: dict[str, CircusSocket] = {}
        self._adjusted: list[str] = []
        self._removed: list[str] = []
        self._vacated: list[str] = []

    def begin(self, changes: Iterable[Change]) -> None:
        """Open what is new beside what is there, and adjust what stays.

        Raises:
            SocketError: a socket cannot be had; everything is as it was then.
        """
        changes = tuple(changes)
        self._removed = [change.name for change in changes if change.action == "removed"]
        try:
            for change in changes:
                if change.action == "added" or (change.action == "changed" and rebound(change)):
                    self._open(change.name)
            for change in changes:
                if change.action == "changed" and not rebound(change) and change.name in self._sockets:
                    self._adjusted.append(change.name)
                    self._sockets[change.name].adjust(self._new[change.name])
        except BaseException:
            self.undo()
            raise

    def _open(self, name: str) -> None:
        spec, old = self._new[name], self._sockets.get(name)
        if old is not None and old.path is not None and old.path == spec.path:
            # Two cannot have one path; who has connected to the old one stays connected to its workers.
            old.close()
            self._vacated.append(name)
        self._opened[name] = _opened(spec)

    def undo(self) -> None:
        """Put everything back."""
        for sock in self._opened.values():
            sock.close()
        self._opened.clear()
        for name in self._adjusted:
            with contextlib.suppress(SocketError):
                self._sockets[name].adjust(self._old[name])
        for name in self._vacated:
            with contextlib.suppress(SocketError):
                self._sockets[name] = _opened(self._old[name])
        self._adjusted, self._vacated = [], []

    def commit(self) -> None:
        """Put the new ones in the place of the old ones, which are closed here; workers have them until they end."""
        for name in [*self._removed, *self._opened]:
            old = self._sockets.pop(name, None)
            if old is not None:
                old.close()
        self._sockets.update(self._opened)


def _opened(spec: SocketSpec) -> CircusSocket:
    sock = CircusSocket.from_spec(spec)
    try:
        if not sock.so_reuseport:
            sock.bind_and_listen()
    except BaseException:
        sock.close()
        raise
    return sock
