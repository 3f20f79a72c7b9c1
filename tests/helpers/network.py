"""Two machines for a test: network namespaces of its own with a cable between them, made by Debian's iproute2.

Invariant: no packet leaves the two namespaces, and both are gone when the test ends.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

from tests.helpers.real import missing, program

HERE, THERE = "192.0.2.1", "192.0.2.2"
"""Addresses that are set aside for examples, of the two ends."""


class Network:
    """`here` and `there` are words in front of a program that run it at that end."""

    def __init__(self) -> None:
        self._ip = program("ip", "iproute2")
        self._names = [f"circus-{os.getpid()}-{end}" for end in ("here", "there")]
        self.here, self.there = ((self._ip, "netns", "exec", name) for name in self._names)

    def make(self) -> None:
        """Namespaces, cable, addresses; CalledProcessError where that is not permitted."""
        here, there = self._names
        for name in self._names:
            self._run("netns", "add", name)
        self._run("-n", here, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", there)
        for name, address in zip(self._names, (HERE, THERE), strict=True):
            self._run("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            self._run("-n", name, "link", "set", "eth0", "up")
            self._run("-n", name, "link", "set", "lo", "up")

    def close(self) -> None:
        for name in self._names:
            subprocess.run([self._ip, "netns", "delete", name], capture_output=True, check=False)

    def _run(self, *words: str) -> None:
        subprocess.run([self._ip, *words], capture_output=True, text=True, check=True)


@contextlib.contextmanager
def two_machines() -> Iterator[Network]:
    """The two ends; a skip, in CI a failure, where they cannot be made."""
    if os.geteuid() != 0:
        missing("network namespaces take root: run the tests as root")
    made = Network()
    try:
        try:
            made.make()
        except subprocess.CalledProcessError as error:
            missing(f"network namespaces cannot be made here: {error.stderr.strip()}")
        yield made
    finally:
        made.close()
