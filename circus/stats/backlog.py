"""How many clients wait on a socket that Circus owns: the `reads` of `stat.sockets`.

circus 0.19 looked a hundred times a second whether a socket was readable and counted how often it was. The same question
is answered here once per pass and by the kernel: the length of the queue of connections that no worker has accepted yet
(TCP on Linux), otherwise 1 if something waits and 0 if nothing does. Nothing is accepted or read.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterable
from typing import Any, Final

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
