"""What a Redis server tells of itself, as gauges.

Owns the few lines of Redis's protocol that `INFO` needs: a client library would be a dependency of hundreds of modules
for one question. Invariant: a look ends within `timeout` seconds, whatever the server does.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from circus import logger
from circus.exc import CircusError
from circus.plugins.options import Options
from circus.plugins.statsd import BaseObserver

DEFAULT_URL = "redis://localhost:6379/0"
DEFAULT_PORT = 6379
LONGEST_REPLY = 4 * 1024 * 1024

OBSERVE: Final = (
    "pubsub_channels", "connected_slaves", "lru_clock", "connected_clients", "keyspace_misses", "used_memory",
    "used_memory_peak", "total_commands_processed", "used_memory_rss", "total_connections_received",
    "pubsub_patterns", "used_cpu_sys", "used_cpu_sys_children", "blocked_clients", "used_cpu_user",
    "client_biggest_input_buf", "mem_fragmentation_ratio", "expired_keys", "evicted_keys",
    "client_longest_output_list", "uptime_in_seconds", "keyspace_hits",
)  # fmt: skip
# What Redis 5 gave other names.
RENAMED: Final = {
    "client_biggest_input_buf": "client_recent_max_input_buffer",
    "client_longest_output_list": "client_recent_max_output_buffer",
}


class RedisRefusal(CircusError):
    """The server answers, and does not give what was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where a Redis server is; `path` is that of a unix socket, `tls` goes with `host`."""

    host: str = "localhost"
    port: int = DEFAULT_PORT
    path: str | None = None
    tls: bool = False
    username: str | None = None
    password: str | None = None
    database: int = 0


class RedisObserver(BaseObserver):
    """Asks `redis_url` every `loop_rate` seconds; restarts the watcher `restart_on_timeout` when it does not answer."""

    name = "redis_observer"
    default_app_name = "redis_observer"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        options = Options(config)
        try:
            self.server = read_url(options.text("redis_url", DEFAULT_URL))
        except ValueError as error:
            options.refuse("redis_url", f"expected a URL such as {DEFAULT_URL} ({error})")
        self.timeout = options.number("timeout", 5.0, above=0)
        self.restart_on_timeout = options.text("restart_on_timeout")

    async def look_after(self) -> None:
        try:
            async with asyncio.timeout(self.timeout):
                info = await fetch_info(self.server)
        except RedisRefusal as error:
            # A restart would not help: it wants another password, or is busy loading its data.
            logger.warning("redis: %s", error)
            self.statsd.increment("redis_stats.error")
        except (OSError, EOFError) as error:
            logger.warning("redis does not answer: %s", str(error) or f"nothing within {self.timeout:g} s")
            self.statsd.increment("redis_stats.error")
            if self.restart_on_timeout:
                self.cast("restart", name=self.restart_on_timeout)
                self.statsd.increment("redis_stats.restart_on_error")
        else:
            for key in OBSERVE:
                value = info.get(key, info.get(RENAMED.get(key, "")))
                if value is not None:
                    self.statsd.gauge(f"redis_stats.{key}", value)


def read_url(url: str) -> Server:
    """Read `redis://[[user]:password@]host[:port][/database]`, `rediss://…` or `unix://[…@]/path[?db=0]`.

    Raises:
        ValueError: it is none of these.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError(f"{parts.scheme or url!r} is none of redis, rediss, unix")
    query = parse_qs(parts.query)
    database = query["db"][0] if "db" in query else "" if parts.scheme == "unix" else parts.path.strip("/")
    return Server(
        host=parts.hostname or "localhost",
        port=parts.port or DEFAULT_PORT,
        path=unquote(parts.path) if parts.scheme == "unix" else None,
        tls=parts.scheme == "rediss",
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        database=int(database or 0),
    )


async def fetch_info(server: Server) -> dict[str, str]:
    """The reply to `INFO`, by key.

    Raises:
        RedisRefusal: the server said no.
        OSError: it cannot be reached.
        EOFError: it hung up in the middle.
    """
    reader, writer = await _connect(server)
    try:
        if server.password is not None:
            user = () if server.username is None else (server.username,)
            await _ask(reader, writer, "AUTH", *user, server.password)
        if server.database:
            await _ask(reader, writer, "SELECT", str(server.database))
        text = await _ask(reader, writer, "INFO")
    finally:
        writer.transport.abort()  # nothing more is wanted, and a polite end could take longer than we may
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))
    return {pair[0]: pair[1] for pair in pairs}


async def _connect(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if server.path is not None:
        return await asyncio.open_unix_connection(server.path)
    context = ssl.create_default_context() if server.tls else None
    return await asyncio.open_connection(server.host, server.port, ssl=context)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *words: str) -> str:
    encoded = [word.encode() for word in words]
    writer.write(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded))
    await writer.drain()
    try:
        line = (await reader.readuntil(b"\r\n")).rstrip().decode(errors="replace")
        kind, rest = line[:1], line[1:]
        if kind == "-":
            raise RedisRefusal(f"{words[0]}: {rest}")
        if kind == "$" and 0 <= (size := int(rest)) <= LONGEST_REPLY:
            return (await reader.readexactly(size + 2)).decode(errors="replace")
    except (ValueError, asyncio.LimitOverrunError):
        kind = "?"
    if kind != "+":
        raise RedisRefusal(f"{words[0]}: this is no Redis server")
    return rest
