"""Raw zmq sockets in the asyncio loop, and who listens on a publishing one.

Owns the reading and writing of a zmq socket by the loop's `add_reader`; refuses to know what the messages mean.
Invariant: input that libzmq has for us is always read sooner or later. Two properties of its file descriptor make that
hard. It is not the descriptor of data: it stays readable until `EVENTS` is read, so a reader that does not ask spins.
And any call into the socket, a send too, may take the news off it, so after sending somebody must ask `EVENTS` again,
because the loop will not be told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import zmq

HANDSHAKE_MILLISECONDS = 1000
HEARTBEAT_SECONDS = 5.0
HEARTBEAT_TIMEOUT_SECONDS = 15.0

_NOW = int(zmq.DONTWAIT)
_NOW_AND_MORE = int(zmq.DONTWAIT | zmq.SNDMORE)

MessageHandler = Callable[[list[zmq.Frame]], None]
SubscriptionHandler = Callable[[bytes, bool], None]


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
        socket, last = self._socket, len(frames) - 1
        try:
            # Frame by frame with plain numbers for flags: what send_multipart adds to that takes longer than libzmq.
            # Once libzmq has taken the first frame it takes the others too.
            for index, frame in enumerate(frames):
                socket.send(frame, _NOW if index == last else _NOW_AND_MORE)
        except zmq.ZMQError:
            # Full (EAGAIN), no such peer (EHOSTUNREACH) or a context being ended: to the sender all are a drop.
            self.drops += 1
            return False
        self.sent += 1
        return True

    def check(self) -> None:
        """Look for input in the next turn of the loop; needed after calls into the raw socket."""
        if self._pending is None and not self._closed:
            self._read_soon()

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


class Subscriptions:
    """The prefixes that subscribers of an XPUB asked for, with how many asked for each.

    Feed it the messages of the XPUB (it can be the `on_message` of a `LoopSocket`). `on_change` is told a prefix when
    its first subscriber comes (True) and when its last one leaves (False). Counts are right with the sockets of
    `publishing_socket`; an XPUB without VERBOSER reports each prefix once, which is enough for `wants`.
    """

    def __init__(self, on_change: SubscriptionHandler | None = None) -> None:
        self.on_change = on_change
        self._counts: dict[bytes, int] = {}
        self._prefixes: tuple[bytes, ...] = ()

    def __call__(self, frames: list[zmq.Frame]) -> None:
        """Take one message of the XPUB; anything but a subscription is ignored."""
        body = frames[0].bytes
        if len(frames) != 1 or not body or body[0] > 1:
            return
        prefix = body[1:]
        before = self._counts.get(prefix, 0)
        after = before + 1 if body[0] else max(before - 1, 0)
        if after:
            self._counts[prefix] = after
        else:
            self._counts.pop(prefix, None)
        if bool(before) != bool(after):
            self._prefixes = tuple(self._counts)
            if self.on_change is not None:
                self.on_change(prefix, bool(after))

    def wants(self, topic: bytes) -> bool:
        """True when a message of exactly this topic would reach a subscriber."""
        return topic.startswith(self._prefixes)

    def wants_below(self, stem: bytes) -> bool:
        """True when some topic that begins with `stem` could reach a subscriber."""
        return stem.startswith(self._prefixes) or any(prefix.startswith(stem) for prefix in self._prefixes)

    def counts(self) -> dict[str, int]:
        """Subscribers by prefix, for people (`{'': 1}` is somebody who takes everything)."""
        return {prefix.decode(errors="replace"): count for prefix, count in self._counts.items()}

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._prefixes)

    def __len__(self) -> int:
        return len(self._prefixes)

    def __contains__(self, prefix: object) -> bool:
        return prefix in self._counts


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
