"""The stats of circus 0.19 on a socket of their own: what circusd-stats publishes with.

Owns one XPUB and who subscribed to it; refuses to know what is measured. Invariant: publishing never waits, and what
nobody wants is not encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import zmq

from circus.runtime.listener import listen
from circus.runtime.subscriptions import Subscriptions
from circus.runtime.zmq_socket import publishing_socket
from circus.wire.endpoints import DEFAULT_STATS
from circus.wire.topics import stat_topic


class StatsPublisher:
    """Publishes `stat.` topics at `stats_endpoint`; EndpointError when it cannot be had."""

    def __init__(
        self, stats_endpoint: str = DEFAULT_STATS, context: zmq.Context[zmq.Socket[bytes]] | None = None
    ) -> None:
        self._own_context = context is None
        self.ctx: zmq.Context[zmq.Socket[bytes]] = zmq.Context() if context is None else context
        self._subscriptions = Subscriptions()
        self.socket = publishing_socket(self.ctx)
        try:
            self._listener = listen(stats_endpoint, option="statspoint")
            self._listener.attach(self.socket)
        except BaseException:
            self._close()
            raise
        self.stats_endpoint = self._listener.endpoint

    def wants(self, name: str) -> bool:
        """True when somebody subscribed to anything of this watcher."""
        while True:
            try:
                self._subscriptions(self.socket.recv_multipart(zmq.NOBLOCK, copy=False))
            except zmq.Again:
                return self._subscriptions.wants_below(stat_topic(name))

    def publish(self, name: str, stat: Mapping[str, Any]) -> None:
        """Publish one stat: of a process or socket when it has a `subtopic`, else the sums of a watcher."""
        topic = stat_topic(name, stat.get("subtopic"))
        if not self._subscriptions.wants(topic):
            return
        self.socket.send_multipart((topic, msgspec.json.encode(stat)), zmq.NOBLOCK)  # an XPUB drops for who is slow

    def stop(self) -> None:
        """Close the socket."""
        self._listener.close()
        self._close()

    def _close(self) -> None:
        self.socket.close(0)
        if self._own_context:
            self.ctx.term()
