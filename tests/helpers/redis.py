"""A real redis-server on a port, in a directory of its own, and the few commands a test gives it."""

from __future__ import annotations

import pathlib
import socket
import subprocess
from collections.abc import Sequence
from typing import Self

from tests.helpers import real
from tests.helpers.waiting import DEADLINE, wait_until


class Redis:
    """One server on `port` (0 for none); `options` are more words of its command line."""

    def __init__(self, directory: pathlib.Path, port: int, *options: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = port
        self.command = [
            real.program("redis-server", "redis-server"),
            *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""),
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        if self.port:
            wait_until(lambda: redis_answers(self.port))
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(DEADLINE)


def redis_answers(port: int) -> bool:
    """Whether a Redis server is there; one that wants a password says so."""
    try:
        return ask(port, ["PING"]).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


def ask(port: int, words: Sequence[str]) -> bytes:
    """The first bytes of the reply to an inline command."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client:
        client.sendall(f"{' '.join(words)}\r\n".encode())
        return client.recv(4096)
