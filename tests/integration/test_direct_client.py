"""The client without libzmq: the same answers from the real circusd, and what it does when there is none."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import zmq

from circus.client import use_keys
from circus.direct import DirectClient, possible
from circus.exc import CallError
from circus.keys import Keys, new_pair
from tests.helpers.daemon import Daemon
from tests.helpers.ports import reserved_port
from tests.helpers.waiting import DEADLINE

INI = "[watcher:web]\ncmd = sleep 1000\nnumprocesses = 2\n"


@contextlib.contextmanager
def client(endpoint: str, timeout: float = DEADLINE) -> Iterator[DirectClient]:
    made = DirectClient(endpoint, timeout)
    try:
        yield made
    finally:
        made.stop()


@contextlib.contextmanager
def router(serve: Callable[[zmq.Socket[bytes]], None], *, beat: int = 0) -> Iterator[str]:
    """A ROUTER of libzmq on a port, which does that; then a thread has ended."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made = context.socket(zmq.ROUTER)
    made.setsockopt(zmq.LINGER, 0)
    if beat:
        made.setsockopt(zmq.HEARTBEAT_IVL, beat)
        made.setsockopt(zmq.HEARTBEAT_TIMEOUT, 5 * beat)
    port = made.bind_to_random_port("tcp://127.0.0.1")
    thread = threading.Thread(target=serve, args=(made,))
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{port}"
    finally:
        thread.join()
        context.destroy(linger=0)


def echo(made: zmq.Socket[bytes]) -> None:
    if made.poll(int(DEADLINE * 1000)):
        made.send_multipart(made.recv_multipart())


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A plain server for one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            connection, _ = server.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    ("endpoint", "can"),
    [
        ("ipc:///run/circus/control.sock", True),
        ("ipc://control", True),
        ("tcp://127.0.0.1:5555", True),
        ("tcp://localhost:5555", True),
        ("tcp://*:5555", False),
        ("tcp://[::1]:5555", False),
        ("tcp://127.0.0.1:*", False),
        ("tcp://127.0.0.1", False),
        ("tcp://eth0;10.0.0.1:5555", True),  # libzmq is asked in the end
        ("ipc://@abstract", False),
        ("inproc://x", False),
        ("nonsense", False),
    ],
)
def test_what_is_plain_can_be_asked_without_libzmq(endpoint: str, can: bool) -> None:
    assert possible(endpoint) is can


def test_with_keys_tcp_is_left_to_libzmq() -> None:
    server, own = new_pair(), new_pair()
    use_keys(Keys(server.public, own.public, own.secret))
    try:
        assert not possible("tcp://127.0.0.1:5555")
        assert possible("ipc:///run/circus/control.sock")
    finally:
        use_keys(None)


def test_circusd_answers_over_a_unix_socket(circusd: Callable[..., Daemon]) -> None:
    daemon = circusd(INI)
    daemon.wait_pids("web", 2)
    with client(daemon.endpoint) as direct:
        assert direct.send_message("numprocesses", name="web")["numprocesses"] == 2
        assert sorted(direct.send_message("list", name="web")["pids"]) == sorted(daemon.pids("web"))
        # Longer than what a short frame and one read can hold, there and back.
        assert "no-such" in direct.send_message("list", name="no-such" + "x" * 100_000)["reason"]
        assert direct.send_message("nonsense")["status"] == "error"


def test_circusd_answers_over_tcp(circusd: Callable[..., Daemon]) -> None:
    with reserved_port() as port:
        daemon = circusd(INI, options={"endpoint": f"tcp://127.0.0.1:{port}"}, start=False)
        daemon.spawn()
        for host in ("127.0.0.1", "localhost"):
            with client(f"tcp://{host}:{port}") as direct:
                assert direct.send_message("numwatchers")["numwatchers"] == 1
        daemon.stop()


def test_it_waits_for_a_circusd_that_comes_later_and_finds_the_next_one(tmp_path: pathlib.Path) -> None:
    daemon = Daemon(INI, tmp_path)
    answers: list[object] = []
    with client(daemon.endpoint) as direct:
        asking = threading.Thread(target=lambda: answers.append(direct.send_message("numwatchers")["numwatchers"]))
        asking.start()
        time.sleep(0.1)
        daemon.start()
        asking.join()
        assert answers == [1]
        pid = daemon.pid
        daemon.signal(signal.SIGTERM)
        daemon.wait()
        daemon.start()
        assert direct.send_message("dstats")["info"]["pid"] == daemon.pid != pid
    daemon.stop()


def test_a_frozen_circusd_is_not_waited_for_longer_than_asked(circusd: Callable[..., Daemon]) -> None:
    daemon = circusd(INI)
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        with client(daemon.endpoint, 0.3) as direct, pytest.raises(CallError, match="Timed out"):
            direct.send_message("numwatchers")
    finally:
        os.kill(daemon.pid, signal.SIGCONT)


def test_nobody_there() -> None:
    with client("ipc:///nonexistent/control.sock", 0.2) as direct, pytest.raises(CallError, match="Timed out"):
        direct.send_message("numwatchers")


def test_a_path_that_is_too_long_for_a_socket_is_complained_about() -> None:
    with client("ipc:///" + "x" * 200, 0.2) as direct, pytest.raises(CallError, match="cannot connect"):
        direct.send_message("numwatchers")


def test_somebody_else_who_answers_is_no_circusd() -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(64)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b" " * 64)

    with listening(serve) as endpoint, client(endpoint, 0.3) as direct, pytest.raises(CallError, match="Timed out"):
        direct.send_message("numwatchers")


def test_a_connection_that_is_closed_with_the_request_is_the_end_of_the_call() -> None:
    def serve(connection: socket.socket) -> None:
        greeting = connection.recv(64)
        connection.sendall(greeting)
        connection.recv(1000)

    with listening(serve) as endpoint, client(endpoint, 0.3) as direct, pytest.raises(CallError, match="Timed out"):
        direct.send_message("numwatchers")


def test_who_asks_for_keys_is_left_to_libzmq() -> None:
    def serve(connection: socket.socket) -> None:
        greeting = bytearray(connection.recv(64))
        greeting[12:32] = b"CURVE".ljust(20, b"\0")
        connection.sendall(greeting)

    with listening(serve) as endpoint, client(endpoint, 0.3) as direct:
        with pytest.raises(CallError, match="Timed out"):
            direct.send_message("numwatchers")
        assert direct._through_zmq is not None


def test_replies_to_others_are_passed_over_and_heartbeats_answered() -> None:
    def serve(made: zmq.Socket[bytes]) -> None:
        made.poll(int(DEADLINE * 1000))
        who, body = made.recv_multipart()
        time.sleep(0.5)  # by then libzmq has dropped who does not answer its heartbeats
        made.send_multipart([who, b'{"id": "another"}'])
        made.send_multipart([who, b"no JSON"])
        made.send_multipart([who, b"", body])

    with router(serve, beat=50) as endpoint, client(endpoint) as direct:
        assert direct.send_message("status")["command"] == "status"


def test_an_answer_that_comes_in_pieces() -> None:
    def serve(connection: socket.socket) -> None:
        greeting = connection.recv(64)
        connection.sendall(greeting)
        got = b""
        while b'"id"' not in got:
            got += connection.recv(4096)
        body = got[got.index(b"{") :]
        for byte in b"\x04\x06\x05READY" + bytes([2]) + struct.pack(">Q", len(body)) + body:
            connection.sendall(bytes([byte]))

    with listening(serve) as endpoint, client(endpoint) as direct:
        assert direct.send_message("status", name="web")["properties"] == {"name": "web"}


def test_one_request_after_the_other_over_one_connection() -> None:
    def serve(made: zmq.Socket[bytes]) -> None:
        for _ in range(3):
            echo(made)

    with router(serve) as endpoint, client(endpoint) as direct:
        assert [direct.send_message(f"c{number}")["command"] for number in range(3)] == ["c0", "c1", "c2"]
