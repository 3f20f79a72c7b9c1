"""The events channel: what happens, to whom it may concern.

Owns the XPUB of the events; refuses to know what the messages say. Invariant: publishing never waits, and costs nothing
for topics that nobody subscribed to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import zmq

from circus.events.allowance import Allowance
from circus.handover import EventsRecord
from circus.runtime.listener import Listener
from circus.runtime.subscriptions import Subscriptions
from circus.runtime.zmq_socket import PublishingSocket, publishing_socket

_LAST_EVENTS_MS = 100

# Lines of output, of all watchers together, in bytes: so many a second, after so many at once. A subscriber that does
# not read is noticed by its missing heartbeats only after a while, and until then libzmq keeps for it what is sent.
_LOG_RATE = 2 << 20
_LOG_BURST = 4 << 20
_LIMIT = "log:limit"


class EventPublisher:
    """A sink (`ports.Sink`) that publishes on a listener.

    Attributes:
        subscriptions: who listens to what.
        log_prefixes: those of the subscriptions that name `log`; the rest does not switch lines of output on.
        published: messages sent, by the first part of their topic (`watcher`, `lifecycle`, `log`).
        dropped: those that made some subscriber fall behind (see `PublishingSocket`), and as `log:limit` lines of output
            beyond their limits.
    """

    def __init__(
        self,
        listener: Listener,
        context: zmq.Context[zmq.Socket[bytes]],
        *,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.subscriptions = Subscriptions(self._subscribed)
        self.log_prefixes: tuple[bytes, ...] = ()
        self.published = {"watcher": 0, "lifecycle": 0, "log": 0}
        self.dropped = {"watcher": 0, "lifecycle": 0, "log": 0, _LIMIT: 0}
        self._log_allowance = Allowance(_LOG_RATE, _LOG_BURST)
        self._listener, self._loop = listener, loop
        self.serve(context)

    def serve(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Publish by sockets of this context; again after `close`."""
        socket = publishing_socket(context)
        try:
            self._listener.attach(socket)
        except BaseException:
            socket.close(0)
            raise
        self._socket = PublishingSocket(socket, self.subscriptions, loop=self._loop, channel="events")

    def wants(self, topic: bytes) -> bool:
        """True when somebody would get a message of this topic; ask before building one."""
        return self.subscriptions.wants(topic)

    def send(self, topic: bytes, body: bytes) -> None:
        """Publish, if anybody wants it."""
        if not self.subscriptions.wants(topic):
            return
        if topic.startswith(b"log.") and not self._log_allowance.take(len(body)):
            self.skip(topic)
            return
        counts = self.published if self._socket.send((topic, body)) else self.dropped
        kind = topic.partition(b".")[0].decode(errors="replace")
        counts[kind] = counts.get(kind, 0) + 1

    def skip(self, _: bytes) -> None:
        """Count lines of output that are not published, because there are too many."""
        self.dropped[_LIMIT] += 1

    def send_multipart(self, frames: Sequence[bytes | str]) -> None:
        """Publish (topic, message), as programs of circus 0.19 do that publish something of their own."""
        topic, body = (frame.encode() if isinstance(frame, str) else frame for frame in frames)
        self.send(topic, body)

    @property
    def drops(self) -> int:
        """Messages that were made and are lost."""
        return sum(self.dropped.values()) - self.dropped[_LIMIT]

    @property
    def lines_beyond_limit(self) -> int:
        """Lines of output that were not published, because there were too many."""
        return self.dropped[_LIMIT]

    @property
    def send_hwm(self) -> int:
        """How many messages may wait for one subscriber."""
        return int(self._socket.socket.getsockopt(zmq.SNDHWM))

    def handed(self) -> EventsRecord:
        """What is counted, to be handed over."""
        return EventsRecord(published=self.published, dropped=self.dropped)

    def take_over(self, record: EventsRecord) -> None:
        """Go on counting from there."""
        self.published |= record.published
        self.dropped |= record.dropped

    def close(self) -> None:
        """Close the channel; the last events get a moment to leave."""
        self._socket.close(_LAST_EVENTS_MS)
        self.subscriptions.clear()

    def _subscribed(self, prefix: bytes, begun: bool) -> None:
        del prefix, begun
        self.log_prefixes = tuple(each for each in self.subscriptions if each.startswith(b"log"))
