"""TCP ports for programs that must keep theirs over a restart: reserved by a bound socket, never guessed."""

from __future__ import annotations

import contextlib
import pathlib
import socket
from collections.abc import Iterator

from tests.helpers.waiting import wait_until

LISTEN = "0A"


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A port of 127.0.0.1 that nobody else is given meanwhile.

    Our socket is bound and does not listen; a server that sets SO_REUSEADDR, as all do, can still listen there.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def listening_ports(pid: int) -> list[int]:
    """The tcp ports of IPv4 on which a process listens."""
    inodes = set()
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(entry.readlink()))
    ports = []
    for line in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == LISTEN and f"socket:[{fields[9]}]" in inodes:
            ports.append(int(fields[1].rpartition(":")[2], 16))
    return ports


def udp_port(pid: int) -> int:
    """The one UDP port of IPv4 that a process has bound."""
    inodes = {str(entry.readlink()) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()}
    lines = pathlib.Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]
    (port,) = [int(line.split()[1].rpartition(":")[2], 16) for line in lines if f"socket:[{line.split()[9]}]" in inodes]
    return port


def wait_listening(pid: int) -> int:
    """The one port of a process that was told to listen on port 0."""
    return wait_until(lambda: listening_ports(pid), what=f"process {pid} listens nowhere")[0]
