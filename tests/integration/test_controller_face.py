"""A controller and a handler of signals as programs of circus 0.19 made them."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from circus.client import AsyncCircusClient
from circus.controller import Controller
from circus.exc import EndpointError
from circus.sighandler import SysHandler
from tests.fakes.arbiter import FakeArbiter, FakeWatcher
from tests.helpers.embedding import until
from tests.helpers.waiting import DEADLINE


@pytest.fixture
def directory() -> Iterator[str]:
    """A directory whose name is short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="circus-") as directory:
        yield directory


async def test_a_controller_by_itself_answers_at_its_endpoint(directory: str) -> None:
    context: zmq.Context[Any] = zmq.Context()
    endpoint = f"ipc://{directory}/control"
    controller = Controller(endpoint, None, context, asyncio.get_running_loop(), FakeArbiter(FakeWatcher("web", 2)))
    assert {"list", "quit", "stats"} <= set(controller.commands)
    assert not controller.started
    controller.start()
    client = AsyncCircusClient(endpoint=endpoint, timeout=DEADLINE)
    try:
        assert (await client.send_message("list"))["watchers"] == ["web"]
    finally:
        client.stop()
        controller.stop()
        context.destroy(linger=0)
    assert not controller.started
    assert os.listdir(directory) == []


async def test_an_endpoint_that_cannot_be_had_is_told(directory: str) -> None:
    context: zmq.Context[Any] = zmq.Context()
    controller = Controller(f"ipc://{directory}/no/x", "", context, asyncio.get_running_loop(), FakeArbiter())
    with pytest.raises(EndpointError):
        controller.start()
    context.destroy(linger=0)


async def test_a_request_can_be_put_in_by_the_program(directory: str) -> None:
    arbiter, context = FakeArbiter(FakeWatcher("web")), zmq.Context()
    controller = Controller("", "", context, asyncio.get_running_loop(), arbiter)
    controller.dispatch((None, '{"command": "quit"}'))
    controller.dispatch((None, b"not json"))
    await asyncio.sleep(0)
    assert arbiter.done == ["quit all"]
    assert controller.command_counts["unknown"] == 1
    context.destroy(linger=0)


class Signalled:
    """An arbiter that tells what signals did to it."""

    def __init__(self) -> None:
        self.quitting = False
        self.done: list[str] = []

    def quit(self) -> None:
        self.done.append("quit")
        self.quitting = True

    def hasten(self, origin: Any) -> None:
        self.done.append(f"hasten {origin.name}")

    def reload_soon(self) -> None:
        self.done.append("reload")


async def test_a_handler_is_made_of_a_controller_and_may_be_a_subclass() -> None:
    class Handler(SysHandler):
        def handle_usr1(self) -> None:
            self.controller.arbiter.done.append("usr1")

    class Control:
        loop = asyncio.get_running_loop()
        arbiter = Signalled()

    handler = Handler(Control())
    try:
        for number, signum in enumerate((signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM, signal.SIGINT), 1):
            os.kill(os.getpid(), signum)
            await until(lambda number=number: len(Control.arbiter.done) == number)
        assert Control.arbiter.done == ["usr1", "reload", "quit", "hasten SIGINT"]
    finally:
        handler.stop()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    assert SysHandler.SIG_NAMES[signal.SIGTERM] == "term"
    assert signal.SIGHUP in SysHandler.SIGNALS
