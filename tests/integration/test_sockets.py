"""Sockets that Circus owns, on loopback and in the file system."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circus.exc import SocketError
from circus.sockets import CircusSocket, CircusSockets
from circus.spec.sockets import SocketSpec


@pytest.fixture
def made() -> Iterator[Any]:
    """Makes sockets from specs and closes them afterwards."""
    sockets: list[CircusSocket] = []

    def make(**options: Any) -> CircusSocket:
        sockets.append(CircusSocket.from_spec(SocketSpec(name="web", **options)))
        return sockets[-1]

    yield make
    for sock in sockets:
        sock.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


class TestTcp:
    def test_port_0_becomes_a_real_port_that_listens(self, made: Any) -> None:
        sock = made(host="127.0.0.1", port=0)
        sock.bind_and_listen()
        assert sock.port == sock.getsockname()[1] != 0
        assert str(sock) == f"socket 'web' at 127.0.0.1:{sock.port}"
        socket.create_connection((sock.host, sock.port)).close()

    def test_a_host_name_becomes_its_address(self, made: Any) -> None:
        assert made(host="localhost").host == "127.0.0.1"

    def test_ipv6(self, made: Any) -> None:
        sock = made(host="::1", port=0, family="af_inet6")
        sock.bind_and_listen()
        assert sock.host == "::1"
        socket.create_connection(("::1", sock.port)).close()

    def test_a_taken_port_is_an_error_with_the_address(self, made: Any) -> None:
        first = made(host="127.0.0.1", port=0)
        first.bind_and_listen()
        second = made(host="127.0.0.1", port=first.port)
        with pytest.raises(
            SocketError, match=f"socket 'web' at 127.0.0.1:{first.port} cannot be bound: Address already"
        ):
            second.bind_and_listen()

    def test_an_address_of_another_machine_is_an_error(self, made: Any) -> None:
        sock = made(host="192.0.2.1", port=0)
        with pytest.raises(SocketError, match=r"at 192\.0\.2\.1:0 cannot be bound: Cannot assign requested address"):
            sock.bind_and_listen()

    def test_it_is_close_on_exec_and_does_not_block(self, made: Any) -> None:
        sock = made(host="127.0.0.1", port=0)
        assert not sock.get_inheritable()
        assert sock.getblocking() is False
        assert made(host="127.0.0.1", port=0, blocking=True).getblocking() is True

    def test_a_worker_accepts_on_the_same_number(self, made: Any) -> None:
        sock = made(host="127.0.0.1", port=0)
        sock.bind_and_listen()
        code = "import socket,sys; s=socket.socket(fileno=int(sys.argv[1])); s.setblocking(True); s.accept()[0].send(b'hi')"
        os.set_inheritable(sock.fileno(), True)
        worker = subprocess.Popen([sys.executable, "-c", code, str(sock.fileno())], close_fds=False)
        with socket.create_connection((sock.host, sock.port), timeout=20) as client:
            assert client.recv(10) == b"hi"
        worker.wait(20)

    @pytest.mark.skipif(sys.platform != "linux", reason="SO_BINDTODEVICE is Linux's")
    def test_an_interface(self, made: Any) -> None:
        sock = made(host="127.0.0.1", port=0, interface="lo")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0") == b"lo"

    @pytest.mark.skipif(sys.platform != "linux", reason="SO_BINDTODEVICE is Linux's")
    def test_an_interface_that_is_not_there(self, made: Any) -> None:
        with pytest.raises(SocketError, match=r"at 127.0.0.1:0 cannot be bound to interface 'nope0': No such device"):
            made(host="127.0.0.1", port=0, interface="nope0")

    def test_datagrams_need_no_listening(self, made: Any) -> None:
        sock = made(host="127.0.0.1", port=0, type="SOCK_DGRAM", blocking=True)
        sock.bind_and_listen()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"hi", (sock.host, sock.port))
        assert sock.recv(10) == b"hi"

    def test_a_copy_is_a_plain_socket(self, made: Any) -> None:
        sock = made(host="127.0.0.1", port=0)
        sock.bind_and_listen()
        with sock.dup() as copy:
            assert type(copy) is socket.socket
            assert copy.getsockname() == sock.getsockname()


class TestReusePort:
    def test_each_process_gets_a_socket_of_the_same_port(self, made: Any) -> None:
        placeholder = made(host="127.0.0.1", port=0, so_reuseport=True)
        first, second = placeholder.reuseport_clone(), placeholder.reuseport_clone()
        assert placeholder.port == first.port == second.port != 0
        assert placeholder.getsockname()[1] == 0
        first.close()
        socket.create_connection((second.host, second.port)).close()
        second.close()

    def test_a_clone_that_cannot_be_leaves_nothing_open(self, made: Any) -> None:
        other = made(host="127.0.0.1", port=0)
        other.bind_and_listen()
        placeholder = made(host="127.0.0.1", port=other.port, so_reuseport=True)
        with pytest.raises(SocketError, match="Address already in use"):
            placeholder.reuseport_clone()


class TestUnix:
    def test_owner_and_group_may_connect(self, tmp_path: Path, made: Any) -> None:
        sock = made(path=str(tmp_path / "s"))
        sock.bind_and_listen()
        assert mode(tmp_path / "s") == 0o660
        assert (sock.is_unix, sock.path, sock.host, sock.port) == (True, str(tmp_path / "s"), "", 0)
        assert str(sock) == f"socket 'web' at '{tmp_path}/s'"

    def test_a_umask_decides_the_mode(self, tmp_path: Path, made: Any) -> None:
        before = os.umask(0o022)
        made(path=str(tmp_path / "s"), umask=0o007).bind_and_listen()
        assert os.umask(before) == 0o022
        assert mode(tmp_path / "s") == 0o770

    def test_a_umask_that_is_text_is_octal(self, tmp_path: Path) -> None:
        sock = CircusSocket.load_from_config({"name": "web", "path": str(tmp_path / "s"), "umask": "022"})
        sock.bind_and_listen()
        assert mode(tmp_path / "s") == 0o755
        sock.close()

    def test_the_path_goes_with_the_socket(self, tmp_path: Path, made: Any) -> None:
        sock = made(path=str(tmp_path / "s"))
        sock.bind_and_listen()
        sock.close()
        assert not (tmp_path / "s").exists()

    def test_a_path_that_somebody_else_took_over_stays(self, tmp_path: Path, made: Any) -> None:
        first, second = made(path=str(tmp_path / "s")), made(path=str(tmp_path / "s"), replace=True)
        first.bind_and_listen()
        second.bind_and_listen()
        first.close()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "s"))

    def test_an_existing_path_is_an_error_that_says_what_helps(self, tmp_path: Path, made: Any) -> None:
        (tmp_path / "s").touch()
        sock = made(path=str(tmp_path / "s"))
        with pytest.raises(
            SocketError, match=r"/s' cannot be bound: something is at that path already \(replace = True"
        ):
            sock.bind_and_listen()
        sock.close()
        assert (tmp_path / "s").exists()

    def test_replace_removes_an_old_socket_and_never_a_file(self, tmp_path: Path, made: Any) -> None:
        with socket.socket(socket.AF_UNIX) as old:
            old.bind(str(tmp_path / "s"))
        made(path=str(tmp_path / "s"), replace=True).bind_and_listen()
        (tmp_path / "file").write_text("precious")
        with pytest.raises(SocketError, match="what is at that path is not a socket, so it is not replaced"):
            made(path=str(tmp_path / "file"), replace=True).bind_and_listen()
        assert (tmp_path / "file").read_text() == "precious"

    def test_a_path_that_cannot_be(self, tmp_path: Path, made: Any) -> None:
        with pytest.raises(SocketError, match="cannot be bound: No such file or directory"):
            made(path=str(tmp_path / "nowhere" / "s")).bind_and_listen()
        with pytest.raises(SocketError, match="cannot be bound: AF_UNIX path too long"):
            made(path="/" + "x" * 200).bind_and_listen()


class TestAll:
    def test_all_but_placeholders_are_bound_and_all_closed(self, tmp_path: Path) -> None:
        sockets = CircusSockets()
        sockets.add("unix", path=str(tmp_path / "s"))
        tcp = sockets.add("tcp", host="127.0.0.1", port=0)
        shared = sockets["shared"] = CircusSocket("shared", "127.0.0.1", 0, so_reuseport=True)
        sockets.bind_and_listen_all()
        assert tcp.backlog == 2048
        assert tcp.port != 0 == shared.port
        sockets.close_all()
        assert all(sock.fileno() == -1 for sock in sockets.values())
        assert not (tmp_path / "s").exists()

    def test_a_name_is_given_once(self) -> None:
        sockets = CircusSockets()
        sockets.add("tcp", host="127.0.0.1", port=0)
        with pytest.raises(ValueError, match="there is a socket 'tcp' already"):
            sockets.add("tcp")
        sockets.close_all()
