"""Listening sockets: protected before anybody can connect, and never taken from somebody alive."""

import os
import socket
import stat
import threading

import pytest
import zmq

from circus.exc import EndpointError, EndpointInUse
from circus.runtime import listener as listening
from circus.runtime.listener import is_alive, listen
from circus.runtime.private_directory import private_directory
from circus.runtime.waiting_room import WaitingRoom
from tests.helpers.control import short_directory
from tests.helpers.waiting import DEADLINE


@pytest.fixture
def place():
    with short_directory() as directory:
        yield directory


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def answers(endpoint, context):
    """Ask a REP behind the endpoint."""
    client = context.socket(zmq.REQ)
    client.setsockopt(zmq.LINGER, 0)
    client.connect(endpoint)
    client.send(b"?")
    found = client.poll(DEADLINE * 1000)
    reply = client.recv() if found else None
    client.close()
    return reply


def serve_one(server):
    assert server.poll(DEADLINE * 1000)
    server.recv()
    server.send(b"!")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_a_unix_socket_has_its_mode_whatever_the_umask(place, umask):
    before = os.umask(umask)
    try:
        listener = listen(f"ipc://{place}/s")
    finally:
        os.umask(before)
    assert mode(place / "s") == 0o600
    listener.close()


def test_nobody_can_connect_before_the_mode_is_right(place, monkeypatch):
    tried = []

    class Watched(socket.socket):
        def listen(self, backlog):
            tried.append((mode(place / "s"), is_alive(str(place / "s"))))
            super().listen(backlog)

    monkeypatch.setattr(listening.socket, "socket", Watched)
    listener = listen(f"ipc://{place}/s", mode=0o660)
    monkeypatch.undo()
    assert tried == [(0o660, False)]
    listener.close()


def test_a_zmq_socket_serves_on_it_again_and_again(place):
    context = zmq.Context()
    listener = listen(f"ipc://{place}/s")
    inode = (place / "s").stat().st_ino
    for _ in range(3):
        server = context.socket(zmq.REP)
        listener.attach(server)
        asker = threading.Thread(target=serve_one, args=(server,))
        asker.start()
        assert answers(listener.endpoint, context) == b"!"
        asker.join()
        server.close(0)
        assert (place / "s").stat().st_ino == inode
    listener.close()
    context.destroy(linger=0)


def test_clients_wait_in_the_backlog_while_nobody_serves(place):
    context = zmq.Context()
    listener = listen(f"ipc://{place}/s")
    client = context.socket(zmq.DEALER)
    client.setsockopt(zmq.LINGER, 0)
    client.connect(listener.endpoint)
    client.send_multipart([b"", b"?"])
    assert not client.poll(50)
    server = context.socket(zmq.REP)
    listener.attach(server)
    serve_one(server)
    assert client.poll(DEADLINE * 1000)
    context.destroy(linger=0)
    listener.close()


def test_a_live_unix_socket_is_not_taken_over(place):
    first = listen(f"ipc://{place}/s")
    with pytest.raises(EndpointInUse, match=r"^pubsub_endpoint = ipc://.*/s: somebody listens there already"):
        listen(f"ipc://{place}/s", option="pubsub_endpoint")
    assert is_alive(str(place / "s"))
    first.close()


def test_the_socket_of_a_dead_daemon_is_replaced(place):
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(place / "s"))
    dead.listen()
    dead.close()
    listener = listen(f"ipc://{place}/s")
    assert is_alive(str(place / "s"))
    listener.close()


def test_a_file_in_the_way_is_left_alone(place):
    (place / "s").write_text("precious")
    with pytest.raises(EndpointError, match="not a socket is in the way"):
        listen(f"ipc://{place}/s")
    assert (place / "s").read_text() == "precious"


def test_closing_removes_our_path(place):
    listen(f"ipc://{place}/s").close()
    assert list(place.iterdir()) == []


def test_closing_leaves_the_path_of_somebody_else(place):
    first = listen(f"ipc://{place}/s")
    (place / "s").rename(place / "kept")
    second = listen(f"ipc://{place}/s")
    first.close()
    assert is_alive(str(place / "s"))
    second.close()


def test_of_many_who_start_at_once_on_a_dead_socket_one_gets_it(place):
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(place / "s"))
    dead.close()
    won, lost = [], []
    ready = threading.Barrier(8)

    def start():
        ready.wait()
        try:
            won.append(listen(f"ipc://{place}/s"))
        except EndpointInUse as error:
            lost.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    assert is_alive(str(place / "s"))
    won[0].close()


def test_a_free_tcp_port_is_told():
    listener = listen("tcp://127.0.0.1:0")
    port = int(listener.endpoint.rpartition(":")[2])
    assert port > 0
    with socket.create_connection(("127.0.0.1", port)):
        pass
    listener.close()


def test_a_tcp_port_in_use_is_refused():
    first = listen("tcp://127.0.0.1:*")
    with pytest.raises(EndpointInUse, match="somebody listens there already"):
        listen(first.endpoint)
    first.close()


def test_a_tcp_port_can_be_had_again_at_once():
    endpoint = "tcp://127.0.0.1:0"
    for _ in range(10):
        listener = listen(endpoint)
        endpoint = listener.endpoint
        with socket.create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2]))):
            pass
        listener.close()


@pytest.mark.parametrize("host", ["localhost", "lo"])
def test_names_of_hosts_and_interfaces_are_understood(host):
    listener = listen(f"tcp://{host}:0")
    with socket.create_connection(("127.0.0.1", int(listener.endpoint.rpartition(":")[2]))):
        pass
    listener.close()


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("tcp://192.0.2.1:0", "does not have that address"),
        (f"tcp://{'x' * 64}:0", "no address or network interface is called"),
        ("ipc:///no/such/directory/s", "directory does not exist"),
        ("http://x", "expected tcp://HOST:PORT or ipc:///PATH"),
    ],
)
def test_what_cannot_be_had_is_told_with_what_to_do(endpoint, told):
    with pytest.raises(EndpointError) as caught:
        listen(endpoint, option="stats_endpoint")
    assert str(caught.value).startswith(f"stats_endpoint = {endpoint}: ")
    assert told in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a socket away")
def test_the_owner_gets_the_socket(place):
    listener = listen(f"ipc://{place}/s", owner="65534")
    assert ((place / "s").stat().st_uid, mode(place / "s")) == (65534, 0o600)
    listener.close()


def test_an_unknown_owner_is_named_and_nothing_is_left(place):
    with pytest.raises(EndpointError, match="there is no user 'nobody-of-that-name'"):
        listen(f"ipc://{place}/s", owner="nobody-of-that-name")
    assert list(place.iterdir()) == []


def test_a_private_directory_is_closed_to_others(place):
    place.chmod(0o755)
    before = os.umask(0)
    try:
        private_directory(f"{place}/circus/web")
    finally:
        os.umask(before)
    assert (mode(place / "circus"), mode(place / "circus" / "web")) == (0o700, 0o700)


def test_a_passable_directory_lets_others_through_but_not_look(place):
    private_directory(f"{place}/circus/web", passable=True)
    private_directory(f"{place}/circus/other")
    assert (mode(place / "circus"), mode(place / "circus" / "web")) == (0o711, 0o711)
    assert mode(place / "circus" / "other") == 0o700


def test_a_directory_that_was_open_is_closed(place):
    (place / "circus").mkdir(mode=0o777)
    (place / "circus").chmod(0o777)
    private_directory(f"{place}/circus/web")
    assert mode(place / "circus") == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make somebody else's directory")
def test_the_directory_of_somebody_else_is_refused(place):
    (place / "circus").mkdir()
    os.chown(place / "circus", 65534, -1)
    with pytest.raises(EndpointError, match="belongs to uid 65534"):
        private_directory(f"{place}/circus/web")


def test_a_runtime_directory_that_anybody_can_change_is_refused(place):
    place.chmod(0o777)
    with pytest.raises(EndpointError, match="can be changed by others"):
        private_directory(f"{place}/circus/web")


def test_a_file_in_place_of_the_directory_is_refused(place):
    (place / "circus").write_text("")
    with pytest.raises(EndpointError, match="not a directory"):
        private_directory(f"{place}/circus/web")


def test_a_door_is_closed_to_newcomers_and_who_is_in_stays(place):
    context = zmq.Context()
    listener = listen(f"ipc://{place}/s")
    server = context.socket(zmq.ROUTER)
    listener.attach(server)
    inside, late = (context.socket(zmq.DEALER) for _ in range(2))

    def asks(client, text):
        client.connect(listener.endpoint)
        client.send(text)

    asks(inside, b"first")
    assert server.poll(DEADLINE * 1000)
    who, text = server.recv_multipart()
    assert text == b"first"
    identity = place.joinpath("s").stat().st_ino

    room = WaitingRoom(f"{place}/s")
    assert mode(place / "s") == 0o600
    with pytest.raises(EndpointInUse):  # nobody else may have the address meanwhile
        listen(f"ipc://{place}/s")
    asks(late, b"late")
    server.send_multipart([who, b"still here"])
    assert inside.poll(DEADLINE * 1000)
    assert inside.recv() == b"still here"
    assert not server.poll(100)

    room.close()
    assert place.joinpath("s").stat().st_ino == identity
    assert server.poll(DEADLINE * 1000)
    assert server.recv_multipart()[1] == b"late"
    listener.close()
    assert list(place.iterdir()) == []
    context.destroy(linger=0)


def test_a_door_that_cannot_be_closed_stays_as_it_is(place):
    listener = listen(f"ipc://{place}/s")
    place.joinpath("s.full").touch()
    with pytest.raises(FileExistsError):
        WaitingRoom(f"{place}/s")
    assert is_alive(f"{place}/s")
    assert {path.name for path in place.iterdir()} == {"s", "s.full"}
    listener.close()


def test_what_somebody_put_in_front_of_a_closed_door_stays(place):
    listener = listen(f"ipc://{place}/s")
    room = WaitingRoom(f"{place}/s")
    place.joinpath("s").unlink()
    place.joinpath("s").write_text("mine")
    room.close()
    listener.close()
    assert [path.read_text() for path in place.iterdir()] == ["mine"]
