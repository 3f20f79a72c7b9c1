"""What a plugin is: a program of its own that hears what circusd tells and may give it commands.

Owns the plugin's loop and its two connections; refuses to know what a plugin does with them. Invariant: `handle_stop`
runs once for each start that came to an end, by `stop`, by a signal or by an exception, while the connections live.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Sequence
from typing import Any

import zmq

from circus import logger
from circus.client import CircusClient, cast_message, connect, make_message, prepare
from circus.plugins.options import Options
from circus.runtime.tornado_loop import TornadoLoop
from circus.runtime.zmq_socket import LoopSocket
from circus.wire.topics import split_action

LINGER_MILLISECONDS = 1000


class CircusPlugin:
    """The base of all plugins: override `handle_recv`, and `handle_init` and `handle_stop` where needed.

    `config` holds the options of the plugin's section as text. `loop` is the plugin's own asyncio loop, which also takes
    the calls of tornado's: timers and tasks made in `handle_init` run in it. While it runs, `sub_socket` hears the events and `client` asks; both are raw
    zmq sockets of `context`. After a direct call into `sub_socket` from a timer, call `substream.check()`.
    """

    name = ""
    call_timeout = 60.0  # seconds that `call` waits

    context: zmq.Context[zmq.Socket[bytes]]
    client: zmq.Socket[bytes]
    sub_socket: zmq.Socket[bytes]
    substream: LoopSocket

    def __init__(
        self, endpoint: str, pubsub_endpoint: str, check_delay: float, ssh_server: str | None = None, **config: Any
    ) -> None:
        self.daemon = True
        self.config = config
        self.active = Options(config).flag("active", True)
        self.endpoint = endpoint
        self.pubsub_endpoint = pubsub_endpoint
        self.check_delay = check_delay
        self.ssh_server = ssh_server
        self.running = False
        self.loop = TornadoLoop()
        self._asking = threading.RLock()

    # What plugins override.

    def handle_init(self) -> None:
        """Called first, before there is any connection; the loop does not run yet."""

    def handle_recv(self, data: Sequence[bytes]) -> None:
        """Called with each event of circusd: its topic and its body, see `split_data` and `load_message`."""
        raise NotImplementedError

    def handle_stop(self) -> None:
        """Called last, while circusd can still be asked."""

    # What plugins use.

    def call(self, command: str, /, **props: Any) -> dict[str, Any]:
        """Send a command to circusd and wait for the reply, which may be an error.

        Raises:
            CallError: there was no reply within `call_timeout`; the text starts with `Timed out`.
        """
        with self._asking:
            self._client.timeout = self.call_timeout
            return self._client.call(make_message(command, **props))

    def cast(self, command: str, /, **props: Any) -> None:
        """Send a command to circusd that it does not answer."""
        with self._asking:
            self.client.send(json.dumps(cast_message(command, **props)).encode())

    @staticmethod
    def split_data(data: Sequence[bytes]) -> tuple[str, str, bytes]:
        """(watcher as topics name it, action, body) of an event; the name may hold dots."""
        topic, body = data
        watcher, action = split_action(topic)
        return watcher, action, body

    @staticmethod
    def load_message(msg: bytes | str) -> Any:
        """The body of an event, decoded."""
        return json.loads(msg)

    # How a plugin lives.

    def initialize(self) -> None:
        """Connect to circusd; a plugin that wants other topics extends this and subscribes `sub_socket` to them."""
        self.context = zmq.Context()
        self._client = CircusClient(self.context, self.endpoint, self.call_timeout, self.ssh_server)
        self.client = self._client.socket
        self.sub_socket = self.context.socket(zmq.SUB)
        prepare(self.sub_socket)
        self.sub_socket.setsockopt(zmq.SUBSCRIBE, b"watcher.")
        connect(self.sub_socket, self.pubsub_endpoint, self.ssh_server)
        self.substream = LoopSocket(self.sub_socket, self._received, loop=self.loop)

    def start(self) -> None:
        """Run the plugin until `stop`; ValueError where its section says that it is not active."""
        if not self.active:
            raise ValueError("Will not start an inactive plugin")
        asyncio.set_event_loop(self.loop)
        self.handle_init()
        self.initialize()
        self.running = True
        try:
            self.loop.run_forever()
        finally:
            try:
                self._stopping()
            finally:
                self._disconnect()
                asyncio.set_event_loop(None)

    def stop(self) -> None:
        """End `start`, also from another thread; harmless on a plugin that does not run."""
        if not self.running:
            if not self.loop.is_running():
                self.loop.close()
            return
        try:
            self._stopping()
        finally:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                self.loop.call_soon_threadsafe(self.loop.stop)

    def _stopping(self) -> None:
        if self.running:
            self.running = False
            self.handle_stop()

    def _received(self, frames: list[zmq.Frame]) -> None:
        data = [frame.bytes for frame in frames]
        try:
            self.handle_recv(data)
        except Exception:
            # One event that the plugin cannot handle must not cost it the following ones.
            logger.exception("plugin %s: failed to handle %r", self.name or type(self).__name__, data)

    def _disconnect(self) -> None:
        """Close everything; what was cast last gets a moment to leave."""
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.substream.close()
        self._client.stop(LINGER_MILLISECONDS)
        self.context.term()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
