"""A consumer of the events and stats channels that blocks.

Owns one SUB socket; refuses to know what the messages mean. Invariant: what is yielded is (topic, body), as bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import zmq

from circus.client import connect, prepare
from circus.keys import Keys
from circus.wire.endpoints import DEFAULT_EVENTS

DEFAULT_ENDPOINT_SUB = DEFAULT_EVENTS
"""Its name in circus 0.19."""


class CircusConsumer:
    """Iterate over messages of the topics that begin with one of `topics`; also a context manager.

    `keys` are for a circusd that asks for them. Iterating ends when `stop` was called; every `timeout` seconds without a message it looks.
    """

    def __init__(
        self,
        topics: Iterable[str | bytes],
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
        endpoint: str = DEFAULT_EVENTS,
        ssh_server: str | None = None,
        timeout: float = 1.0,
        *,
        ssh_keyfile: str | None = None,
        keys: Keys | None = None,
    ) -> None:
        self.topics = [topic.encode() if isinstance(topic, str) else topic for topic in topics]
        self.endpoint = endpoint
        self.timeout = timeout
        self._own_context = context is None
        self._stopped = False
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context() if context is None else context
        self.pubsub_socket: zmq.Socket[bytes] = self.context.socket(zmq.SUB)
        prepare(self.pubsub_socket)
        for topic in self.topics:
            self.pubsub_socket.setsockopt(zmq.SUBSCRIBE, topic)
        connect(self.pubsub_socket, endpoint, ssh_server, ssh_keyfile, keys=keys)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return self.iter_messages()

    def __enter__(self) -> CircusConsumer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def iter_messages(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (topic, message) until `stop`."""
        with self:
            while not self._stopped:
                message = self.receive(self.timeout)
                if message is not None:
                    yield message

    def receive(self, timeout: float) -> tuple[bytes, bytes] | None:
        """The next message, None when none came within `timeout` seconds."""
        if self._stopped or not self.pubsub_socket.poll(max(int(timeout * 1000), 0)):
            return None
        topic, body, *_ = self.pubsub_socket.recv_multipart()
        return topic, body

    def stop(self) -> None:
        """Close the connection. Stopping twice is harmless."""
        if self._stopped:
            return
        self._stopped = True
        self.pubsub_socket.close(0)
        if self._own_context:
            self.context.term()
