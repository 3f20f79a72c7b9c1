"""The datagram for a service manager."""

from __future__ import annotations

import pathlib
import socket

import pytest

from circus.runtime.notify import READY, tell


@pytest.mark.parametrize("abstract", [False, True])
def test_who_asked_is_told(tmp_path: pathlib.Path, *, abstract: bool) -> None:
    name = f"\0circus-test-{tmp_path}" if abstract else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        tell(READY, {"NOTIFY_SOCKET": name.replace("\0", "@")})
        manager.setblocking(False)
        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    "environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/none/there"}, {"NOTIFY_SOCKET": "x"}]
)
def test_nobody_there_is_no_error(environ: dict[str, str]) -> None:
    tell(READY, environ)


def test_who_does_not_read_holds_nobody_up(tmp_path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "n"))
        for _ in range(1000):
            tell(READY, {"NOTIFY_SOCKET": str(tmp_path / "n")})
