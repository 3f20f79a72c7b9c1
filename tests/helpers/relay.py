"""A relay between clients and a daemon that loses what passes it, at the moment a test wants."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import threading
from typing import Self

from tests.helpers.waiting import wait_until

_SIGNS = {"request": b'"command"', "reply": b'"status"'}


class Relay:
    """Listens at `endpoint` and passes all on.

    Attributes:
        lose: what is lost next, a `request` or a `reply`; with it goes the connection.
        silently: the connection stays until the daemon closes it.
        lost: how many were.
    """

    def __init__(self, path: pathlib.Path, daemon: str, lose: str | None = None, *, silently: bool = False) -> None:
        self.endpoint = f"ipc://{path}"
        self.lose, self.silently, self.lost = lose, silently, 0
        self._daemon = daemon.removeprefix("ipc://")
        self._over = False
        self._connections: list[socket.socket] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def part(self) -> None:
        """End all connections that there are."""
        for each in self._connections:
            _shut(each)

    def _accept(self) -> None:
        while True:
            near, _ = self._server.accept()
            far = socket.socket(socket.AF_UNIX)
            self._connections += [near, far]
            if self._over:
                return
            with contextlib.suppress(OSError):
                far.connect(self._daemon)
            for each in ((near, far, "request"), (far, near, "reply")):
                thread = threading.Thread(target=self._pass_on, args=each)
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, source: socket.socket, target: socket.socket, kind: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                if self.lose != kind or _SIGNS[kind] not in data:
                    target.sendall(data)
                    continue
                self.lose = None
                self.lost += 1
                if not self.silently:
                    break
        _shut(source)
        _shut(target)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(self.endpoint.removeprefix("ipc://"))
        self.part()
        wait_until(lambda: not any(thread.is_alive() for thread in list(self._threads)))
        for each in (*self._connections, self._server):
            each.close()


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
