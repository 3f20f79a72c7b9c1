"""RedisObserver with a real Redis server, HttpObserver with real HTTP servers; both in the real circusd."""

from __future__ import annotations

import http.server
import pathlib
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from circus.plugins.redis_observer import OBSERVE
from tests.conftest import CircusD
from tests.helpers.daemon import Daemon
from tests.helpers.ports import reserved_port
from tests.helpers.redis import Redis, redis_answers
from tests.helpers.statsd import StatsdSink
from tests.helpers.waiting import wait_until


@pytest.fixture
def sink() -> Iterator[StatsdSink]:
    with StatsdSink() as made:
        yield made


def observing(circusd: CircusD, use: str, sink: StatsdSink, options: str, watchers: str = "") -> Daemon:
    section = f"[plugin:it]\nuse = circus.plugins.{use}\nloop_rate = 0.2\n{sink.options}{options}\n"
    return circusd(watchers + section)


# -- redis ----------------------------------------------------------------------------------------------------------

REDIS = "redis_observer.RedisObserver"
REDIS_STEM = "circus.redis_observer.watcher.redis_stats"


@pytest.mark.real
def test_what_redis_tells_becomes_gauges(circusd: CircusD, sink: StatsdSink, tmp_path: pathlib.Path) -> None:
    with reserved_port() as port, Redis(tmp_path / "redis", port, "--requirepass", "s3 cret/:"):
        url = f"redis://:s3%20cret%2F%3A@127.0.0.1:{port}/3"
        observing(circusd, REDIS, sink, f"redis_url = {url}")
        for key in OBSERVE:
            told = sink.wait_for(f"{REDIS_STEM}.{key}:")
            float(told.partition(":")[2].removesuffix("|g"))
        assert int(sink.wait_for(f"{REDIS_STEM}.used_memory:").split(":")[1].removesuffix("|g")) > 100_000
        assert not any("error" in told for told in sink.datagrams)


@pytest.mark.real
def test_redis_over_a_unix_socket(circusd: CircusD, sink: StatsdSink, tmp_path: pathlib.Path) -> None:
    with Redis(tmp_path, 0, "--unixsocket", "r.sock"):
        observing(circusd, REDIS, sink, f"redis_url = unix://{tmp_path}/r.sock?db=1\napplication_name = shop")
        sink.wait_for("circus.shop.watcher.redis_stats.connected_clients:1|g")


@pytest.mark.real
def test_a_refusal_of_redis_is_an_error_and_no_reason_to_restart_it(
    circusd: CircusD, sink: StatsdSink, tmp_path: pathlib.Path
) -> None:
    with reserved_port() as port, Redis(tmp_path / "redis", port, "--requirepass", "secret"):
        options = f"redis_url = redis://:wrong@127.0.0.1:{port}/\nrestart_on_timeout = web"
        daemon = observing(circusd, REDIS, sink, options, "[watcher:web]\ncmd = sleep 1000\n")
        web = daemon.wait_pids("web", 1)
        for _ in range(3):
            sink.wait_for(f"{REDIS_STEM}.error:1|c")
            sink.datagrams.clear()
        assert daemon.pids("web") == web
        assert "redis: AUTH: WRONGPASS" in daemon.log_text()


@pytest.mark.real
def test_a_redis_that_is_down_is_restarted(circusd: CircusD, sink: StatsdSink, tmp_path: pathlib.Path) -> None:
    with reserved_port() as port:
        command = " ".join(Redis(tmp_path / "redis", port).command[:-1]) + ' ""'
        watchers = f"[watcher:cache]\ncmd = {command}\nautostart = False\n"
        options = f"redis_url = redis://127.0.0.1:{port}/0\nrestart_on_timeout = cache\nloop_rate = 1"
        daemon = observing(circusd, REDIS, sink, options, watchers)
        assert sink.wait_for(lambda told: "redis_stats." in told) == f"{REDIS_STEM}.error:1|c"
        assert sink.wait_for(lambda told: "restart" in told) == f"{REDIS_STEM}.restart_on_error:1|c"
        wait_until(lambda: redis_answers(port), what=daemon.log_text)
        sink.wait_for(f"{REDIS_STEM}.uptime_in_seconds:")


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$99999999999\r\n", b"$10\r\nabc"])
def test_a_server_that_is_no_redis_costs_one_error_each_time(circusd: CircusD, sink: StatsdSink, says: bytes) -> None:
    with Saying(says) as server:
        options = f"redis_url = redis://127.0.0.1:{server.port}/0\ntimeout = 0.2"
        daemon = observing(circusd, REDIS, sink, options)
        for _ in range(2):
            sink.wait_for(f"{REDIS_STEM}.error:1|c")
            sink.datagrams.clear()
        assert "Traceback" not in daemon.log_text()


# -- http -----------------------------------------------------------------------------------------------------------

HTTP = "http_observer.HttpObserver"
HTTP_STEM = "circus.http_observer.watcher.http_stats"


class Page(http.server.BaseHTTPRequestHandler):
    """`/moved` leads to `/`, `/STATUS` has that status."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status = int(self.path[1:]) if self.path[1:].isdigit() else 302 if self.path == "/moved" else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/200")
        if self.path == "/200":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nhello\r\n0\r\n\r\n")
        else:
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

    def log_message(self, *_: Any) -> None:
        pass


class Saying:
    """A server that says the same to everybody, whatever they ask, and then nothing more."""

    def __init__(self, says: bytes) -> None:
        self._says = says
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._guests: list[socket.socket] = []

    def _serve(self) -> None:
        while True:
            try:
                guest, _ = self._listener.accept()
                self._guests.append(guest)
                guest.sendall(self._says)
            except OSError:
                return

    def __enter__(self) -> Saying:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in (self._listener, *self._guests):
            each.close()


@pytest.fixture
def site() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("page", ["/", "/moved", "?question"])
def test_the_time_of_a_page_is_told(circusd: CircusD, sink: StatsdSink, site: str, page: str) -> None:
    observing(circusd, HTTP, sink, f"check_url = {site}{page}")
    told = sink.wait_for(lambda told: "http_stats" in told)
    stem, _, rest = told.partition(":")
    assert stem == f"{HTTP_STEM}.request_time"
    assert int(rest.removesuffix("|ms")) < 10_000


@pytest.mark.parametrize("status", [404, 500, 304])
def test_an_error_is_counted_with_its_status_and_restarts(
    circusd: CircusD, sink: StatsdSink, site: str, status: int
) -> None:
    options = f"check_url = {site}/{status}\nrestart_on_error = web\nloop_rate = 1"
    daemon = observing(circusd, HTTP, sink, options, "[watcher:web]\ncmd = sleep 1000\n")
    web = daemon.wait_pids("web", 1)
    sink.wait_for(f"{HTTP_STEM}.restart_on_error:1|c")
    assert sink.datagrams[-3:] == [
        f"{HTTP_STEM}.error:1|c",
        f"{HTTP_STEM}.error.{status}:1|c",
        f"{HTTP_STEM}.restart_on_error:1|c",
    ]
    daemon.wait_pids("web", 1, without=web)


@pytest.mark.parametrize(
    "says", [b"", b"+PONG\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"]
)
def test_a_server_that_gives_no_page_is_counted_as_599(circusd: CircusD, sink: StatsdSink, says: bytes) -> None:
    with Saying(says) as server:
        daemon = observing(circusd, HTTP, sink, f"check_url = http://127.0.0.1:{server.port}/\ntimeout = 0.2")
        for _ in range(2):
            sink.wait_for(f"{HTTP_STEM}.error.599:1|c")
            sink.datagrams.clear()
        assert "Traceback" not in daemon.log_text()


def test_a_server_that_is_not_there_is_counted_as_599(circusd: CircusD, sink: StatsdSink) -> None:
    with reserved_port() as port:
        observing(circusd, HTTP, sink, f"check_url = http://127.0.0.1:{port}/")
        sink.wait_for(f"{HTTP_STEM}.error.599:1|c")


@pytest.mark.parametrize(("use", "option"), [(HTTP, "check_url = ftp://x/"), (REDIS, "redis_url = http://x/")])
def test_an_address_of_another_kind_is_told(circusd: CircusD, sink: StatsdSink, use: str, option: str) -> None:
    daemon = observing(circusd, use, sink, option)
    wait_until(lambda: f"cannot be made: {option}: expected a URL" in daemon.log_text(), what=daemon.log_text)


def test_the_interpreter_of_circusd_needs_no_client_library() -> None:
    """Neither plugin imports what Circus does not depend on."""
    import subprocess

    program = (
        "import sys, circus.plugins.redis_observer, circus.plugins.http_observer\n"
        "assert not {'redis', 'aiohttp', 'tornado', 'requests'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
