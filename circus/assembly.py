"""The parts of an arbiter, wired together: opened in their order, closed again, whatever happens.

Knows what the parts need from each other and nothing of what is asked of watchers; that is the arbiter's. Invariant:
after `close` nothing that was opened here is open.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import zmq

from circus import __version__
from circus.alerting import Alerting
from circus.channels import Channels
from circus.controller import Controller
from circus.core.origin import Origin
from circus.discovery import Discovery
from circus.driver import Driver
from circus.events.bus import Bus
from circus.events.cause import CURRENT, TRACEPARENT, cause_of
from circus.events.shortfall import Shortfall
from circus.exc import CircusError, Mistake, Overtaken
from circus.findings import Findings
from circus.fleet import Fleet
from circus.gate import Gate, sockets_used
from circus.handover import ArbiterRecord
from circus.jobs import recorder
from circus.memory_guard import MemoryGuard
from circus.population import make_room, watcher_specs
from circus.publisher import EventPublisher
from circus.reach import Reach
from circus.rules import configured_by
from circus.runtime.clock import SystemClock
from circus.runtime.loop import SpawnQueue
from circus.runtime.oom import Witness
from circus.runtime.reaper import Reaper
from circus.services import Services
from circus.sockets import CircusSocket, CircusSockets
from circus.spec.arbiter import ArbiterSpec
from circus.spec.watcher import WatcherSpec
from circus.stats.channel import StatsChannel
from circus.stats.readers import choose_readers
from circus.stats.sampler import Sampler
from circus.survival import Survival
from circus.watcher import Watcher

if TYPE_CHECKING:
    from circus.ports import ArbiterLike

logger = logging.getLogger("circus")

# In this order.
_CLOSED = ("_shortfall", "alerting", "_guard", "_stats", "_publisher", "_reach", "_witness", "_reaper", "_channels")


class Assembly:
    """All parts of one daemon in the running loop.

    Attributes:
        handed: what another program hands over to this one, until it has taken it.
        upgrades: how often that was done in this boot.
        upgraded: Unix time of the last one, None before.

    Args:
        spec: what to run.
        environ: the environment that `copy_env` copies; os.environ when None.
        main: this is the program itself (circusd), which as PID 1 reaps strangers too.
        watchers: made beforehand by the program that embeds us; the spec names them too.
        sockets: made beforehand as well; the spec does not name these.
        context: a zmq context to use, which stays its owner's.
    """

    handed: ArbiterRecord | None = None
    upgrades = 0
    upgraded: float | None = None

    def __init__(
        self,
        spec: ArbiterSpec,
        *,
        environ: Mapping[str, str] | None = None,
        main: bool = False,
        watchers: Iterable[Watcher] = (),
        sockets: Iterable[CircusSocket] = (),
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        self.spec = spec
        self.environ = os.environ if environ is None else environ
        self.check_delay, self.endpoint_owner = spec.check_delay, spec.endpoint_owner
        self.multicast_endpoint = spec.multicast_endpoint
        self.endpoint, self.pubsub_endpoint = spec.endpoint, spec.pubsub_endpoint
        self.stats_endpoint = spec.stats_endpoint
        self.clock = SystemClock()
        self.bus = Bus(self.clock, journal_size=spec.journal_size)
        self.sockets = CircusSockets(sockets)
        self.pid = os.getpid()
        self.state = "starting"
        self.started = self.applied = self.clock.time()
        self.refused: float | None = None  # when a configuration was, after the one in force
        self.fleet = Fleet(spec.warmup_delay)
        self._main, self._zmq = main, context
        self._given_sockets = frozenset(self.sockets)
        self._survival = Survival(lambda: self.spec, self.environ, lambda: self.bus.boot, self.sockets)
        self._made = {watcher.name.lower(): watcher for watcher in watchers}
        for watcher in self._made.values():
            self.fleet.add(watcher)
        self._sweep: asyncio.TimerHandle | None = None
        self._discovery: Discovery | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    # -- opening --------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Bind everything, make the watchers and begin to start them; in the running loop."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._channels = Channels(self.spec, self.environ, self._zmq)
        self._channels.bind(None if self.handed is None else self.handed.channels)
        self.endpoint, self.pubsub_endpoint, self.stats_endpoint = (
            self._channels[option].endpoint for option in ("endpoint", "pubsub_endpoint", "stats_endpoint")
        )
        self._reaper = Reaper(loop, own_strangers=self._main)
        self._reach = Reach(loop, self._reaper, self.bus.boot)
        self._witness = Witness()
        self._guard = MemoryGuard(loop, self.clock, lambda: self.fleet)
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
            extend=self.fleet.extend_stats,
            drops=lambda: {"events": self._publisher.drops, "control": self._controller.drops},
        )
        self.alerting = Alerting(
            loop,
            self.clock,
            self.bus,
            named=lambda name: None if (found := self.fleet.find(name)) is None else found.name,
            watchers=lambda: [watcher.name for watcher in self.fleet],
            configured=lambda: configured_by(self.spec),
        )
        self._services = Services(
            loop=loop,
            clock=self.clock,
            bus=self.bus,
            reaper=self._reaper,
            reach=self._reach,
            ledger=self._survival.ledger,
            findings=Findings(self._reach, self._sampler, self._witness),
            spawns=SpawnQueue(loop),
            sampler=self._sampler,
            sockets=self.sockets,
            environ=self.environ,
            arbiter=cast("ArbiterLike", self),
            watch_sockets=self._watch_sockets,
            quitting=lambda: self.fleet.quitting,
            wake_guard=self._guard.wake,
        )
        self._controller = Controller(
            self.endpoint,
            self.multicast_endpoint,
            self._channels.context,
            loop,
            cast("ArbiterLike", self),
            self.check_delay,
            self.endpoint_owner,
            listener=self._channels["endpoint"],
            on_command=recorder(self.bus),
            access=self._channels.access(self.spec),
        )
        self._discovery = Discovery(self.multicast_endpoint, self.endpoint, loop=loop)
        self._shortfall = Shortfall(
            loop, self.bus, {"sample.skipped": self._skipped_samples, "message.dropped": self._dropped_messages}
        )
        self._inhabit()
        self._controller.start()
        self._discovery.start()
        self._announce()

    def _inhabit(self) -> None:
        """Have the sockets and watchers."""
        self.sockets.bind_and_listen_all()
        self._populate()

    def _announce(self) -> None:
        """Tell that all is there, and begin to start it."""
        boot = Origin(kind="boot")
        seq = self._tell("arbiter.started", boot, version=__version__, pid=self.pid, hash=self.spec.config_hash,
                   watchers=len(self.fleet), sockets=len(self.sockets))  # fmt: skip
        self.state = "active"
        self._sweep_again()
        self._booting = self._spawn_task(self._boot(boot, seq))

    def _populate(self) -> None:
        """Sockets and watchers of the configuration in force."""
        spec = self.spec
        taken = self._survival.take_sockets(spec.sockets)
        ours = CircusSockets(CircusSocket.from_spec(sock) for sock in spec.sockets if sock.name not in taken)
        self.sockets.update(taken | ours)
        self._survival.bind(ours)
        wanted = self._population(spec)
        self._make_room(wanted)
        for watcher in wanted:
            self._add(watcher)
        for mistake in spec.omitted:
            logger.error("left out: %s", mistake)

    def _population(self, spec: ArbiterSpec) -> list[WatcherSpec]:
        """All watchers of a configuration, with the addresses that we have."""
        return watcher_specs(
            spec,
            endpoint=self.endpoint,
            pubsub_endpoint=self.pubsub_endpoint,
            stats_endpoint=self.stats_endpoint,
            keys=self._channels.keys,
        )

    def _make_room(self, wanted: Iterable[WatcherSpec]) -> None:
        if (missing := make_room(wanted, len(self.sockets), generous=self._main)) is not None:
            logger.error("%s", missing)

    def _add(self, spec: WatcherSpec) -> None:
        try:
            # Those of a file were made to be looked at beforehand; after that they are as the file says.
            made = (self._made.pop if self.spec.config_file else self._made.get)(spec.name.lower(), None)
            watcher = Watcher.from_spec(spec) if made is None else made
            watcher.attach(self._services)
            self.fleet.add(watcher)
        except (CircusError, ValueError, OSError) as error:
            mistake = Mistake(self.spec.config_file, None, f"watcher:{spec.name}", None, None, str(error))
            logger.error("left out: %s", mistake)  # noqa: TRY400 -- the sentence says it all
            self.spec = replace(self.spec, omitted=(*self.spec.omitted, mistake))

    def _depopulate(self) -> None:
        """Let go of the sockets of the configuration; its watchers are forgotten already."""
        for name in self.sockets.keys() - self._given_sockets:
            self.sockets.pop(name).close()

    async def _boot(self, origin: Origin, seq: int) -> None:
        assert origin.trace is not None
        began = self._loop.time()
        CURRENT.set(cause_of(origin))
        TRACEPARENT.set(self.bus.context(seq, origin.trace))
        try:
            await self._rise()
        except Overtaken as error:
            logger.info("%s", error)
        else:
            self._tell("arbiter.booted", origin, seconds=self._loop.time() - began)

    async def _rise(self) -> None:
        """Start everything that starts by itself."""
        await self.fleet.start()

    # -- closing --------------------------------------------------------------------------------------------------

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
        self._survival.close()
        self.sockets.close_all()
        for name in _CLOSED:
            if hasattr(self, name):
                getattr(self, name).close()
                delattr(self, name)

    def _sweep_again(self) -> None:
        if self.check_delay > 0:
            self._reaper.sweep()
            self._channels.restore()
            self._survival.restore()
            self._witness.refresh()
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

    # -- small wiring ---------------------------------------------------------------------------------------------

    def _ended_cpu(self, watcher: str) -> tuple[float, float]:
        tally = self.bus.tally(watcher)
        return tally.cpu_user_seconds, tally.cpu_system_seconds

    def _skipped_samples(self) -> dict[str, int]:
        return {"passes": self._stats.skipped, "readings": self._sampler.errors["other"]}

    def _dropped_messages(self) -> dict[str, int]:
        return {
            "control": self._controller.drops,
            "events": self._publisher.drops,
            "stats": self._stats.drops,
            "lines": self._publisher.lines_beyond_limit,
        }

    def _queue_depth(self) -> int:
        return len(self._services.spawns) + sum(len(w.lifecycle.queue) for w in self.fleet)

    def _tell(self, record: str, origin: Origin, **data: Any) -> int:
        seq, origin.trace = self.bus.record(record, None, cause_of(origin), data, trace=origin.trace)
        return seq

    def _watch_sockets(self, watcher: Driver, on: bool) -> None:
        if on:
            fds = {name: sock.fileno() for name, sock in self.sockets.items()}
            self._gate.watch(watcher, sockets_used(watcher.socket_names, fds), watcher.socket_ready)
        else:
            self._gate.unwatch(watcher)
