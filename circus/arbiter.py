"""The arbiter: all watchers of one daemon, what they share, and the order in which they start and stop.

Wires the parts together and runs operations over several watchers. What happens inside a watcher is the watcher's; what
crosses the wire is the controller's. Invariant: after `close` nothing that was opened here is open.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from circus import __version__
from circus.channels import Channels
from circus.controller import Controller
from circus.core.origin import Origin
from circus.discovery import Discovery
from circus.driver import Driver, Services, cause_of, current_origin
from circus.events.bus import Bus
from circus.events.cause import CURRENT, TRACEPARENT
from circus.events.journal import Journal
from circus.exc import CircusError, ConfigError, Mistake, Overtaken
from circus.fleet import Fleet
from circus.gate import Gate, sockets_used
from circus.population import make_room, watcher_specs
from circus.ports import WatcherLike
from circus.publisher import EventPublisher
from circus.runtime.clock import SystemClock
from circus.runtime.loop import SpawnQueue
from circus.runtime.reaper import Reaper
from circus.sockets import CircusSocket, CircusSockets
from circus.spec.arbiter import ArbiterSpec
from circus.spec.watcher import WatcherSpec
from circus.stats.channel import StatsChannel
from circus.stats.readers import choose_readers
from circus.stats.sampler import Sampler
from circus.telemetry import arbiter_snapshot, telemetry
from circus.watcher import Watcher
from circus.wire.snapshot import Telemetry

logger = logging.getLogger("circus")


class Arbiter:
    """One daemon's worth of watchers in the running loop.

    Args:
        spec: what to run.
        environ: the environment that `copy_env` copies; os.environ when None.
        main: this is the program itself (circusd), which as PID 1 reaps strangers too.
    """

    def __init__(self, spec: ArbiterSpec, *, environ: Mapping[str, str] | None = None, main: bool = False) -> None:
        self.spec = spec
        self.environ = os.environ if environ is None else environ
        self.check_delay = spec.check_delay
        self.endpoint_owner = spec.endpoint_owner
        self.multicast_endpoint = spec.multicast_endpoint
        self.endpoint, self.pubsub_endpoint, self.stats_endpoint = (
            spec.endpoint,
            spec.pubsub_endpoint,
            spec.stats_endpoint,
        )
        self.clock = SystemClock()
        self.bus = Bus(self.clock, journal_size=spec.journal_size)
        self.sockets = CircusSockets()
        self.pid = os.getpid()
        self.state = "starting"
        self.started = self.applied = self.clock.time()
        self._main = main
        self.fleet = Fleet(spec.warmup_delay)
        self._finished = asyncio.Event()
        self._quitting: asyncio.Future[None] | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._discovery: Discovery | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    # -- life -----------------------------------------------------------------------------------------------------

    async def run(self, ready: Callable[[], None] | None = None) -> None:
        """Start, serve until `quit`, and leave nothing behind; `ready` is called when clients can connect.

        Raises:
            EndpointError: a channel cannot be bound.
            OSError: a socket cannot be bound.
        """
        try:
            await self.open()
            if ready is not None:
                ready()
            await self._finished.wait()
            # The answer to a waiting quit is on its way; it gets one turn of the loop.
            await asyncio.sleep(0)
        finally:
            self.close()

    async def open(self) -> None:
        """Bind everything, make the watchers and begin to start them."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._channels = Channels(self.spec, self.environ)
        self._channels.bind()
        self.endpoint, self.pubsub_endpoint, self.stats_endpoint = (
            self._channels[option].endpoint for option in ("endpoint", "pubsub_endpoint", "stats_endpoint")
        )
        self._reaper = Reaper(loop, own_strangers=self._main and self.pid == 1)
        self._gate = Gate(loop)
        self._publisher = EventPublisher(self._channels["pubsub_endpoint"], self._channels.context, loop=loop)
        self.bus.sink = self._publisher
        self._sampler = Sampler(
            self.clock,
            reader_factory=choose_readers(),
            slow_interval=self.spec.slow_interval,
            ended_cpu=self._ended_cpu,
        )
        self._stats = StatsChannel(
            self._channels["stats_endpoint"],
            self._channels.context,
            loop=loop,
            clock=self.clock,
            sampler=self._sampler,
            boot=self.bus.boot,
            version=__version__,
            started=self.started,
            endpoint=self.endpoint,
            pubsub_endpoint=self.pubsub_endpoint,
            interval=self.spec.sample_interval,
            sockets=self.sockets.values,
            queue_depth=self._queue_depth,
            drops=lambda: {"events": sum(self._publisher.dropped.values()), "control": self._controller.drops},
        )
        self._services = Services(
            loop=loop,
            clock=self.clock,
            bus=self.bus,
            reaper=self._reaper,
            spawns=SpawnQueue(loop),
            sampler=self._sampler,
            sockets=self.sockets,
            environ=self.environ,
            arbiter=self,
            watch_sockets=self._watch_sockets,
            quitting=lambda: self.fleet.quitting,
            random=random.random,
        )
        self._controller = Controller(
            self, self._channels["endpoint"], self._channels.context, loop=loop, on_command=self._on_command
        )
        self._discovery = Discovery(self.multicast_endpoint, self.endpoint, loop=loop)
        self._populate()
        self._controller.start()
        self._discovery.start()
        boot = Origin(kind="boot")
        self._tell("arbiter.started", boot, version=__version__, pid=self.pid, hash=self.spec.config_hash,
                   watchers=len(self.fleet), sockets=len(self.sockets))  # fmt: skip
        self.state = "active"
        self._sweep_again()
        self._spawn_task(self._boot(boot))

    def _populate(self) -> None:
        """Sockets and watchers of the configuration in force."""
        spec = self.spec
        for sock in spec.sockets:
            self.sockets[sock.name] = CircusSocket.from_spec(sock)
        self.sockets.bind_and_listen_all()
        wanted = watcher_specs(
            spec,
            endpoint=self.endpoint,
            pubsub_endpoint=self.pubsub_endpoint,
            stats_endpoint=self.stats_endpoint,
        )
        missing = make_room(wanted, len(self.sockets), generous=self._main)
        if missing is not None:
            logger.error("%s", missing)
        for watcher in wanted:
            self._add(watcher)
        for mistake in spec.omitted:
            logger.error("left out: %s", mistake)

    def _add(self, spec: WatcherSpec) -> None:
        try:
            self.fleet.add(Watcher(spec, self._services))
        except (CircusError, ValueError, OSError) as error:
            mistake = Mistake(self.spec.config_file, None, f"watcher:{spec.name}", None, None, str(error))
            logger.error("left out: %s", mistake)  # noqa: TRY400 -- the sentence says it all
            self.spec = replace(self.spec, omitted=(*self.spec.omitted, mistake))

    async def _boot(self, origin: Origin) -> None:
        CURRENT.set(cause_of(origin))
        TRACEPARENT.set(f"00-{origin.trace}-{'0' * 15}1-01")
        try:
            await self.fleet.start(cause="boot")
        except Overtaken as error:
            logger.info("%s", error)

    def close(self) -> None:
        """Close what was opened; processes that still run are left to themselves."""
        for task in self._tasks:
            task.cancel()
        if self._sweep is not None:
            self._sweep.cancel()
        if hasattr(self, "_controller"):
            self._controller.stop()
        if self._discovery is not None:
            self._discovery.stop()
        self.fleet.clear()
        self.sockets.close_all()
        for name in ("_stats", "_publisher", "_reaper", "_channels"):
            if hasattr(self, name):
                getattr(self, name).close()

    def _sweep_again(self) -> None:
        if self.check_delay > 0:
            self._reaper.sweep()
            self._sweep = self._loop.call_later(self.check_delay, self._sweep_again)

    def _spawn_task(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Overtaken):
            logger.info("%s", error)
        elif error is not None:
            logger.error("an operation failed", exc_info=error)

    # -- reading --------------------------------------------------------------------------------------------------

    @property
    def stats(self) -> StatsChannel:
        """The stats channel, which also answers questions."""
        return self._stats

    @property
    def journal(self) -> Journal:
        """The bounded journal of lifecycle records."""
        return self.bus.journal

    def iter_watchers(self, reverse: bool = True) -> Iterable[Watcher]:
        """All watchers by priority: the highest first, or last."""
        found = self.fleet.by_priority()
        return found if reverse else found[::-1]

    def get_watcher(self, name: str) -> Watcher:
        """The watcher of that name, compared without case; KeyError when there is none."""
        return self.fleet.get(name)

    def numprocesses(self) -> int:
        """How many processes exist."""
        return sum(len(watcher) for watcher in self.fleet)

    def numwatchers(self) -> int:
        """How many watchers there are."""
        return len(self.fleet)

    def statuses(self) -> dict[str, str]:
        """The status of each watcher by its name as configured."""
        return {watcher.name: watcher.status() for watcher in self.fleet}

    def telemetry(self, watchers: str | None = None, detail: bool = True) -> Telemetry:
        """Everything cumulative, and how things stand."""
        return telemetry(
            bus=self.bus,
            spec=self.spec,
            applied=self.applied,
            arbiter=arbiter_snapshot(self, self._controller, self._publisher, self._services, self._reaper),
            sockets=self.sockets,
            watchers=self.fleet,
            pattern=watchers,
            detail=detail,
        )

    def _ended_cpu(self, watcher: str) -> tuple[float, float]:
        tally = self.bus.tally(watcher)
        return tally.cpu_user_seconds, tally.cpu_system_seconds

    def _queue_depth(self) -> int:
        return len(self._services.spawns) + sum(len(w.lifecycle.queue) for w in self.fleet)

    # -- operations over watchers -----------------------------------------------------------------------------------

    async def start_watchers(self, watchers: Sequence[WatcherLike] | None = None) -> None:
        """Start these watchers, or all with autostart, by priority and with the warm-up delay between them."""
        await self.fleet.start(watchers)

    async def stop_watchers(self, watchers: Sequence[WatcherLike] | None = None) -> None:
        """Stop these watchers, or all, at once; those with the lowest priority get their signals first."""
        await self.fleet.stop(watchers)

    async def restart_watchers(self, watchers: Sequence[WatcherLike]) -> None:
        """Stop all of these, then start them."""
        await self.fleet.stop(watchers)
        await self.fleet.start(watchers)

    async def reload(self, graceful: bool = True, sequential: bool = False) -> None:
        """Reload every watcher that is not stopped, by priority."""
        await self.fleet.reload(graceful=graceful, sequential=sequential)

    def restart(self) -> Awaitable[None]:
        """Stop everything, build watchers and sockets anew from the configuration file, start.

        The channels stay bound, so clients notice nothing but the new watchers.

        Raises:
            ConfigError: at once, for a file with mistakes; then everything goes on with the old configuration.
            SocketError: a socket of the file cannot be bound; then everything is started with the old configuration.
            Overtaken: by a stop of everything, another restart or a quit.
        """
        began, spec = self.clock.monotonic(), self.spec
        if spec.config_file is not None:
            from circus.config.build import load

            try:
                spec = load(spec.config_file)
            except ConfigError as error:
                self._tell("config.refused", current_origin(), errors=[str(each) for each in error.mistakes])
                raise
        return self._restart(spec, began)

    async def _restart(self, spec: ArbiterSpec, began: float) -> None:
        await self.fleet.dissolve()
        before, refused = self.spec, None
        try:
            self._apply(spec)
        except (CircusError, OSError) as error:
            # What ran until now runs on rather than nothing.
            self._tell("config.refused", current_origin(), errors=[str(error)])
            refused = error
            self._apply(before)
        else:
            seconds = self.clock.monotonic() - began
            self._tell("config.applied", current_origin(), hash=spec.config_hash, seconds=seconds)
        await self.fleet.start()
        if refused is not None:
            raise refused

    def _apply(self, spec: ArbiterSpec) -> None:
        self.sockets.close_all()
        self.sockets.clear()
        self.spec, self.applied = spec, self.clock.time()
        self.fleet.warmup_delay = spec.warmup_delay
        self._populate()

    def quit(self) -> Awaitable[None]:
        """Stop everything, overtaking what is going on, and end; done when all is stopped."""
        if self._quitting is None:
            self.fleet.quitting = True
            self._quitting = self._spawn_task(self._quit())
        return asyncio.shield(self._quitting)

    def hasten(self, origin: Origin) -> None:
        """No more grace for whatever is being stopped."""
        for watcher in self.fleet:
            watcher.hasten(origin)

    @property
    def quitting(self) -> bool:
        """The end has begun."""
        return self._quitting is not None

    def reload_soon(self) -> None:
        """Begin to reload all watchers, without waiting for it; where one waits its turn already, that one will do."""
        if sum(task.get_name() == "reload" for task in self._tasks) < 2:
            self._spawn_task(self.reload()).set_name("reload")

    async def _quit(self) -> None:
        self.state = "stopping"
        origin = current_origin()
        self._tell("arbiter.stopping", origin, watchers=len(self.fleet))
        await self.stop_watchers()
        self._tell("arbiter.stopped", origin)
        self.state = "stopped"
        self._finished.set()

    # -- small wiring ---------------------------------------------------------------------------------------------

    def _tell(self, record: str, origin: Origin, **data: Any) -> None:
        _, origin.trace = self.bus.record(record, None, cause_of(origin), data, trace=origin.trace)

    def _on_command(self, record: str, data: Mapping[str, Any]) -> None:
        cause = CURRENT.get()
        assert cause is not None
        parent = TRACEPARENT.get()
        _, trace = self.bus.record(record, None, cause, data, trace=parent.split("-")[1] if parent else None)
        if parent is None:
            TRACEPARENT.set(f"00-{trace}-{'0' * 15}1-01")

    def _watch_sockets(self, watcher: Driver, on: bool) -> None:
        if on:
            fds = {name: sock.fileno() for name, sock in self.sockets.items()}
            self._gate.watch(watcher, sockets_used(watcher.socket_names, fds), watcher.socket_ready)
        else:
            self._gate.unwatch(watcher)
