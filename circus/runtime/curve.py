"""The server's side of CURVE: which keys are let in, and sockets that ask for one.

Owns the ZAP handler, which libzmq asks about each new connection. Imported only by a daemon that is configured so.
Invariant: the handler is there before the first socket that needs it and longer than the last, and what it does not
know is not let in. What somebody may do who was let in is asked for each message elsewhere.
"""

from __future__ import annotations

import asyncio
import logging

import zmq
from zmq.utils import z85

from circus.core.access import Access
from circus.exc import EndpointError, KeyFileError
from circus.keys import Pair
from circus.runtime.zmq_socket import LoopSocket

logger = logging.getLogger("circus")

ZAP_ADDRESS = "inproc://zeromq.zap.01"
_VERSION = b"1.0"
# Each is told once, for clients try again and again; and no more of them, for anybody can make more.
_STRANGERS = 100


class Authenticator:
    """Answers libzmq while it lives; `access` is who may come in, and may be replaced at any time."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], loop: asyncio.AbstractEventLoop, pair: Pair, access: Access
    ) -> None:
        self.access = access
        self._strangers: set[str] = set()
        self.pair = pair
        self._loop = loop
        self.serve(context)

    def serve(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Answer for this context; again after `close`."""
        raw: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        raw.setsockopt(zmq.LINGER, 0)
        try:
            raw.bind(ZAP_ADDRESS)
        except zmq.ZMQError as error:
            raw.close(0)
            raise EndpointError(f"CURVE: the zmq context has somebody else who lets clients in ({error})") from error
        self._socket = LoopSocket(raw, self._asked, loop=self._loop)

    def guard(self, socket: zmq.Socket[bytes]) -> None:
        """Let a socket that is not bound yet take only clients with a key that is known."""
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self.pair.secret.encode())
        # Without a handler nobody gets in, rather than everybody.
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def close(self) -> None:
        self._socket.close()

    def _asked(self, frames: list[zmq.Frame]) -> None:
        parts = [frame.bytes for frame in frames]
        route, delimiter, request = parts[0], parts[1:2], parts[2:]
        if delimiter != [b""] or len(request) < 6 or request[0] != _VERSION:
            return
        number, _, address, _, mechanism, *credentials = request[1:]
        if mechanism == b"NULL":
            # Sockets that ask for no key are those that need none: of unix sockets the kernel tells who connects.
            self._answer(route, number, b"200", b"OK", b"")
            return
        proven = mechanism == b"CURVE" and len(credentials) == 1 and len(credentials[0]) == 32
        key = z85.encode(credentials[0]).decode() if proven else ""
        if self.access.knows(key):
            self._answer(route, number, b"200", b"OK", key.encode())
            return
        if key not in self._strangers and len(self._strangers) < _STRANGERS:
            self._strangers.add(key)
            where = address.decode(errors="replace")
            logger.info("a client at %s has a key that no [access:NAME] names: %s", where, key)
        self._answer(route, number, b"400", b"this key is not known", b"")

    def _answer(self, route: bytes, number: bytes, status: bytes, text: bytes, user: bytes) -> None:
        self._socket.send([route, b"", _VERSION, number, status, text, user, b""])


def checked(pair: Pair, path: str) -> Pair:
    """The pair as it is; KeyFileError when the two do not belong together."""
    if zmq.curve_public(pair.secret.encode()).decode() != pair.public:
        raise KeyFileError(f"{path}: the secret key is not that of the public key")
    return pair
