"""Sockets as workers find them: each kind and each option, asked of the kernel in the worker itself."""

from __future__ import annotations

import errno
import os
import pathlib
import socket
import sys

import pytest

from circus.sockets import CircusSocket
from tests import workers
from tests.conftest import CircusD
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import DEADLINE, wait_until
from tests.integration.test_supervision_starting import port_of

linux = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets are for root")


def worker(*names: str, where: str = "facts.log") -> str:
    """A watcher whose process says what its sockets are."""
    return f"cmd = {workers.python('socket_facts', where, *(f'$(circus.sockets.{name})' for name in names))}\n"


def facts(daemon: Daemon, name: str = "facts.log") -> list[str]:
    file = daemon.directory / name
    wait_until(file.exists, what=daemon.log_text)
    return file.read_text().splitlines()


@linux
@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("host = 127.0.0.1\nport = 0", "AF_INET SOCK_STREAM listens=1 blocks=False reuseaddr=1 reuseport=0 bound=True"),
        ("host = localhost\nport = 0\nbacklog = 7", "host=127.0.0.1 backlog=7"),
        ("port = 0\nblocking = True", "blocks=True"),
        ("port = 0\nfamily = af_inet6\nhost = ::1", "AF_INET6 SOCK_STREAM host=::1 listens=1"),
        ("port = 0\ntype = SOCK_DGRAM", "AF_INET SOCK_DGRAM listens=0 bound=True"),
        ("port = 0\ninterface = lo", "device=lo listens=1"),
        ("path = a.sock", "AF_UNIX SOCK_STREAM listens=1 mode=660"),
        ("path = a.sock\numask = 077", "mode=700"),
        ("path = a.sock\numask = 0", "mode=777"),
        ("path = a.sock\nfamily = AF_UNIX\ntype = SOCK_SEQPACKET", "AF_UNIX SOCK_SEQPACKET listens=1"),
        ("path = a.sock\ntype = SOCK_DGRAM", "AF_UNIX SOCK_DGRAM listens=0"),
        pytest.param("port = 0\ntype = SOCK_RAW\nproto = icmp", "AF_INET SOCK_RAW proto=1 listens=0", marks=as_root),
    ],
)
def test_a_socket_is_what_was_asked_for(circusd: CircusD, options: str, wanted: str) -> None:
    daemon = circusd(f"[socket:s]\n{options}\n[watcher:w]\n{worker('s')}use_sockets = True\n")
    (told,) = facts(daemon)
    assert set(wanted.split()) <= set(told.split())


@linux
@pytest.mark.parametrize("option", ["cmd", "args"])
def test_each_process_has_its_own_socket_wherever_it_is_named(circusd: CircusD, option: str) -> None:
    command = worker("s", where="{pid}.log").removeprefix("cmd = ").strip()
    written = (
        f"cmd = {command}\n" if option == "cmd" else f"cmd = {command.split()[0]}\nargs = {command.partition(' ')[2]}\n"
    )
    daemon = circusd(
        f"[socket:s]\nhost = 127.0.0.1\nport = 0\nso_reuseport = True\n"
        f"[watcher:w]\n{written}numprocesses = 2\nuse_sockets = True\n"
    )
    told = [facts(daemon, f"{pid}.log") for pid in daemon.wait_pids("w", 2)]
    assert all({"listens=1", "reuseport=1", "bound=True"} <= set(line.split()) for (line,) in told)
    with socket.create_connection(("127.0.0.1", port_of(daemon, "s")), timeout=DEADLINE):
        pass


def test_a_socket_that_was_left_is_replaced_where_that_is_asked_for(circusd: CircusD) -> None:
    daemon = circusd("[socket:s]\npath = left.sock\nreplace = True\n[watcher:w]\ncmd = sleep 1000\n", start=False)
    path = daemon.directory / "left.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    daemon.start()
    assert path.is_socket()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    assert daemon.ok("listsockets")["sockets"][0]["path"] == "left.sock"
    daemon.stop()
    assert not path.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("path = left.sock", "something is at that path already"),
        ("path = left.sock\nreplace = True\ntype = SOCK_STREAM", None),
        ("host = 127.0.0.1\nport = 0\ninterface = nosuch0", "interface 'nosuch0'"),
        ("host = 192.0.2.1\nport = 0", "cannot be bound"),
        ("path = /nowhere/at/all.sock", "cannot be bound"),
    ],
)
def test_a_socket_that_cannot_be_had_ends_circusd_with_a_sentence(
    circusd: CircusD, options: str, words: str | None
) -> None:
    daemon = circusd(f"[socket:s]\n{options}\n[watcher:w]\ncmd = sleep 1000\n", start=False)
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(daemon.directory / "left.sock"))
    if words is None:
        daemon.start()
        return
    daemon.spawn()
    assert daemon.wait() == 1
    assert words in daemon.log_text()
    assert "Traceback" not in daemon.log_text()


def test_a_file_is_never_replaced(circusd: CircusD) -> None:
    daemon = circusd("[socket:s]\npath = precious\nreplace = True\n[watcher:w]\ncmd = sleep 1000\n", start=False)
    file = pathlib.Path(daemon.directory / "precious")
    file.write_text("data")
    daemon.spawn()
    assert daemon.wait() == 1
    assert file.read_text() == "data"


def test_sockets_are_listed_as_in_0_19(circusd: CircusD) -> None:
    daemon = circusd(
        "[socket:Web]\nhost = 127.0.0.1\nport = 0\nbacklog = 9\n[socket:ux]\npath = a.sock\n[watcher:w]\ncmd = sleep 1000\n"
    )
    unix, web = sorted(daemon.ok("listsockets")["sockets"], key=lambda told: told["name"])
    assert [told["fd"] for told in daemon.ok("listsockets")["sockets"]] == sorted([unix["fd"], web["fd"]])
    assert {**unix, "fd": 0} == {"fd": 0, "name": "ux", "backlog": 2048, "path": "a.sock"}
    assert {**web, "fd": 0, "port": 1} == {"fd": 0, "name": "web", "backlog": 9, "host": "127.0.0.1", "port": 1}


def test_an_error_has_the_number_of_the_system_that_programs_look_at() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        sock = CircusSocket("web", host="127.0.0.1", port=taken.getsockname()[1])
        with sock, pytest.raises(OSError, match="cannot be bound") as caught:
            sock.bind_and_listen()
    assert caught.value.errno == errno.EADDRINUSE
