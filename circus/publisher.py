"""The events channel: what happens, to whom it may concern.

Owns the XPUB of the events; refuses to know what the messages say. Invariant: publishing never waits, and costs nothing
for topics that nobody subscribed to.
"""

from __future__ import annotations

import asyncio

import zmq

from circus.runtime.listener import Listener
from circus.runtime.zmq_socket import LoopSocket, Subscriptions, publishing_socket

_LAST_EVENTS_MS = 100


class EventPublisher:
    """A sink (`ports.Sink`) that publishes on a listener.

    Attributes:
        subscriptions: who listens to what.
        published: messages sent, by the first part of their topic (`watcher`, `lifecycle`).
        dropped: those that libzmq did not take.
    """

    def __init__(
        self,
        listener: Listener,
        context: zmq.Context[zmq.Socket[bytes]],
        *,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.subscriptions = Subscriptions()
        self.published = {"watcher": 0, "lifecycle": 0}
        self.dropped = {"watcher": 0, "lifecycle": 0}
        socket = publishing_socket(context)
        try:
            listener.attach(socket)
        except BaseException:
            socket.close(0)
            raise
        self._socket = LoopSocket(socket, self.subscriptions, loop=loop)

    def wants(self, topic: bytes) -> bool:
        """True when somebody would get a message of this topic; ask before building one."""
        return self.subscriptions.wants(topic)

    def send(self, topic: bytes, body: bytes) -> None:
        """Publish, if anybody wants it."""
        if not self.subscriptions.wants(topic):
            return
        counts = self.published if self._socket.send((topic, body)) else self.dropped
        kind = topic.partition(b".")[0].decode(errors="replace")
        counts[kind] = counts.get(kind, 0) + 1

    def close(self) -> None:
        """Close the channel; the last events get a moment to leave."""
        self._socket.close(_LAST_EVENTS_MS)
