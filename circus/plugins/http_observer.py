"""Whether a web server answers, and how fast.

Owns as much of an HTTP client as that takes, in the plugin's loop, so that it can be given up at any point. Invariant:
a look ends within `timeout` seconds, redirects and body included, whatever the server does.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from circus import __version__, logger
from circus.plugins.options import Options
from circus.plugins.statsd import BaseObserver

NO_ANSWER = 599  # what tornado's client, and so circus 0.19, counted where there was no status
MOST_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
CHUNK = 64 * 1024


class HttpObserver(BaseObserver):
    """Fetches `check_url` every `loop_rate` seconds; restarts the watcher `restart_on_error` when that fails."""

    name = "http_observer"
    default_app_name = "http_observer"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        options = Options(config)
        self.check_url = options.text("check_url", "http://localhost/")
        try:
            _address(self.check_url)
        except ValueError as error:
            options.refuse("check_url", f"expected a URL such as http://localhost/ ({error})")
        self.timeout = options.number("timeout", 10.0, above=0)
        self.restart_on_error = options.text("restart_on_error")

    async def look_after(self) -> None:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self.timeout):
                status = await fetch(self.check_url)
            told = f"status {status}"
        except (OSError, EOFError, ValueError) as error:
            status, told = NO_ANSWER, str(error) or f"nothing within {self.timeout:g} s"
        if 200 <= status < 300:
            self.statsd.timed("http_stats.request_time", int((time.monotonic() - begun) * 1000))
            return
        logger.warning("%s: %s", self.check_url, told)
        self.statsd.increment("http_stats.error")
        self.statsd.increment(f"http_stats.error.{status}")
        if self.restart_on_error:
            self.cast("restart", name=self.restart_on_error)
            self.statsd.increment("http_stats.restart_on_error")


async def fetch(url: str) -> int:
    """The status of a page, redirects followed, once all of it is here.

    Raises:
        OSError: the server cannot be reached.
        EOFError: it hung up in the middle.
        ValueError: what it says is no HTTP, or it redirects to what is no page.
    """
    for _ in range(MOST_REDIRECTS + 1):
        status, location = await _get(url)
        if status not in REDIRECTS or location is None:
            break
        url = urljoin(url, location)
    return status


def _address(url: str) -> tuple[SplitResult, str, int]:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is no address of a page")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise ValueError("there is a blank in it")
    return parts, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


async def _get(url: str) -> tuple[int, str | None]:
    """(status, where it redirects to)."""
    parts, host, port = _address(url)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = (
            f"GET {path} HTTP/1.1",
            f"Host: {parts.netloc.rpartition('@')[2]}",
            f"User-Agent: circus/{__version__}",
            "Accept: */*",
            "Connection: close",
        )
        writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        await writer.drain()
        status, headers = await _head(reader)
        while status < 200:  # 100 Continue and the like
            status, headers = await _head(reader)
        await _body(reader, status, headers)
    finally:
        writer.transport.abort()  # nothing more is wanted, and a polite end could take longer than we may
    return status, headers.get("location")


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError as error:
        raise ValueError("its headers have no end") from error
    first, *rest = text.split("\r\n")
    protocol, _, status = first.partition(" ")
    if not protocol.startswith("HTTP/") or not status[:3].isdecimal():
        raise ValueError("this is no web server")
    pairs = (line.partition(":") for line in rest if line)
    return int(status[:3]), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _body(reader: asyncio.StreamReader, status: int, headers: dict[str, str]) -> None:
    """Read the body to its end and throw it away."""
    if status in {204, 304}:
        return
    if "chunked" in headers.get("transfer-encoding", "").lower():
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            await _skip(reader, size + 2)
        return
    length = headers.get("content-length")
    if length is not None:
        await _skip(reader, int(length))
        return
    while await reader.read(CHUNK):
        pass


async def _skip(reader: asyncio.StreamReader, size: int) -> None:
    while size > 0:
        got = await reader.read(min(size, CHUNK))
        if not got:
            raise EOFError("it hung up in the middle")
        size -= len(got)
