"""What circusd does, and what its processes use, as statsd metrics.

Owns the statsd protocol and the names of the metrics. Invariant: a server that is away or has no address costs the
metrics meant for it, and nothing else.
"""

from __future__ import annotations

import random
import re
import socket
import time
from collections.abc import Sequence
from typing import Any

from circus import logger
from circus.exc import CircusError
from circus.plugins.base import CircusPlugin
from circus.plugins.options import Options
from circus.plugins.periodic import PeriodicPlugin
from circus.spec.scalars import to_size

ADDRESS_SECONDS = 60.0  # after that the name of the host is looked up again
# What ends a name in the protocol; a watcher may have it in its name (`plugin:flapping`).
_RESERVED = re.compile(r"[:|@\s]")


class StatsdClient:
    """Sends metrics as UDP datagrams, one each: `prefix.bucket:value|type|@rate`.

    With a `sample_rate` below 1 only that part of the counts and times is sent, at random, and says so. Gauges are
    always sent: a server does not scale them.
    """

    def __init__(
        self, host: str | None = None, port: int | None = None, prefix: str | None = None, sample_rate: float = 1
    ) -> None:
        self.host = host or "localhost"
        self.port = port or 8125
        self.prefix = prefix
        self.sample_rate = sample_rate
        self.socket: socket.socket | None = None
        self._address: Any = None
        self._looked_up = 0.0
        self._stopped = False
        self._failing = False

    def send(self, bucket: str, value: str, sample_rate: float | None = None) -> None:
        """Send a value that has its type: `1|c`."""
        rate = sample_rate or self.sample_rate
        if rate != 1 and not value.endswith("|g"):
            if random.random() >= rate:  # noqa: S311 - no secret
                return
            value = f"{value}|@{rate}"
        name = f"{self.prefix}.{bucket}" if self.prefix else bucket
        self._deliver(f"{_RESERVED.sub('_', name)}:{value}".encode())

    def increment(self, bucket: str, delta: int = 1) -> None:
        self.send(bucket, f"{int(delta)}|c")

    def decrement(self, bucket: str, delta: int = 1) -> None:
        self.increment(bucket, -abs(delta))

    def gauge(self, bucket: str, value: Any) -> None:
        self.send(bucket, f"{value}|g")

    def timed(self, bucket: str, value: float) -> None:
        """A time in milliseconds."""
        self.send(bucket, f"{value}|ms")

    def stop(self) -> None:
        """Close; what is sent afterwards is dropped."""
        self._stopped = True
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def _deliver(self, datagram: bytes) -> None:
        if self._stopped:
            return
        try:
            self._connect()
            assert self.socket is not None
            self.socket.sendto(datagram, self._address)
        except OSError as error:
            self._address = None
            if not self._failing:
                logger.warning("statsd at %s:%s cannot be reached: %s", self.host, self.port, error)
            self._failing = True
        else:
            self._failing = False

    def _connect(self) -> None:
        now = time.monotonic()
        if self._address is not None and now - self._looked_up < ADDRESS_SECONDS:
            return
        family, kind, protocol, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)[0]
        if self.socket is None or self.socket.family != family:
            if self.socket is not None:
                self.socket.close()
            self.socket = socket.socket(family, kind, protocol)
            self.socket.setblocking(False)
        self._address, self._looked_up = address, now


class StatsdEmitter(CircusPlugin):
    """Counts events: `circus.<application_name>.watcher.<watcher>.<action>`."""

    name = "statsd"
    default_app_name = "app"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        options = Options(config)
        rate = options.number("sample_rate", 1.0, above=0)
        if rate > 1:
            options.refuse("sample_rate", "expected a number up to 1")
        self.app = options.text("application_name", self.default_app_name)
        self.prefix = f"circus.{self.app}.watcher"
        self.statsd = StatsdClient(
            host=options.text("host", "localhost"),
            port=options.whole("port", 8125, least=1, most=65535),
            prefix=self.prefix,
            sample_rate=rate,
        )

    def handle_recv(self, data: Sequence[bytes]) -> None:
        watcher, action, _ = self.split_data(data)
        self.statsd.increment(f"{watcher}.{action}")

    def handle_stop(self) -> None:
        super().handle_stop()
        self.statsd.stop()


class BaseObserver(PeriodicPlugin, StatsdEmitter):
    """The base of plugins that look at something every `loop_rate` seconds and tell statsd."""


class FullStats(BaseObserver):
    """Gauges of what the processes of each watcher use, plugins left out."""

    name = "full_stats"

    def look_after(self) -> None:
        try:
            reply = self.call("stats")
        except CircusError as error:
            reply = {"status": "error", "reason": str(error)}
        if reply["status"] == "error":
            logger.warning("no statistics: %s", reply.get("reason"))
            self.statsd.increment("_stats.error")
            return
        for name, infos in reply["infos"].items():
            if not name.startswith("plugin:"):
                self._tell(f"_stats.{name}", infos)

    def _tell(self, bucket: str, infos: dict[str, Any]) -> None:
        if "spawn_count" in infos:
            self.statsd.gauge(f"{bucket}.spawn_count", infos["spawn_count"])
        processes = [info for info in infos.values() if isinstance(info, dict)]
        self.statsd.gauge(f"{bucket}.watchers_num", len(processes))
        for stem, key in (("cpu", "cpu"), ("mem_pct", "mem"), ("mem", "mem_info1")):
            values = [value for info in processes if (value := amount(info.get(key))) is not None]
            if values:
                self.statsd.gauge(f"{bucket}.{stem}_max", max(values))
                self.statsd.gauge(f"{bucket}.{stem}_sum", sum(values))


def amount(told: Any) -> float | int | None:
    """A number of the reply to `stats`, also from a size such as `2.44M`; None for what is not known (`N/A`)."""
    if isinstance(told, int | float) and not isinstance(told, bool):
        return told
    try:
        return to_size(told) if isinstance(told, str) else None
    except ValueError:
        return None
