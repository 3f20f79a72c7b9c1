"""Discovery over a real UDP socket of the loopback interface; groups are never joined in tests."""

from __future__ import annotations

import asyncio
import json
import logging
import socket

import pytest

from circus.discovery import Discovery
from tests.helpers import proc

DEADLINE = 10.0


def discovery(multicast_endpoint: str) -> Discovery:
    return Discovery(multicast_endpoint, "tcp://127.0.0.1:5555", loop=asyncio.get_running_loop())


async def ask(address: tuple[str, int], question: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setblocking(False)
        await loop.sock_sendto(asker, question, address)
        async with asyncio.timeout(DEADLINE):
            return (await loop.sock_recvfrom(asker, 4096))[0]


@pytest.mark.parametrize("question", [b"", b"anyone there?", b"\xff" * 2000])
async def test_any_datagram_is_answered_with_the_control_endpoint(question: bytes) -> None:
    answering = discovery("udp://127.0.0.1:0")
    answering.start()
    try:
        assert answering.address is not None
        assert json.loads(await ask(answering.address, question)) == {"endpoint": "tcp://127.0.0.1:5555"}
    finally:
        answering.stop()
        answering.stop()


async def test_no_socket_is_opened_where_none_is_configured() -> None:
    before = proc.open_fds()
    answering = discovery("")
    answering.start()
    assert answering.address is None
    assert proc.open_fds() == before
    answering.stop()


@pytest.mark.parametrize(
    "wrong", ["udp://nowhere:1", "tcp://127.0.0.1:1", "udp://127.0.0.1:x", "udp://127.0.0.1:70000"]
)
async def test_what_cannot_be_used_is_one_warning(wrong: str, caplog: pytest.LogCaptureFixture) -> None:
    answering = discovery(wrong)
    with caplog.at_level(logging.WARNING, logger="circus"):
        answering.start()
    assert answering.address is None
    assert [record.getMessage() for record in caplog.records] == [
        f"Multicast discovery is disabled, {wrong}: expected udp://GROUP:PORT with the address of an IPv4 group"
    ]


async def test_a_taken_address_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        answering = discovery(f"udp://127.0.0.1:{taken.getsockname()[1]}")
        with caplog.at_level(logging.WARNING, logger="circus"):
            answering.start()
    assert answering.address is None
    assert "Address already in use" in caplog.text
