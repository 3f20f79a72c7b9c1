"""The subscription behind circus-top: what arrives on the stats channel goes into the view.

Owns one SUB socket and which topics it asks for; refuses to know who reads the socket (a loop or nobody but us).
Invariant: `stat.` is asked for only while no `sample.` is heard, because a daemon of this release would have to make
the stats of circus 0.19 for us, and they cost it much more.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any, Final

import msgspec
import zmq

from circus.client import connect, prepare
from circus.stats.viewer.view import View
from circus.wire import samples
from circus.wire.endpoints import reachable
from circus.wire.topics import split_stat

SAMPLES: Final = b"sample."
STATS: Final = b"stat."
_OWN: Final = b"sample.-"
# A daemon of this release makes its first pass at once.
LEGACY_AFTER_SECONDS: Final = 2.0
# A connection that died without a word (a machine that lost its power) looks like a daemon that is silent.
RENEW_AFTER_SECONDS: Final = 10.0


class Subscription:
    """Follows one stats endpoint and folds what it says into `view`. `now` is monotonic time, and handed in.

    Raises CallError when the endpoint cannot be connected to, or the ssh tunnel cannot be made.
    """

    def __init__(
        self,
        view: View,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        *,
        now: float,
        ssh_server: str | None = None,
    ) -> None:
        self.view = view
        self.endpoint = endpoint
        self.ssh_server = ssh_server
        self.socket: zmq.Socket[bytes] = context.socket(zmq.SUB)
        self._stats = False
        self._since = self._renewed = now
        try:
            prepare(self.socket)
            self.socket.setsockopt(zmq.SUBSCRIBE, SAMPLES)
            connect(self.socket, endpoint, ssh_server)
        except BaseException:
            self.socket.close(0)
            raise

    @property
    def control_endpoint(self) -> str | None:
        """Where the daemon takes commands, as seen from here; None before it told."""
        daemon = self.view.daemon
        return None if daemon is None else reachable(daemon.sample.endpoint, self.endpoint)

    def receive(self, seconds: float) -> bool:
        """Take the next message, for who has no loop; False when none came in time."""
        if not self.socket.poll(max(int(seconds * 1000), 1)):
            return False
        topic, body, *_ = self.socket.recv_multipart()
        self.take(topic, body, time.monotonic())
        return True

    def take(self, topic: bytes, body: bytes, now: float) -> None:
        """One message; one that is not understood is counted in `view.refused`."""
        view = self.view
        try:
            if topic.startswith(SAMPLES):
                self._ask_stats(asked=False)
                if topic == _OWN:
                    view.take_daemon(samples.decode_daemon(body), now)
                else:
                    view.take_sample(samples.decode_watcher(body), now)
            elif self._stats:
                told = _object(body)
                name, subtopic = split_stat(topic, told.get("subtopic"))
                view.take_stat(name, subtopic, told, now)
        except (msgspec.DecodeError, ValueError):
            view.refused += 1

    def tick(self, now: float) -> None:
        """What time brings: ask for the stats of circus 0.19, and connect again where nothing is heard."""
        heard = self.view.heard
        last = self._since if heard is None else max(heard, self._since)
        if now - last > LEGACY_AFTER_SECONDS and (heard is None or self.view.silent(now)):
            self._ask_stats(asked=True)
        if now - max(last, self._renewed) > RENEW_AFTER_SECONDS and self.ssh_server is None:
            self.move(self.endpoint, now)

    def move(self, endpoint: str, now: float) -> None:
        """Follow another endpoint from now on, or the same one through a new connection."""
        with contextlib.suppress(zmq.ZMQError):  # it may be connected to nothing
            self.socket.disconnect(self.endpoint)
        if endpoint != self.endpoint:
            self._since = now
        self.endpoint, self._renewed = endpoint, now
        connect(self.socket, endpoint)

    def close(self) -> None:
        """End it. Closing twice is harmless."""
        self.socket.close(0)

    def _ask_stats(self, *, asked: bool) -> None:
        if asked != self._stats:
            self._stats = asked
            self.socket.setsockopt(zmq.SUBSCRIBE if asked else zmq.UNSUBSCRIBE, STATS)


def _object(body: bytes) -> dict[str, Any]:
    told = json.loads(body)
    if not isinstance(told, dict):
        raise ValueError("expected a JSON object")  # noqa: TRY004 - a wrong value, as what is no JSON
    return told
