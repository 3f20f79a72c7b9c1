"""Discovery: tells whoever asks over UDP where the control endpoint is.

Owns one UDP socket, which exists only where `multicast_endpoint` is configured; refuses to look at what is asked, since
the answer is always the same. Invariant: discovery can fail, and then says so in one line; it never keeps circusd from
starting, and never occupies the loop for longer than `BUDGET` answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import msgspec

from circus import logger
from circus.exc import CircusError

if TYPE_CHECKING:
    import ipaddress

BUDGET = 16
LARGEST_QUESTION = 1024
TIME_TO_LIVE = 255


class Discovery:
    """Answers each datagram that reaches `udp://GROUP:PORT` with `{"endpoint": …}`.

    Any group of IPv4 is joined; an address that is no group is simply bound, which keeps discovery to one interface.
    """

    def __init__(self, multicast_endpoint: str, endpoint: str, *, loop: asyncio.AbstractEventLoop) -> None:
        self._multicast_endpoint = multicast_endpoint
        self._answer = msgspec.json.encode({"endpoint": endpoint})
        self._loop = loop
        self._socket: socket.socket | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it listens; None when it does not."""
        if self._socket is None:
            return None
        host, port = self._socket.getsockname()
        return host, port

    def start(self) -> None:
        """Open the socket, where one is configured; a failure is a warning."""
        if not self._multicast_endpoint or self._socket is not None:
            return
        try:
            self._socket = bound_to_group(*_parsed(self._multicast_endpoint))
        except (OSError, CircusError) as error:
            logger.warning("Multicast discovery is disabled, %s: %s", self._multicast_endpoint, error)
            return
        self._loop.add_reader(self._socket, self._read, self._socket)

    def stop(self) -> None:
        """Close the socket; stopping twice is harmless."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _read(self, sock: socket.socket) -> None:
        for _ in range(BUDGET):
            try:
                _, asker = sock.recvfrom(LARGEST_QUESTION)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:  # an ICMP answer to an earlier datagram of ours, for one
                logger.debug("discovery: %s", error)
                return
            with contextlib.suppress(OSError):  # the asker is gone, or the queue full: it will ask again
                sock.sendto(self._answer, asker)


def _parsed(multicast_endpoint: str) -> tuple[ipaddress.IPv4Address, int]:
    import ipaddress  # only where it is configured

    scheme, _, rest = multicast_endpoint.partition("://")
    host, _, port = rest.rpartition(":")
    try:
        if scheme == "udp" and 0 <= int(port) <= 0xFFFF:
            return ipaddress.IPv4Address(host), int(port)
    except ValueError:
        pass
    raise CircusError("expected udp://GROUP:PORT with the address of an IPv4 group")


def bound_to_group(address: ipaddress.IPv4Address, port: int) -> socket.socket:
    """A socket that hears what is sent to a group, or to a plain address of this machine."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP)
    try:
        sock.setblocking(False)
        if not address.is_multicast:
            sock.bind((str(address), port))
            return sock
        # Several daemons of one machine answer the same group, and with both options all of them hear it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            with contextlib.suppress(OSError):  # some kernels name the option and refuse it
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
