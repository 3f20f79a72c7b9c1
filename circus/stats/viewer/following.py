"""Keeps the view up to date in an asyncio loop: the subscription, and `telemetry` now and then.

Owns the connections of the live view and when it asks for what; refuses to know what is drawn. Invariant: the loop is
never blocked; what may take long (a search for a daemon, an ssh tunnel) happens in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

import msgspec
import zmq

from circus.client import AsyncCircusClient
from circus.exc import CallError
from circus.runtime.zmq_socket import LoopSocket
from circus.stats.viewer.subscription import Subscription
from circus.stats.viewer.view import View
from circus.wire.snapshot import Telemetry

TICK_SECONDS: Final = 1.0
# Telemetry costs the daemon more than a sample, so it is asked when processes came or went, and seldom otherwise.
TELEMETRY_SOONEST: Final = 1.0
TELEMETRY_LATEST: Final = 5.0
_SHARE: Final = 50  # and never so often that the daemon is busy with it for more than a fiftieth of the time
_CALL_SECONDS: Final = 3.0
_SEARCH_SECONDS: Final = 2.0


class Following:
    """Follows one daemon, and the one that comes after it.

    `search` finds the stats endpoint anew while nothing is heard; None where the user named it.

    Attributes:
        view: what is known.
        control: the control endpoint as it can be reached from here; through a tunnel it is not what the daemon says.
        problem: why states, restarts and exits are missing, in a sentence; None while they are not.
    """

    def __init__(self, subscription: Subscription, *, search: Callable[[], str] | None = None) -> None:
        self.view: View = subscription.view
        self.control: str | None = None
        self.problem: str | None = None
        self._subscription = subscription
        self._search = search
        self._changed: Callable[[], None] = _nothing
        self._grown = asyncio.Event()

    @property
    def endpoint(self) -> str:
        """Where the stats come from."""
        return self._subscription.endpoint

    async def run(self, changed: Callable[[], None]) -> None:
        """Follow until cancelled; `changed` is called after each message and each second."""
        self._changed = changed
        socket = LoopSocket(self._subscription.socket, self._take, loop=asyncio.get_running_loop())
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._ticks(socket))
                tasks.create_task(self._telemetry())
        finally:
            socket.close()

    def silent_seconds(self) -> float | None:
        """For how long nothing was heard, where that is longer than usual; None while all is well."""
        now = time.monotonic()
        if self.view.heard is None or not self.view.silent(now):
            return None
        return now - self.view.heard

    def _take(self, frames: list[zmq.Frame]) -> None:
        before = self.view.grown
        self._subscription.take(frames[0].bytes, frames[-1].bytes, time.monotonic())
        if self.view.grown != before:
            self._grown.set()
        self._changed()

    async def _ticks(self, socket: LoopSocket) -> None:
        searched = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            quiet = self.view.heard is None or self.view.silent(now)
            try:
                if quiet and self._search is not None and now - searched >= _SEARCH_SECONDS:
                    found = await asyncio.to_thread(self._search)
                    searched = now = time.monotonic()
                    if found != self.endpoint:
                        self._subscription.move(found, now)
                self._subscription.tick(now)
            except CallError as error:
                self.problem = str(error)
            self.view.expire(now)
            socket.check()
            self._changed()

    async def _telemetry(self) -> None:
        """Ask for states, restarts and exits as long as a daemon speaks."""
        while True:
            endpoint = self._control_endpoint()
            if endpoint is None or self.silent_seconds() is not None:
                await self._until_grown(TELEMETRY_SOONEST)
                continue
            client: AsyncCircusClient | None = None
            try:
                client = AsyncCircusClient(endpoint=endpoint, timeout=_CALL_SECONDS)
                while self._control_endpoint() == endpoint and self.silent_seconds() is None:
                    await asyncio.sleep(await self._ask(client))
                    await self._until_grown(TELEMETRY_LATEST)
            except CallError as error:
                self.problem = f"no states, restarts and exits: the control channel at {endpoint}: {error}"
                self._changed()
                await asyncio.sleep(TELEMETRY_SOONEST)
            finally:
                if client is not None:
                    client.stop()

    def _control_endpoint(self) -> str | None:
        if self._subscription.ssh_server is not None:
            return self.control
        return self._subscription.control_endpoint

    async def _ask(self, client: AsyncCircusClient) -> float:
        """Take one answer; returns the seconds that must pass before the next."""
        began = time.monotonic()
        reply = await client.send_message("telemetry", detail=True)
        took = time.monotonic() - began
        if reply.get("status") != "ok":
            raise CallError(f"the daemon says: {reply.get('reason')}")
        try:
            self.view.take_telemetry(msgspec.convert(reply, Telemetry))
        except msgspec.ValidationError as error:
            raise CallError(f"its answer was not understood: {error}") from error
        self.problem = None
        self._changed()
        return max(TELEMETRY_SOONEST, took * _SHARE)

    async def _until_grown(self, timeout: float) -> None:
        """Wait until processes came or went, or it is time anyway."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._grown.wait()
                self._grown.clear()


def _nothing() -> None:
    pass
