"""What a socket of ours is told to be, before the system is asked."""

from __future__ import annotations

import pytest

from circus.exc import SocketError
from circus.sockets import CircusSocket
from circus.spec.sockets import SocketSpec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (SocketSpec(name="web", family="AF_NOPE"), "socket 'web': this system knows no AF_NOPE"),
        (SocketSpec(name="web", type="SOCK_NOPE"), "socket 'web': this system knows no SOCK_NOPE"),
        (SocketSpec(name="web", proto="nope"), "socket 'web': this system knows no protocol 'nope'"),
        (SocketSpec(name="web", family="AF_UNIX"), "socket 'web': a unix socket needs a path"),
        (
            SocketSpec(name="web", path="/x", so_reuseport=True),
            "socket 'web': so_reuseport is for tcp and udp, not for a unix socket",
        ),
        (SocketSpec(name="web", host="::1"), "socket 'web': host '::1' has no IPv4 address: "),
        (
            SocketSpec(name="web", host="1.2.3.4", family="AF_INET6"),
            "socket 'web': host '1.2.3.4' has no IPv6 address: ",
        ),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(spec: SocketSpec, message: str) -> None:
    with pytest.raises(SocketError) as caught:
        CircusSocket.from_spec(spec)
    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, OSError)


def test_an_ipv6_host_in_the_default_family_gets_a_hint() -> None:
    with pytest.raises(SocketError, match=r"; for IPv6 say family = AF_INET6$"):
        CircusSocket.from_spec(SocketSpec(name="web", host="::1"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "web", "port": "http"}, "socket 'web': invalid literal"),
        ({"name": "web", "replace": "maybe"}, "socket 'web': 'maybe' is not a boolean"),
        ({"name": "web", "umask": "999"}, "socket 'web': "),
    ],
)
def test_a_mapping_with_mistakes_names_the_socket(config: dict[str, str], message: str) -> None:
    with pytest.raises(SocketError) as caught:
        CircusSocket.load_from_config(config)
    assert str(caught.value).startswith(message)
