"""Discovery: tells whoever asks over UDP where the control endpoint is.

Owns one UDP socket, which exists only where `multicast_endpoint` is configured; refuses to look at what is asked, since
the answer is always the same. Invariant: discovery can fail, and then says so in one line; it never keeps circusd from
starting, and never occupies the loop for longer than `BUDGET` answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket

import msgspec

from circus import logger
from circus.exc import CircusError

BUDGET = 16
LARGEST_QUESTION = 1024
TIME_TO_LIVE = 255


class Discovery:
    """Answers each datagram with `{"endpoint": …}`; made by `open_discovery`."""

    def __init__(self, sock: socket.socket, endpoint: str, loop: asyncio.AbstractEventLoop) -> None:
        self.address: tuple[str, int] = sock.getsockname()[:2]
        self._socket = sock
        self._answer = msgspec.json.encode({"endpoint": endpoint})
        self._loop = loop
        loop.add_reader(sock, self._read)

    def close(self) -> None:
        """Stop answering; closing twice is harmless."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _read(self) -> None:
        for _ in range(BUDGET):
            try:
                _, asker = self._socket.recvfrom(LARGEST_QUESTION)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:  # an ICMP answer to an earlier datagram of ours, for one
                logger.debug("discovery: %s", error)
                return
            with contextlib.suppress(OSError):  # the asker is gone, or the queue full: it will ask again
                self._socket.sendto(self._answer, asker)


def open_discovery(multicast_endpoint: str, endpoint: str, loop: asyncio.AbstractEventLoop) -> Discovery | None:
    """Answer on `udp://GROUP:PORT` where `endpoint` is; None, with a warning, where that cannot be, and for ``""``.

    Any group of IPv4 is joined; an address that is no group is simply bound, which keeps discovery to one interface.
    """
    if not multicast_endpoint:
        return None
    try:
        return Discovery(_bound(*_parsed(multicast_endpoint)), endpoint, loop)
    except (OSError, CircusError) as error:
        logger.warning("Multicast discovery is disabled, %s: %s", multicast_endpoint, error)
        return None


def _parsed(multicast_endpoint: str) -> tuple[ipaddress.IPv4Address, int]:
    scheme, _, rest = multicast_endpoint.partition("://")
    host, _, port = rest.rpartition(":")
    try:
        if scheme == "udp" and 0 <= int(port) <= 0xFFFF:
            return ipaddress.IPv4Address(host), int(port)
    except ValueError:
        pass
    raise CircusError("expected udp://GROUP:PORT with the address of an IPv4 group")


def _bound(address: ipaddress.IPv4Address, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP)
    try:
        sock.setblocking(False)
        if not address.is_multicast:
            sock.bind((str(address), port))
            return sock
        # Several daemons of one machine answer the same group, and with both options all of them hear it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, TIME_TO_LIVE)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        # Bound to the group and not to every address: what is sent to this host alone, from anywhere, gets no answer.
        sock.bind((str(address), port))
        any_interface = bytes(4)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, address.packed + any_interface)
    except BaseException:
        sock.close()
        raise
    return sock
