"""circusd-stats: follows a circusd, of this release or 0.19, and publishes the stats of its processes.

Owns which processes there are, by asking circusd and by hearing its events; refuses to know how they are read and in
which form they are told. Invariant: a process that is gone is told no more, whether circusd said so or not, and one
that still lives through its grace is told on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any, Final

import zmq

from circus import logger
from circus.client import AsyncCircusClient, connect, prepare
from circus.exc import CallError, CircusError
from circus.runtime.clock import SystemClock
from circus.runtime.zmq_socket import LoopSocket
from circus.stats.collector import BaseStatsCollector, SocketStatsCollector, WatcherStatsCollector
from circus.stats.publisher import StatsPublisher
from circus.stats.readers import NOT_AVAILABLE
from circus.stats.sampler import Sampler
from circus.stats.service import StatsService
from circus.wire.topics import res_name, split_action

# Events can be missed: while circusd restarts itself, or because it is of a release that does not tell all.
LOOK_AGAIN_SECONDS: Final = 30.0
_RETRY_SECONDS: Final = 1.0
_OWN, _SOCKETS = "circus", "sockets"
# Watchers of circus 0.19 that are part of Circus itself.
_INTERNAL: Final = frozenset({"circusd-stats", "circushttpd"})


class _Refused(CircusError):
    """circusd answered with an error."""


class StatsStreamer:
    """Publishes the stats of the circusd at `endpoint`, every `delay` seconds, from `start` to `stop`.

    `pubsub_endoint` is where that circusd publishes its events, `stats_endpoint` where its stats will be; with
    `ssh_server` circusd is reached through a tunnel. `loop` is an asyncio loop that does not run yet, a new one unless
    given. Raises CircusError when a channel cannot be had.
    """

    own_name: Final = _OWN

    def __init__(  # noqa: PLR0917 - the signature of circus 0.19
        self,
        endpoint: str,
        pubsub_endoint: str,  # so it is spelt in circus 0.19
        stats_endpoint: str,
        ssh_server: str | None = None,
        delay: float = 1.0,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.endpoint, self.pubsub_endpoint = endpoint, pubsub_endoint
        self.ssh_server = ssh_server
        self.delay = delay
        self.loop = asyncio.new_event_loop() if loop is None else loop
        self.sockets: list[Mapping[str, Any]] = []
        self.sampler = Sampler(SystemClock(), ended_cpu=lambda _: (0.0, 0.0))
        self.service = StatsService(self.sampler, interval=delay, loop=self.loop)
        self._circus: dict[int, str] = {}
        self._collectors: dict[str, BaseStatsCollector] = {}
        self._stopping = asyncio.Event()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self.publisher = StatsPublisher(stats_endpoint, self.context)
            self.sub_socket: zmq.Socket[bytes] = self.context.socket(zmq.SUB)
            prepare(self.sub_socket)
            self.sub_socket.setsockopt(zmq.SUBSCRIBE, b"watcher.")
            connect(self.sub_socket, pubsub_endoint, ssh_server)
        except BaseException:
            self.context.destroy(0)
            raise

    # What there is

    def get_pids(self, watcher: str | None = None) -> list[int]:
        """The pids of a watcher, or of all."""
        names = self._collectors if watcher is None else [res_name(watcher)]
        return [member.sample.pid for name in names for member in self.sampler.members(name)]

    def get_circus_pids(self) -> dict[int, str]:
        """The processes of Circus itself, by pid, with what each is: circusd, circusd-stats, circushttpd."""
        return dict(self._circus)

    def append_pid(self, watcher: str, pid: int) -> None:
        """Know a process."""
        name = res_name(watcher)
        self._collect(name)
        if (name, pid) not in self.sampler:
            self.sampler.add(name, pid, pid, 0, 0.0)

    def remove_pid(self, watcher: str, pid: int) -> None:
        """Forget a process; unknown ones are fine."""
        self.sampler.discard(res_name(watcher), pid)
        self._circus.pop(pid, None)

    def stop_watcher(self, watcher: str) -> None:
        """Forget all processes of a watcher."""
        for pid in self.get_pids(watcher):
            self.remove_pid(watcher, pid)

    def read(self, watcher: str) -> list[dict[str, Any]]:
        """Measure a watcher now: an info for each of its processes that lives."""
        members = self.sampler.members(watcher)
        for _ in self.sampler.sweep(members):
            self.sampler.slice.begin()
        for member in members:
            if member.gone:
                self.remove_pid(watcher, member.sample.pid)
        return [self.service.info(member) for member in members if not member.gone and member.sample.state is not None]

    def unwanted(self, watcher: str) -> None:
        """Nobody listens: hold nothing open for it."""
        for member in self.sampler.members(watcher):
            member.reader.close()

    # What circusd tells

    def handle_recv(self, data: list[bytes]) -> None:
        """One event of circusd."""
        topic, body = data[:2]
        watcher, action = split_action(topic)
        own = watcher in _INTERNAL
        try:
            pid = int(json.loads(body).get("process_pid", 0))
        except (ValueError, AttributeError, TypeError):
            logger.warning("an event that is not understood: %r", data)
            return
        if action == "spawn" and pid > 0:
            if own:
                self._own(pid, watcher)
            else:
                self.append_pid(watcher, pid)
        elif action == "reap":
            self.remove_pid(_OWN if own else watcher, pid)
        elif action == "stop" and not own:
            self.stop_watcher(watcher)
        elif action == "remove":
            self._forget(watcher)

    def _own(self, pid: int, what: str) -> None:
        self._circus[pid] = what
        self.append_pid(_OWN, pid)

    def _collect(self, name: str, kind: type[BaseStatsCollector] = WatcherStatsCollector) -> None:
        if name not in self._collectors:
            self.sampler.add_watcher(name)
            collector = self._collectors[name] = kind(self, name, self.delay, self.loop)
            collector.start()

    def _forget(self, name: str) -> None:
        self.sampler.remove_watcher(name)
        collector = self._collectors.pop(name, None)
        if collector is not None:
            collector.stop()

    async def _until_stopped(self) -> None:
        client = AsyncCircusClient(endpoint=self.endpoint, ssh_server=self.ssh_server)
        work, end = asyncio.create_task(self._follow(client)), asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({work, end}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()  # which is an error: following does not end by itself
        finally:
            for task in (work, end):
                task.cancel()
            await asyncio.gather(work, end, return_exceptions=True)
            client.stop()

    async def _follow(self, client: AsyncCircusClient) -> None:
        """Ask circusd what there is: at the start, again where it is another one, and now and then."""
        told = None
        while True:
            try:
                await self._look(client)
            except CallError as error:
                if told != str(error):
                    logger.warning("circusd at %s: %s Waiting for it.", self.endpoint, error)
                    told = str(error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise CircusError(f"what answers at {self.endpoint} is no circusd: {error!r}") from error
            told = None
            daemon = next((pid for pid, what in self._circus.items() if what == "circusd"), 0)
            until = self.loop.time() + LOOK_AGAIN_SECONDS
            while self.loop.time() < until and _lives(daemon):  # noqa: ASYNC110 - nobody tells of the end of another's child
                await asyncio.sleep(self.delay)

    async def _look(self, client: AsyncCircusClient) -> None:
        async def ask(command: str, **props: Any) -> dict[str, Any]:
            reply = await client.send_message(command, **props)
            if reply.get("status") == "error":
                raise _Refused(f"circusd at {self.endpoint} says: {reply.get('reason')}")
            return reply

        daemon = (await ask("dstats"))["info"]
        self._check_here(daemon)
        watchers: dict[str, list[int]] = {}
        for name in (await ask("list"))["watchers"]:
            with contextlib.suppress(_Refused):  # removed meanwhile
                watchers[res_name(name)] = (await ask("list", name=name))["pids"]
        self.sockets = (await ask("listsockets"))["sockets"]
        for name in self._collectors:
            for pid in self.get_pids(name):
                if not _lives(pid):
                    self.remove_pid(name, pid)
        for name in set(self._collectors) - set(watchers) - {_OWN, _SOCKETS}:
            self._forget(name)
        self._own(daemon["pid"], "circusd")
        self._own(os.getpid(), "circusd-stats")
        for name, pids in watchers.items():
            if name not in _INTERNAL:
                self._collect(name)
            for pid in pids:
                if name in _INTERNAL:
                    self._own(pid, name)
                else:
                    self.append_pid(name, pid)
        if self.sockets:
            self._collect(_SOCKETS, SocketStatsCollector)

    def _check_here(self, daemon: Mapping[str, Any]) -> None:
        """Pids mean something only where they come from; elsewhere they are those of strangers."""
        reader = self.sampler.reader_factory(daemon["pid"], keep=False)
        found = None
        with contextlib.suppress(OSError):
            if reader.read() is not None:
                found = reader.describe().cmdline
        if found is None or daemon["cmdline"] not in {found, NOT_AVAILABLE}:
            raise CircusError(
                f"the circusd at {self.endpoint} is no process of this machine, so its processes cannot be measured "
                "here: run circusd-stats where it runs"
            )

    # How it lives

    def start(self) -> None:
        """Follow and publish until `stop`; CircusError when that makes no sense, and why."""
        events = LoopSocket(
            self.sub_socket, lambda frames: self.handle_recv([frame.bytes for frame in frames]), loop=self.loop
        )
        logger.info("Stats streamer started")
        try:
            self.loop.run_until_complete(self._until_stopped())
        finally:
            for name in list(self._collectors):
                self._forget(name)
            self.service.close()
            events.close()
            self.publisher.stop()
            self.context.term()
            self.loop.close()
            logger.info("Stats streamer stopped")

    def stop(self) -> None:
        """End `start`, also from another thread or a signal handler."""
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self.loop.call_soon_threadsafe(self._stopping.set)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
