"""A control channel over a fake arbiter, served in the loop of the test, and a client that asks it there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pathlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import zmq
import zmq.asyncio

from circus.controller import Controller
from circus.runtime.listener import listen
from tests.fakes.arbiter import FakeArbiter
from tests.helpers.waiting import DEADLINE


@contextlib.contextmanager
def short_directory() -> Iterator[pathlib.Path]:
    """A directory whose name leaves room for a unix socket, which tmp_path may not."""
    with tempfile.TemporaryDirectory(prefix="circus-") as name:
        yield pathlib.Path(name)


async def until(condition: Callable[[], Any]) -> Any:
    """The first true value of a condition, looked at in every turn of the loop or nearly so."""
    async with asyncio.timeout(DEADLINE):
        while not (value := condition()):  # noqa: ASYNC110 - conditions of any kind, also of libzmq's threads
            await asyncio.sleep(0.002)
    return value


class Asker:
    """A DEALER in the loop."""

    def __init__(self, context: zmq.asyncio.Context, endpoint: str, kind: int = zmq.DEALER) -> None:
        self.socket = context.socket(kind)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(endpoint)

    async def send(self, *frames: bytes) -> None:
        await self.socket.send_multipart(frames)

    async def receive(self) -> list[bytes]:
        async with asyncio.timeout(DEADLINE):
            return await self.socket.recv_multipart()

    async def raw(self, body: bytes) -> dict[str, Any]:
        await self.send(body)
        return json.loads((await self.receive())[-1])

    async def ask(self, command: str, /, **properties: Any) -> dict[str, Any]:
        return await self.raw(json.dumps({"command": command, "properties": properties, "id": 1}).encode())

    async def silence(self) -> bool:
        """True when nothing has come by the time that a later request is answered."""
        await self.send(b'{"command": "numwatchers", "id": "later"}')
        return json.loads((await self.receive())[-1])["id"] == "later"


class Served:
    """What a test of the control channel has at hand."""

    def __init__(self, arbiter: FakeArbiter, endpoint: str) -> None:
        self.arbiter = arbiter
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.controller: Any = None
        self._listener = listen(endpoint)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._clients = zmq.asyncio.Context()
        self.endpoint = self._listener.endpoint

    def serve(self, on_command: Any = None) -> None:
        self.controller = Controller(
            self.endpoint,
            None,
            self._context,
            asyncio.get_running_loop(),
            self.arbiter,
            listener=self._listener,
            on_command=on_command or (lambda record, data: self.told.append((record, dict(data)))),
        )
        self.controller.start()

    def client(self, kind: int = zmq.DEALER) -> Asker:
        return Asker(self._clients, self.endpoint, kind)

    def close(self) -> None:
        self._clients.destroy(linger=0)
        self.controller.stop()
        self._context.destroy(linger=0)
        self._listener.close()


@contextlib.asynccontextmanager
async def served(
    watchers: Sequence[Any] = (), endpoint: str | None = None, on_command: Any = None
) -> AsyncIterator[Served]:
    """A running controller over a fake arbiter with these watchers."""
    with short_directory() as directory:
        found = Served(FakeArbiter(*watchers), endpoint or f"ipc://{directory}/control")
        found.serve(on_command)
        try:
            yield found
        finally:
            found.close()
