"""The channels of a daemon, played by a test: real zmq sockets, answers as told.

It answers `globaloptions`, `telemetry`, `events`, `alerts` and `record`, and publishes what it is given. It supervises
nothing. `journal` holds the records that `events` can tell, `firing` the alerts that it tells of, `recorded` what it was
told itself; `deaf` makes it answer nothing, as a daemon that hangs.
"""

from __future__ import annotations

import asyncio
import json
import pathlib
from typing import Any, Self

import msgspec
import zmq
import zmq.asyncio

from circus.wire import events, samples, topics
from circus.wire.alerts import Alert, AlertsAnswer
from circus.wire.events import Record
from circus.wire.samples import DaemonSample, WatcherSample
from circus.wire.snapshot import Telemetry
from tests.fakes import fleet
from tests.helpers.waiting import DEADLINE


class ScriptedDaemon:
    """An asynchronous context manager: it listens at addresses below `directory` while it is entered."""

    def __init__(self, directory: pathlib.Path, telemetry: Telemetry | None = None) -> None:
        self.endpoint = f"ipc://{directory}/control"
        self.pubsub_endpoint = f"ipc://{directory}/events"
        self.stats_endpoint = f"ipc://{directory}/stats"
        self.telemetry = telemetry or fleet.telemetry(fleet.watcher("web", 2))
        self.journal: list[Record] = []
        self.asked: list[str] = []
        self.firing: list[Alert] = []
        self.recorded: list[dict[str, Any]] = []
        self.deaf = False
        self.answers = {
            "globaloptions": self._tell_options,
            "telemetry": self._tell_telemetry,
            "events": self._tell_events,
            "alerts": self._tell_alerts,
            "record": self._take_record,
        }
        self._subscriptions: set[bytes] = set()
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._context = zmq.asyncio.Context()
        self._control = self._listen(zmq.ROUTER, self.endpoint)
        self._events = self._listen(zmq.XPUB, self.pubsub_endpoint)
        self._stats = self._listen(zmq.XPUB, self.stats_endpoint)
        jobs = (self._answer(), self._watch(self._events), self._watch(self._stats))
        self._tasks = [asyncio.create_task(job) for job in jobs]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._context.destroy(linger=0)

    async def subscribed(self) -> None:
        """Wait until somebody follows both channels."""
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(lambda: {b"lifecycle.", b"sample."} <= self._subscriptions)

    async def publish(self, message: Record | WatcherSample | DaemonSample) -> None:
        """Send a message to whoever follows; a record goes into the journal as well."""
        if isinstance(message, Record):
            self.journal.append(message)
            topic = topics.lifecycle_topic(message.watcher, message.record)
            await self._events.send_multipart([topic, events.encode(message)])
        else:
            watcher = message.watcher if isinstance(message, WatcherSample) else None
            await self._stats.send_multipart([topics.sample_topic(watcher), samples.encode(message)])

    async def publish_raw(self, topic: bytes, body: bytes) -> None:
        channel = self._events if topic.startswith(b"lifecycle.") else self._stats
        await channel.send_multipart([topic, body])

    def _listen(self, kind: int, address: str) -> zmq.asyncio.Socket:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind(address)
        return socket

    async def _answer(self) -> None:
        while True:
            peer, body = await self._control.recv_multipart()
            request = json.loads(body)
            command = request["command"]
            self.asked.append(command)
            if self.deaf:
                continue
            if command in self.answers:
                reply = self.answers[command](request["properties"])
            else:
                reply = {"status": "error", "reason": f"unknown command: {command!r}", "errno": 2}
            await self._control.send_multipart([peer, msgspec.json.encode({**reply, "id": request["id"]})])

    def _tell_options(self, _: dict[str, Any]) -> dict[str, Any]:
        names = ("endpoint", "pubsub_endpoint", "stats_endpoint")
        return {"status": "ok", "options": {name: getattr(self, name) for name in names}}

    def _tell_telemetry(self, _: dict[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = msgspec.to_builtins(self.telemetry)
        return told

    def _tell_events(self, properties: dict[str, Any]) -> dict[str, Any]:
        found = [record for record in self.journal if record.seq > properties["since"]][: properties["limit"]]
        first = self.journal[0].seq if self.journal else 0
        return {"status": "ok", "boot": self.telemetry.boot, "records": msgspec.to_builtins(found),
                "first": first, "next": found[-1].seq if found else properties["since"]}  # fmt: skip

    def _tell_alerts(self, _: dict[str, Any]) -> dict[str, Any]:
        answer = AlertsAnswer(
            boot=self.telemetry.boot, seq=self.telemetry.seq, time=self.telemetry.time, alerts=self.firing,
            silences=[], notifiers=[], refused=0, configured=[],
        )  # fmt: skip
        told: dict[str, Any] = msgspec.to_builtins(answer)
        return told

    def _take_record(self, properties: dict[str, Any]) -> dict[str, Any]:
        self.recorded.append(properties)
        return {"status": "ok", "boot": self.telemetry.boot, "seq": 1_000_000 + len(self.recorded)}

    async def _watch(self, channel: zmq.asyncio.Socket) -> None:
        while True:
            body = await channel.recv()
            async with self._changed:
                (self._subscriptions.add if body[0] else self._subscriptions.discard)(body[1:])
                self._changed.notify_all()
