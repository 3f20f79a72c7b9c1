"""What a statsd server gets: a UDP socket on a port of its own, and what has arrived there, in order."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Self

from tests.helpers.waiting import DEADLINE, Late


class StatsdSink:
    """`port` is where to send; `datagrams` is what has been read."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.datagrams: list[str] = []

    @property
    def options(self) -> str:
        """The lines of a plugin's section that lead here."""
        return f"host = 127.0.0.1\nport = {self.port}\n"

    def wait_for(self, wanted: str | Callable[[str], object], deadline: float = DEADLINE) -> str:
        """The first datagram, of those that came and those to come, that is wanted or begins so."""
        is_wanted = (lambda told: told.startswith(wanted)) if isinstance(wanted, str) else wanted
        until = time.monotonic() + deadline
        seen = 0
        while True:
            for told in self.datagrams[seen:]:
                seen += 1
                if is_wanted(told):
                    return told
            self._socket.settimeout(max(0.001, until - time.monotonic()))
            try:
                self.datagrams.append(self._socket.recv(65536).decode())
            except TimeoutError:
                raise Late(f"{wanted} not within {deadline} s; got last: {self.datagrams[-30:]}") from None

    def clear(self) -> None:
        """Forget what has come, also what nobody has read yet."""
        self._socket.setblocking(False)
        try:
            while True:
                self._socket.recv(65536)
        except BlockingIOError:
            self.datagrams.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
