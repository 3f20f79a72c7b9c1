"""A client for one command line: the zmq protocol (ZMTP 3.0 without encryption) spoken over a plain socket.

Loading libzmq takes longer than everything else that circusctl does for a `status`. What this does not know (CURVE, ssh,
older peers, addresses that are no plain ipc or tcp) is left to `CircusClient`. Invariants: a call ends within its
timeout; a request waits, as by libzmq, for a circusd that is not there yet, and one whose connection was lost is sent
again so that it cannot be done twice (`circus.resending`).
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from circus.client import answer_to, make_message, numbered, own_keys
from circus.exc import CallError
from circus.resending import again

if TYPE_CHECKING:
    from circus.client import CircusClient

_PLAIN: Final = re.compile(r"ipc://(?P<path>[^@*].*)|tcp://(?P<host>[^*:\[\]]+):(?P<port>[1-9]\d*)")

_SIZE: Final = 64
_GREETING: Final = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL".ljust(23, b"\0") + bytes(32)
_READY: Final = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
_MORE, _LONG, _COMMAND = 1, 2, 4

_AGAIN_SECONDS: Final = 0.01
_AGAIN_MOST_SECONDS: Final = 0.5


class _OtherPeer(Exception):
    """It speaks something that only libzmq knows."""


def possible(endpoint: str) -> bool:
    """Whether an endpoint can be asked without libzmq."""
    found = _PLAIN.fullmatch(endpoint)
    return found is not None and (found["path"] is not None or own_keys() is None)


class DirectClient:
    """Ask circusd, and block until it answers; a `CircusClient` as far as circusctl needs one.

    Args:
        endpoint: one that is `possible`.
        timeout: seconds for a whole call.
    """

    def __init__(self, endpoint: str, timeout: float = 5.0) -> None:
        self.endpoint = endpoint
        self.timeout = timeout
        self._socket: socket.socket | None = None
        self._read = b""
        self._through_zmq: CircusClient | None = None

    def send_message(self, command: str, /, **props: Any) -> dict[str, Any]:
        """Run a command with these properties and return its reply."""
        return self.call(make_message(command, **props))

    def call(self, cmd: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and return its reply.

        Raises:
            CallError: there was no usable answer within the timeout.
        """
        request_id, body = numbered(cmd)
        deadline = time.monotonic() + self.timeout
        if self._through_zmq is None:
            try:
                return self._asked(request_id, body, deadline)
            except _OtherPeer:
                self._close()
                self._through_zmq = self._zmq_client()
        self._through_zmq.timeout = max(0.0, deadline - time.monotonic())
        return self._through_zmq.call(json.loads(body))

    def _asked(self, request_id: str, body: bytes, deadline: float) -> dict[str, Any]:
        sent: float | None = None
        pause = _AGAIN_SECONDS
        while True:
            try:
                self._connect(deadline)
                now = time.monotonic()
                message = body if sent is None else again(body, now - sent)
                sent = now if sent is None else sent
                self._send(message, 0, deadline)
                while True:
                    reply = answer_to(request_id, self._message(deadline))
                    if reply is not None:
                        return reply
            except _OtherPeer:
                if sent is None:
                    raise
                raise CallError("Timed out.") from None  # somebody else, who knows nothing of what was sent
            except OSError:
                self._close()
                _rest(pause, deadline)
                pause = min(2 * pause, _AGAIN_MOST_SECONDS)

    def _zmq_client(self) -> CircusClient:
        from circus.client import CircusClient

        return CircusClient(endpoint=self.endpoint, timeout=self.timeout)

    def stop(self) -> None:
        """Close the connection."""
        self._close()
        if self._through_zmq is not None:
            self._through_zmq.stop()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._read = None, b""

    # -- the connection -------------------------------------------------------------------------------------------

    def _connect(self, deadline: float) -> None:
        """Have a connection on which both sides have said who they are; try again until the deadline."""
        pause = _AGAIN_SECONDS
        if self._socket is not None and self._is_over():
            self._close()
        while self._socket is None:
            try:
                self._socket = self._open(deadline)
                self._shake_hands(deadline)
            except OSError:
                self._close()
                _rest(pause, deadline)
                pause = min(2 * pause, _AGAIN_MOST_SECONDS)

    def _is_over(self) -> bool:
        """Whether the other side has gone since the last call."""
        assert self._socket is not None
        self._socket.settimeout(0)
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _open(self, deadline: float) -> socket.socket:
        found = _PLAIN.fullmatch(self.endpoint)
        if found is None or len(found["path"] or "") > 107:
            raise _OtherPeer
        left = max(0.001, deadline - time.monotonic())
        if found["path"] is None:
            try:
                opened = socket.create_connection((found["host"], int(found["port"])), left)
            except (socket.gaierror, OverflowError, UnicodeError):
                raise _OtherPeer from None  # libzmq says what it thinks of such an address
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return opened
        opened = socket.socket(socket.AF_UNIX)
        opened.settimeout(left)
        try:
            opened.connect(found["path"])
        except BaseException:
            opened.close()
            raise
        return opened

    def _shake_hands(self, deadline: float) -> None:
        assert self._socket is not None
        self._socket.sendall(_GREETING)
        greeting = self._exactly(_SIZE, deadline)
        if greeting[0] != _GREETING[0] or greeting[9] != _GREETING[9]:
            raise OSError("no zmq")
        if greeting[10] < 3 or greeting[12:32].rstrip(b"\0") != b"NULL":
            raise _OtherPeer
        self._send(_READY, _COMMAND, deadline)

    def _send(self, body: bytes, flags: int, deadline: float) -> None:
        assert self._socket is not None
        size = len(body).to_bytes(8) if len(body) > 255 else len(body).to_bytes(1)
        self._socket.settimeout(max(0.001, deadline - time.monotonic()))
        self._socket.sendall(bytes([flags | (_LONG if len(body) > 255 else 0)]) + size + body)

    def _message(self, deadline: float) -> list[bytes]:
        """The frames of the next message; commands between are answered."""
        frames: list[bytes] = []
        while True:
            flags = self._exactly(1, deadline)[0]
            size = int.from_bytes(self._exactly(8 if flags & _LONG else 1, deadline))
            body = self._exactly(size, deadline)
            if not flags & _COMMAND:
                frames.append(body)
                if not flags & _MORE:
                    return frames
            elif body.startswith(b"\x04PING"):
                self._send(b"\x04PONG" + body[7:23], _COMMAND, deadline)
            elif body.startswith(b"\x05ERROR"):
                raise CallError(f"{self.endpoint} does not let us in: {body[7:].decode(errors='replace')}")

    def _exactly(self, count: int, deadline: float) -> bytes:
        assert self._socket is not None
        pieces, missing = [self._read], count - len(self._read)
        while missing > 0:
            left = deadline - time.monotonic()
            if left <= 0:
                raise CallError("Timed out.")
            self._socket.settimeout(left)
            try:
                piece = self._socket.recv(max(65536, missing))
            except TimeoutError:
                raise CallError("Timed out.") from None
            if not piece:
                raise ConnectionResetError
            pieces.append(piece)
            missing -= len(piece)
        joined = b"".join(pieces)
        self._read = joined[count:]
        return joined[:count]


def _rest(pause: float, deadline: float) -> None:
    """Wait before the next try; CallError, at the deadline, when there is no time for one."""
    left = max(0.0, deadline - time.monotonic())
    time.sleep(min(pause, left))
    if pause >= left:
        raise CallError("Timed out.") from None
