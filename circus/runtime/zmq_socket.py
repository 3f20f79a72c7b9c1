"""Raw zmq sockets in the asyncio loop.

Owns the reading and writing of a zmq socket by the loop's `add_reader`; refuses to know what the messages mean.
Invariant: input that libzmq has for us is always read sooner or later. Two properties of its file descriptor make that
hard. It is not the descriptor of data: it stays readable until `EVENTS` is read, so a reader that does not ask spins.
And any call into the socket, a send too, may take the news off it, so after sending somebody must ask `EVENTS` again,
because the loop will not be told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

import zmq

logger = logging.getLogger("circus")

HANDSHAKE_MILLISECONDS = 1000
ZAP_DOMAIN = b"circus"
HEARTBEAT_SECONDS = 5.0
HEARTBEAT_TIMEOUT_SECONDS = 15.0
TELL_SECONDS = 60.0  # between two warnings about slow subscribers

_NOW = int(zmq.DONTWAIT)
_NOW_AND_MORE = int(zmq.DONTWAIT | zmq.SNDMORE)

MessageHandler = Callable[[list[zmq.Frame]], None]


class LoopSocket:
    """A zmq socket that the loop reads, and that never blocks when it is written.

    `on_message` gets the frames of each message (uncopied, so that their metadata can be asked for); with None, input
    is read and thrown away. At most `budget` messages are read in one turn of the loop. The socket is owned: `close`
    closes it. `drops` counts the messages that `send` could not hand over.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        on_message: MessageHandler | None,
        *,
        loop: asyncio.AbstractEventLoop,
        budget: int = 64,
    ) -> None:
        self.drops = 0
        self.sent = 0
        self._socket = socket
        self._on_message = on_message
        self._loop = loop
        self._budget = budget
        self._fd = int(socket.getsockopt(zmq.FD))
        self._reading = False
        self._pending: asyncio.Handle | None = None
        self._closed = False
        loop.add_reader(self._fd, self._read)
        # Peers may have come before the reader was there.
        self._read_soon()

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """The raw socket, for options; whoever sends or receives on it directly must call `check`."""
        return self._socket

    def send(self, frames: Sequence[bytes | zmq.Frame]) -> bool:
        """Hand a message to libzmq; False, and counted, when it did not take it (queue full, peer gone, closed)."""
        if self._closed:
            self.drops += 1
            return False
        if self._pending is None and not self._reading:
            self._read_soon()
        try:
            self._hand_over(frames)
        except zmq.ZMQError as error:
            # Full (EAGAIN), no such peer (EHOSTUNREACH) or a context being ended: to the sender all are a drop.
            if error.errno != zmq.EAGAIN or not self._made_room(frames):
                self.drops += 1
                return False
        self.sent += 1
        return True

    def _hand_over(self, frames: Sequence[bytes | zmq.Frame]) -> None:
        socket, last = self._socket, len(frames) - 1
        # Frame by frame with plain numbers for flags: what send_multipart adds to that takes longer than libzmq.
        # Once libzmq has taken the first frame it takes the others too.
        for index, frame in enumerate(frames):
            socket.send(frame, _NOW if index == last else _NOW_AND_MORE)

    def _made_room(self, frames: Sequence[bytes | zmq.Frame]) -> bool:
        """A message was not taken because somebody has no room for it; True when it was taken after all."""
        del frames
        return False

    def check(self) -> None:
        """Look for input in the next turn of the loop; needed after calls into the raw socket."""
        if self._pending is None and not self._closed:
            self._read_soon()

    def drain(self) -> None:
        """Read all that is there now, whatever the budget; for who is about to close it."""
        while not self._closed and not self._reading and self._input_waiting():
            self._read()

    def close(self, linger_ms: int = 0) -> None:
        """Close the socket; messages handed over get `linger_ms` to leave. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._fd)
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None
        self._socket.close(linger_ms)

    def _input_waiting(self) -> bool:
        return bool(int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)

    def _read_soon(self) -> None:
        self._pending = self._loop.call_soon(self._read)

    def _read(self) -> None:
        """Read until nothing is left or the budget is spent."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None
        if self._reading or self._closed:
            return
        self._reading = True
        socket, on_message = self._socket, self._on_message
        more = True  # until libzmq says otherwise: also after an exception of the handler
        try:
            for _ in range(self._budget):
                try:
                    frames = socket.recv_multipart(_NOW, copy=False)
                except zmq.Again:
                    more = self._input_waiting()
                    break
                except zmq.ZMQError as error:
                    if error.errno not in {zmq.ENOTSUP, zmq.EFSM}:
                        raise
                    # A socket that cannot receive (PUB, PUSH): being asked for its events is all it needs.
                    self._input_waiting()
                    more = False
                    break
                if on_message is not None:
                    on_message(frames)
                if self._closed:
                    return
        finally:
            self._reading = False
            if more and not self._closed:
                self._read_soon()


class PublishingSocket(LoopSocket):
    """An XPUB in the loop that notices when a subscriber does not keep up; `channel` is what to call it in the log.

    libzmq tells nobody what it drops. Asked not to drop anything it refuses the first message that some subscriber has
    no room for: that one is counted in `drops`, and goes to the others all the same. Afterwards the slow one is passed
    over until it has read, which nobody can count, so `drops` is how often a subscriber fell behind, and no more.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        on_message: MessageHandler | None,
        *,
        loop: asyncio.AbstractEventLoop,
        channel: str,
    ) -> None:
        super().__init__(socket, on_message, loop=loop)
        self._channel = channel
        self._told = float("-inf")
        socket.setsockopt(zmq.XPUB_NODROP, 1)

    def _made_room(self, frames: Sequence[bytes | zmq.Frame]) -> bool:
        # Within a millisecond libzmq does not look what has been read meanwhile, unless it is asked for its events.
        self._input_waiting()
        with contextlib.suppress(zmq.Again):
            self._hand_over(frames)
            return True
        self._socket.setsockopt(zmq.XPUB_NODROP, 0)
        try:
            self._hand_over(frames)
        finally:
            self._socket.setsockopt(zmq.XPUB_NODROP, 1)
        now = self._loop.time()
        if now - self._told >= TELL_SECONDS:
            self._told = now
            logger.warning("a subscriber of the %s channel reads too slowly and misses messages", self._channel)
        return False


def publishing_socket(context: zmq.Context[zmq.Socket[bytes]], *, queue: int = 10_000) -> zmq.Socket[bytes]:
    """An XPUB that drops for slow peers (more than `queue` messages behind) rather than wait for them.

    Every subscription and its end is reported, so that subscribers can be counted. Heartbeats find the subscriber that
    was stopped or cut off, which would be sampled for otherwise.
    """
    socket: zmq.Socket[bytes] = context.socket(zmq.XPUB)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, queue)
    socket.setsockopt(zmq.XPUB_VERBOSER, 1)
    socket.setsockopt(zmq.HEARTBEAT_IVL, int(HEARTBEAT_SECONDS * 1000))
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, int(HEARTBEAT_TIMEOUT_SECONDS * 1000))
    _guard(socket, max_message_bytes=64 * 1024)
    return socket


def answering_socket(
    context: zmq.Context[zmq.Socket[bytes]], *, max_message_bytes: int = 16 * 1024 * 1024
) -> zmq.Socket[bytes]:
    """A ROUTER that reports a peer that is gone or full as a failed send instead of losing the reply silently."""
    socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    _guard(socket, max_message_bytes=max_message_bytes)
    return socket


def _guard(socket: zmq.Socket[bytes], *, max_message_bytes: int) -> None:
    """Limits against peers that say nothing or too much."""
    socket.setsockopt(zmq.MAXMSGSIZE, max_message_bytes)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MILLISECONDS)
    # With a domain libzmq takes no peer of ZMTP 1.0, which needs no handshake and so escapes the limit on it.
    socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
