"""Requests that are sent again, because the connection they went over was lost before an answer came.

Owns the form of such a message, and noticing that a zmq connection was lost and is there again. A daemon does what it
is sent again only if it cannot have done it before (`circus.answered`); one that does not know these messages refuses
them under no id of ours, which nobody notices. Invariant: nothing is sent again over the connection that it went over
first.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import zmq

_EVENT = struct.Struct("=hi")


def again(body: bytes, seconds: float) -> bytes:
    """The message that repeats a request (its JSON, with an id) which was sent first that many seconds ago.

    It must be made after the connection that it goes over, because the daemon reckons from when it began to serve.
    """
    return b'{"id": "again", "command": "again", "properties": {"seconds": %.6f, "request": %b}}' % (seconds, body)


class Ties:
    """Watches the connection of a socket that has only one.

    Attributes:
        socket: gives the messages for `anew`, blocking or to be awaited as the socket itself is.
    """

    def __init__(self, socket: zmq.Socket[Any] | Any) -> None:
        import zmq

        self._lost, self._made = int(zmq.EVENT_DISCONNECTED), int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._watched = socket
        self._is_lost = False
        self.socket: Any = socket.get_monitor_socket(self._lost | self._made)

    def anew(self, frames: list[bytes]) -> bool:
        """Whether a message says that the connection is there again after it was lost."""
        event, _ = _EVENT.unpack(frames[0])
        if event == self._lost:
            self._is_lost = True
            return False
        was_lost, self._is_lost = self._is_lost, False
        return was_lost

    def forget(self) -> None:
        """Pass over what has happened until now: what is sent from here on waits for the next connection by itself."""
        import zmq

        while self.socket.poll(0):
            self.anew(self.socket.recv_multipart(zmq.DONTWAIT))
        self._is_lost = False

    def close(self) -> None:
        """Watch no more. Closing twice is harmless."""
        if not self.socket.closed:
            self.socket.close(0)
            self._watched.disable_monitor()
