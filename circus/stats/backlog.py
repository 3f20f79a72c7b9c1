"""How many clients wait on a socket of circusd: the `reads` of `stat.sockets`.

circus 0.19 looked a hundred times a second whether a socket was readable and counted how often it was. The same question
is answered here once per pass and by the kernel: the length of the queue of connections that no worker has accepted yet
(TCP on Linux), otherwise 1 if something waits and 0 if nothing does. Nothing is accepted or read.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from circus.ports import SocketLike


_TCP_LISTEN: Final = 10
# struct tcp_info: the state comes first; of a listening socket `tcpi_unacked` is the length of its queue.
_TCP_INFO: Final = struct.Struct("=B23xI4x")


def waiting(sockets: Iterable[SocketLike]) -> list[dict[str, Any]]:
    """`{fd, subtopic, reads, address}` of each socket, as `stat.sockets.<fd>` carries it."""
    poller = select.poll()
    found = []
    for sock in sockets:
        fd = sock.fileno()
        if fd < 0:
            continue  # closed
        poller.register(fd, select.POLLIN)
        address = sock.path or f"{sock.host}:{sock.port}"
        found.append({"fd": fd, "subtopic": fd, "reads": 0, "address": address})
    readable = {fd for fd, event in poller.poll(0) if event & select.POLLIN} if found else set()
    for row in found:
        if row["fd"] in readable:
            row["reads"] = _accept_queue(row["fd"]) or 1
    return found


def _accept_queue(fd: int) -> int:
    """The connections in the queue of a listening TCP socket; 0 where the system does not tell."""
    if not hasattr(socket, "TCP_INFO"):
        return 0
    sock = socket.socket(fileno=fd)
    try:
        state, queue = _TCP_INFO.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))
    except (OSError, struct.error):
        return 0  # not TCP
    else:
        return int(queue) if state == _TCP_LISTEN else 0
    finally:
        sock.detach()


def queues(sockets: Iterable[Mapping[str, Any]], root: str = "/proc") -> list[dict[str, Any]]:
    """The same for sockets of another process, from what its `listsockets` says and the kernel's own tables.

    They tell the queues of listening TCP sockets (on Linux); other sockets are left out.
    """
    lengths: dict[tuple[str, int], int] = {}
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        with contextlib.suppress(OSError), open(f"{root}/net/{name}", encoding="ascii") as table:
            for line in table.readlines()[1:]:
                _, local, _, state, sizes = line.split()[:5]
                if int(state, 16) == _TCP_LISTEN:
                    words, _, number = local.rpartition(":")
                    place = (_address(words, family), int(number, 16))
                    lengths[place] = lengths.get(place, 0) + int(sizes.rpartition(":")[2], 16)
    rows: list[dict[str, Any]] = []
    for sock in sockets:
        host, port = sock.get("host"), sock.get("port")
        if host is None or not isinstance(port, int):
            continue
        with contextlib.suppress(OSError):
            found = {str(info[4][0]) for info in socket.getaddrinfo(host or None, port, flags=socket.AI_PASSIVE)}
            known = [lengths[place] for place in ((address, port) for address in found) if place in lengths]
            if known:
                fd = sock["fd"]
                rows.append({"fd": fd, "subtopic": fd, "reads": max(known), "address": f"{host}:{port}"})
    return rows


def _address(words: str, family: socket.AddressFamily) -> str:
    """The kernel writes addresses as hexadecimal words in the byte order of the machine."""
    raw = b"".join(struct.pack("=I", int(words[at : at + 8], 16)) for at in range(0, len(words), 8))
    return socket.inet_ntop(family, raw)
