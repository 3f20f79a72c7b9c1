"""A subscription that the loop reads by itself.

Owns one SUB socket; refuses to know what the messages mean. Invariant: input that libzmq has for us is read sooner or
later, and the loop gets its turn in between. The descriptor of a zmq socket is not one of data: after reading, `EVENTS`
must be asked, else the loop is woken for nothing or never again. zmq.asyncio does this too, at four times the CPU a
message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import zmq

from circus.exc import EndpointError

MESSAGES_A_TURN = 200
QUEUE_MESSAGES = 20_000

MessageHandler = Callable[[bytes, bytes], None]


class Channel:
    """One subscription; `on_message` gets topic and body. Messages of any other shape are passed over."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], address: str, prefix: bytes, on_message: MessageHandler
    ) -> None:
        self._on_message = on_message
        self._socket: zmq.Socket[bytes] = context.socket(zmq.SUB)
        self._loop = asyncio.get_running_loop()
        self._closed = False
        try:
            self._socket.setsockopt(zmq.LINGER, 0)
            self._socket.setsockopt(zmq.RCVHWM, QUEUE_MESSAGES)
            self._socket.setsockopt(zmq.SUBSCRIBE, prefix)
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self._socket.close()
            raise EndpointError(f"cannot connect to {address}: {error}") from error
        self._fd: int = self._socket.FD
        self._loop.add_reader(self._fd, self._read)
        self._loop.call_soon(self._read)

    def close(self) -> None:
        self._closed = True
        self._loop.remove_reader(self._fd)
        self._socket.close()

    def _read(self) -> None:
        if self._closed:
            return
        more = True  # until libzmq says otherwise: also after an exception of the handler
        try:
            for _ in range(MESSAGES_A_TURN):
                try:
                    frames = self._socket.recv_multipart(zmq.DONTWAIT)
                except zmq.Again:
                    more = bool(int(self._socket.EVENTS) & zmq.POLLIN)
                    break
                if len(frames) == 2:
                    self._on_message(frames[0], frames[1])
        finally:
            if more and not self._closed:
                self._loop.call_soon(self._read)
