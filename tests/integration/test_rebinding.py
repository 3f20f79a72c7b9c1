"""Sockets exchanged for others: all of them, or none."""

from __future__ import annotations

import pathlib
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace

import pytest

from circus.exc import SocketError
from circus.rebinding import Rebinding
from circus.sockets import CircusSocket, CircusSockets
from circus.spec.arbiter import ArbiterSpec
from circus.spec.diff import changes
from circus.spec.sockets import SocketSpec


@pytest.fixture
def sockets() -> Iterator[CircusSockets]:
    found = CircusSockets()
    yield found
    found.close_all()


def there(sockets: CircusSockets, *specs: SocketSpec) -> tuple[SocketSpec, ...]:
    """These sockets, listened on."""
    for spec in specs:
        sockets[spec.name] = CircusSocket.from_spec(spec)
    sockets.bind_and_listen_all()
    return specs


def begun(sockets: CircusSockets, old: tuple[SocketSpec, ...], new: tuple[SocketSpec, ...]) -> Rebinding:
    rebinding = Rebinding(sockets, old, new)
    rebinding.begin(changes(ArbiterSpec(sockets=old), ArbiterSpec(sockets=new)))
    return rebinding


def answers(path: pathlib.Path, kind: int = socket.SOCK_STREAM) -> bool:
    with socket.socket(socket.AF_UNIX, kind) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def test_until_the_commit_both_are_listened_on(sockets: CircusSockets, tmp_path: pathlib.Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    old = there(sockets, SocketSpec(name="s", path=str(one)))
    rebinding = begun(sockets, old, (SocketSpec(name="s", path=str(two)), SocketSpec(name="more", port=0)))
    assert answers(one)
    assert answers(two)
    rebinding.commit()
    assert not one.exists()
    assert answers(two)
    assert set(sockets) == {"s", "more"}
    assert sockets["more"].port > 0


def test_undone_it_is_as_if_nothing_had_been(sockets: CircusSockets, tmp_path: pathlib.Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    old = there(sockets, SocketSpec(name="s", path=str(one)), SocketSpec(name="t", port=0, backlog=5))
    before = dict(sockets)
    new = (SocketSpec(name="s", path=str(two)), SocketSpec(name="t", port=0, backlog=9))
    rebinding = begun(sockets, old, new)
    assert sockets["t"].backlog == 9
    rebinding.undo()
    assert dict(sockets) == before
    assert sockets["t"].backlog == 5
    assert answers(one)
    assert not two.exists()


def test_one_that_cannot_be_had_undoes_all(sockets: CircusSockets, tmp_path: pathlib.Path) -> None:
    old = there(sockets, SocketSpec(name="s", path=str(tmp_path / "one")))
    new = (
        SocketSpec(name="a", path=str(tmp_path / "two")),
        SocketSpec(name="b", path=str(tmp_path / "nowhere" / "three")),
        *old,
    )
    with pytest.raises(SocketError, match="three' cannot be bound"):
        begun(sockets, old, new)
    assert not (tmp_path / "two").exists()
    assert set(sockets) == {"s"}


def test_one_path_goes_over_to_another_kind_of_socket_and_back(sockets: CircusSockets, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "one"
    old = there(sockets, SocketSpec(name="s", path=str(path)))
    new = (replace(old[0], type="SOCK_SEQPACKET"),)
    rebinding = begun(sockets, old, new)
    assert answers(path, socket.SOCK_SEQPACKET)
    rebinding.undo()
    assert answers(path)
    begun(sockets, old, new).commit()
    assert answers(path, socket.SOCK_SEQPACKET)
    sockets["s"].close()
    assert not path.exists()


def test_what_can_change_in_place_does(sockets: CircusSockets, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "one"
    old = there(sockets, SocketSpec(name="s", path=str(path)))
    number = sockets["s"].fileno()
    begun(sockets, old, (replace(old[0], umask=0o077, blocking=True, backlog=3, replace=True),)).commit()
    assert sockets["s"].fileno() == number
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert sockets["s"].getblocking()
    assert answers(path)


def test_a_removed_socket_is_closed_with_its_path(sockets: CircusSockets, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "one"
    old = there(sockets, SocketSpec(name="s", path=str(path)))
    begun(sockets, old, ()).commit()
    assert not path.exists()
    assert not sockets


def test_a_placeholder_is_exchanged_without_being_bound(sockets: CircusSockets) -> None:
    old = there(sockets, SocketSpec(name="s", port=0))
    begun(sockets, old, (SocketSpec(name="s", host="127.0.0.1", port=0, so_reuseport=True),)).commit()
    with sockets["s"].reuseport_clone() as clone:
        assert clone.port > 0
