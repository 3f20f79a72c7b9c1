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

from circus.client import protect
from circus.exc import EndpointError

MESSAGES_A_TURN = 200
QUEUE_MESSAGES = 20_000

MessageHandler = Callable[[bytes, bytes], None]


class Channel:
    """One subscription: `on_message` gets topic and body, `on_disconnect` is told when the publisher went away (libzmq
    goes on looking for it). Messages of any other shape are passed over.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        address: str,
        prefix: bytes,
        on_message: MessageHandler,
        on_disconnect: Callable[[], None],
    ) -> None:
        self._on_message = on_message
        self._on_disconnect = on_disconnect
        self._socket: zmq.Socket[bytes] = context.socket(zmq.SUB)
        monitor: zmq.Socket[bytes] = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._readers = [_Reader(self._socket, self._message), _Reader(monitor, self._disconnected)]
        try:
            self._socket.setsockopt(zmq.LINGER, 0)
            self._socket.setsockopt(zmq.RCVHWM, QUEUE_MESSAGES)
            self._socket.setsockopt(zmq.SUBSCRIBE, prefix)
            protect(self._socket, address)
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise EndpointError(f"cannot connect to {address}: {error}") from error

    def close(self) -> None:
        for reader in self._readers:
            reader.stop()
        self._socket.disable_monitor()
        self._socket.close()

    def _message(self, frames: list[bytes]) -> None:
        if len(frames) == 2:
            self._on_message(frames[0], frames[1])

    def _disconnected(self, _frames: list[bytes]) -> None:
        self._on_disconnect()


class _Reader:
    """Hands what a socket receives to `on_frames`, in turns of the loop, until stopped."""

    def __init__(self, socket: zmq.Socket[bytes], on_frames: Callable[[list[bytes]], None]) -> None:
        self._socket = socket
        self._on_frames = on_frames
        self._loop = asyncio.get_running_loop()
        self._fd: int = socket.FD
        self._stopped = False
        self._loop.add_reader(self._fd, self._read)
        self._loop.call_soon(self._read)

    def stop(self) -> None:
        self._stopped = True
        self._loop.remove_reader(self._fd)

    def _read(self) -> None:
        if self._stopped:
            return
        more = True  # until libzmq says otherwise: also after an exception of the handler
        try:
            for _ in range(MESSAGES_A_TURN):
                try:
                    frames = self._socket.recv_multipart(zmq.DONTWAIT)
                except zmq.Again:
                    more = bool(int(self._socket.EVENTS) & zmq.POLLIN)
                    break
                self._on_frames(frames)
        finally:
            if more and not self._stopped:
                self._loop.call_soon(self._read)
