"""Children that say by datagram when they run: the measure is taken by them, not by the supervisor's own word."""

from __future__ import annotations

import pathlib
import shutil
import socket
import struct
import subprocess
import time
from typing import NamedTuple, Self

from tests.workers import HERE


class Said(NamedTuple):
    """A child's pid and the monotonic time at which its main() began."""

    pid: int
    at: float


class Beacons:
    """The datagram socket that they report to, and the program that does it (compiled, unless it is there)."""

    def __init__(self, directory: pathlib.Path, program: str | None = None) -> None:
        self._path = directory / "beacons"
        self.program = program or str(directory / "beacon")
        if program is None:
            compiler = shutil.which("cc") or shutil.which("gcc")
            if compiler is None:
                raise RuntimeError("needs a C compiler (on Debian: apt install gcc libc6-dev)")
            subprocess.run([compiler, "-O2", "-o", self.program, str(HERE / "beacon.c")], check=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.bind(str(self._path))

    @property
    def command(self) -> list[str]:
        return [self.program, str(self._path)]

    def next(self, deadline: float) -> Said:
        """The next one that reports, before a monotonic time; raises TimeoutError."""
        self._socket.settimeout(max(0.001, deadline - time.monotonic()))
        pid, nanoseconds = struct.unpack("=qq", self._socket.recv(64))
        return Said(pid, nanoseconds / 1e9)

    def gather(self, count: int, within: float) -> list[Said]:
        deadline = time.monotonic() + within
        return [self.next(deadline) for _ in range(count)]

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
