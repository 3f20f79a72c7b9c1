"""Kills processes that have stopped to say that they are well.

Owns the UDP socket for their heartbeats and the table of who spoke when. Invariant: a process is killed only when it
was silent for `loop_rate * max_count` seconds in which this plugin was listening, and told again until it is gone.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from circus import logger
from circus.exc import CircusError
from circus.plugins.options import Options
from circus.plugins.periodic import PeriodicPlugin, answered

EVERYTHING = ".*"
MESSAGE = r"^(?P<pid>.*);(?P<timestamp>.*)$"
MOST_BYTES = 1024
MOST_AT_ONCE = 1024  # heartbeats read before the loop gets its turn again; no socket buffers more of them
# They send no heartbeats: without a pattern of the user's own they are left alone.
NEVER_BY_DEFAULT = ("plugin:", "circus-exporter", "circusd-stats", "circushttpd")


@dataclass(slots=True)
class Watched:
    """A process: its watcher, and when it was last heard, on the monotonic clock."""

    watcher: str
    last_activity: float


class WatchDog(PeriodicPlugin):
    """Processes of the watchers that match `watchers_regex` send `pid;anything` to `ip` and `port` while they are well.

    Each time round, those that were silent for `loop_rate * max_count` seconds are killed; circusd replaces them.
    """

    name = "watchdog"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        options = Options(config)
        self.watchers_regex = options.pattern("watchers_regex", EVERYTHING)
        self.msg_regex = options.pattern("msg_regex", MESSAGE, group="pid")
        self.max_count = options.whole("max_count", 3, least=1)
        self.watchdog_ip = options.text("ip", "127.0.0.1")
        self.watchdog_port = options.whole("port", 1664, most=65535)
        self.stop_signal = options.signal("watchers_stop_signal")
        grace = config.get("watchers_graceful_timeout")
        self.graceful_timeout = (
            None if grace is None or grace == "" else options.number("watchers_graceful_timeout", 0.0, least=0)
        )
        self.pid_status: dict[str, Watched] = {}
        self.starting = True
        self.sock: socket.socket | None = None
        self._strange = 0
        self._looked = time.monotonic()

    def handle_init(self) -> None:
        super().handle_init()
        self._bind_socket()

    def handle_stop(self) -> None:
        super().handle_stop()
        if self.sock is not None:
            self.loop.remove_reader(self.sock)
            self.sock.close()
            self.sock = None

    def _bind_socket(self) -> None:
        try:
            found = socket.getaddrinfo(self.watchdog_ip, self.watchdog_port, type=socket.SOCK_DGRAM)
            family, kind, protocol, _, address = found[0]
            self.sock = socket.socket(family, kind, protocol)
            self.sock.setblocking(False)
            self.sock.bind(address)
        except OSError as error:
            # To go on without ears would be to kill everybody.
            if self.sock is not None:
                self.sock.close()
            raise CircusError(f"cannot listen on {self.watchdog_ip}:{self.watchdog_port} (udp): {error}") from error
        logger.info("Watchdog listening UDP on %s:%s", *self.sock.getsockname()[:2])
        self.loop.add_reader(self.sock, self.receive_udp_socket)

    def handle_recv(self, data: Sequence[bytes]) -> None:
        """Processes come and go."""
        topic_name, action, message = self.split_data(data)
        if action not in {"spawn", "reap"}:
            return
        body = self.load_message(message)
        name, pid = body.get("watcher", topic_name), str(body["process_pid"])
        if action == "reap":
            if self.pid_status.pop(pid, None) is not None:
                logger.info("removed monitored pid for %s:%s", name, pid)
        elif self._is_monitored(name):
            self.pid_status[pid] = Watched(name, time.monotonic())
            logger.info("added new monitored pid for %s:%s", name, pid)

    def receive_udp_socket(self, *_: Any) -> None:
        """Read the heartbeats that have come."""
        assert self.sock is not None
        for _count in range(MOST_AT_ONCE):
            try:
                data = self.sock.recv(MOST_BYTES)
            except OSError:  # nothing more, or an error of an earlier datagram
                return
            found = self.msg_regex.match(data.decode(errors="replace"))
            watched = None if found is None else self.pid_status.get(found["pid"] or "")
            if watched is None:
                self._strange += 1
                logger.debug("not a heartbeat of a monitored process: %r", data)
            else:
                watched.last_activity = time.monotonic()

    def look_after(self) -> None:
        """Kill the silent ones."""
        if self.starting:
            # Not earlier: by now the subscription is in force, so nobody falls between the list and the events.
            self._discover_monitored_pids()
            self.starting = False
        self.receive_udp_socket()  # what has come while the plugin could not run counts
        if self._strange:
            logger.warning("%s datagrams were no heartbeats of monitored processes", self._strange)
            self._strange = 0
        now = time.monotonic()
        held_up, self._looked = now - self._looked > 2 * self.loop_rate, now
        if held_up:
            # Who did not run itself cannot say that others were silent.
            for watched in self.pid_status.values():
                watched.last_activity = now
        too_old = now - self.loop_rate * self.max_count
        for pid, watched in self.pid_status.items():
            if watched.last_activity < too_old:
                logger.warning("watcher:%s, pid:%s is not responding. Kill it !", watched.watcher, pid)
                self.cast("kill", name=watched.watcher, pid=int(pid), **self._how())
                # Its `reap` takes it out of the table; until then it has as long again.
                watched.last_activity = now

    def _how(self) -> dict[str, Any]:
        told = {"signum": self.stop_signal, "graceful_timeout": self.graceful_timeout}
        return {name: value for name, value in told.items() if value is not None}

    def _discover_monitored_pids(self) -> None:
        """The processes that were there before this plugin was."""
        for name in answered(self.call("list"))["watchers"]:
            if self._is_monitored(name):
                for pid in self.call("list", name=name).get("pids", ()):
                    logger.info("discovered: %s, pid:%s", name, pid)
                    self.pid_status.setdefault(str(pid), Watched(name, time.monotonic()))

    def _is_monitored(self, name: str) -> bool:
        if name.lower() == str(self.config.get("name", "")).lower():
            return False  # itself
        if self.watchers_regex.pattern == EVERYTHING:
            return not name.lower().startswith(NEVER_BY_DEFAULT)
        # circus 0.19 matched the names of topics.
        spellings = (name, name.lower(), name.lower().replace(" ", "_"))
        return any(re.match(self.watchers_regex, spelling) for spelling in spellings)
