"""The daemon replaced by itself, as it is on disk now: everything goes on, and no worker sees it.

Owns when that may be (nothing in progress), the trial before it, the moment of the exec, and how the program that was
executed goes on. Refuses to know how each part is handed over. Invariants: until the exec everything can be undone, and
is, when something fails; what was answered before it is true: the program was tried, and nothing was in the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable
from contextvars import copy_context
from dataclasses import replace
from typing import Any, Final

from circus import __version__
from circus.core.origin import Origin
from circus.events.bus import Bus
from circus.events.cause import current_origin
from circus.exc import CircusError, Overtaken
from circus.handover import ArbiterRecord, CountsRecord, WatcherRecord, dumped, spec_of, written
from circus.runtime.fds import ROOM
from circus.runtime.image import Image, Interrupted
from circus.services import Services
from circus.sockets import CircusSocket
from circus.spec.watcher import WatcherSpec
from circus.supervisor import Supervisor
from circus.watcher import Watcher

logger = logging.getLogger("circus")

PATIENCE_SECONDS: Final = 30.0
"""How long an upgrade waits until nothing is in progress, unless it is told."""
_AGAIN_SECONDS: Final = 0.02


class Upgrading(Supervisor):
    """A supervisor that can be upgraded, and that goes on where another was.

    Attributes:
        image: the program; None where it is not ours to replace.
    """

    image: Image | None = None
    _upgrading: asyncio.Task[Any] | None = None
    _exchanging = False

    # -- the program that goes ----------------------------------------------------------------------------------------

    def upgrade(self, timeout: float = PATIENCE_SECONDS) -> Awaitable[dict[str, Any]]:
        """Replace this program by what is on disk now. Answers right before that happens.

        Args:
            timeout: how many seconds to wait until nothing is in progress.

        Raises:
            CircusError: at once, where that cannot be; later, when the new program does not work or something has been
                in progress for too long. Everything is as it was then.
        """
        image = self.image
        if image is None:
            raise CircusError("upgrade is for circusd: the program that this arbiter is part of is not ours to replace")
        if not hasattr(os, "memfd_create"):
            raise CircusError("upgrade needs files without a name (memfd_create), which this system does not have")
        if self.quitting:
            raise Overtaken("cancelled: quit overtook upgrade")
        if self._upgrading is not None or self._exchanging:
            raise CircusError("an upgrade is in progress already")
        return self._upgrade(image, timeout)

    def upgrade_soon(self) -> None:
        """The same without somebody who waits for it; what goes wrong is in the log."""
        try:
            work = self.upgrade()
        except CircusError as error:
            logger.warning("no upgrade: %s", error)
            return
        self._spawn_task(self._logged(work)).set_name("upgrade")

    async def _logged(self, work: Awaitable[Any]) -> None:
        with contextlib.suppress(CircusError):  # it was told
            await work

    async def _upgrade(self, image: Image, timeout: float) -> dict[str, Any]:
        began = self._loop.time()
        self._upgrading = asyncio.current_task()
        try:
            await self._try(image)
            until = self._loop.time() + timeout
            await self._calm(until, f"not upgraded, after waiting for {timeout:g} s")
        except CircusError as error:
            self._tell_failure(str(error))
            raise
        finally:
            self._upgrading = None
        self._exchanging = True
        # In the context of whoever asked, once he has his answer.
        until = max(until, self._loop.time() + 1.0)
        self._loop.call_soon(self._change_over, image, until, context=copy_context())
        return {"boot": self.bus.boot, "seq": self.bus.seq, "upgrades": self.upgrades, "pid": self.pid,
                "seconds": self._loop.time() - began}  # fmt: skip

    async def _calm(self, until: float, otherwise: str) -> None:
        """Wait until nothing is in progress."""
        while (obstacle := self._obstacle()) is not None:
            if self.quitting:
                raise Overtaken("cancelled: quit overtook upgrade")
            if self._loop.time() >= until:
                raise CircusError(f"{otherwise}: {obstacle}")
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _try(self, image: Image) -> None:
        fd = written(self._handed(current_origin(), self.clock.monotonic()))
        try:
            await image.tried(fd, self._reaper)
        finally:
            os.close(fd)

    def _obstacle(self) -> str | None:
        """What is in progress, as a sentence; None when nothing is."""
        if self.quitting or self.state != "active":
            return "circusd is stopping"
        self._services.spawns.settle()
        for watcher in self.fleet:
            busy = watcher.busy or (watcher.retired and f"'{watcher.name}' is being removed")
            if busy:
                return busy
        if self.fleet.busy is not None:
            return self.fleet.busy
        commands = self._controller.in_progress(but="upgrade")
        if commands:
            return f"the command {commands[0]!r} is in progress"
        if any(task.get_name() != "upgrade" for task in self._tasks):
            return "a start, reload or change of everything is in progress"
        for pid, name in self._services.carried.items():
            return f"process {pid}, which was left when '{name}' was removed, still writes to this program"
        return None

    def _change_over(self, image: Image, until: float) -> None:
        """The moment has come, unless something has begun since."""
        try:
            reason = self._replace(image)
        except Interrupted as error:
            reason = str(error)
        except (CircusError, OSError) as error:
            reason, until = f"the program cannot be replaced: {error}", 0.0
        finally:
            image.let_signals()
        if self._loop.time() < until and not self.quitting:
            self._loop.call_later(_AGAIN_SECONDS, self._change_over, image, until, context=copy_context())
            return
        self._exchanging = False
        self._tell_failure(reason)

    def _replace(self, image: Image) -> str:
        """Give everything to the program that is executed. Returns what came between, or raises why that cannot be; and
        everything is as it was then.
        """
        self._shortfall.look()
        for watcher in self.fleet:
            watcher.before_handover()
        # Right before the doors are closed, so that hardly a request can be between the last that is read and that.
        self._controller.drain()
        if (obstacle := self._obstacle()) is not None:
            return obstacle
        if not image.hold_signals():
            return "signals come all the time"
        began = self.clock.monotonic()
        self._suspend()
        try:
            record = self._handed(current_origin(), began)
            fd = written(record)
            try:
                logger.info("circusd %s is replaced by what is there now", __version__)
                image.execute(fd, record.descriptors())
            finally:
                os.close(fd)
        finally:
            self._resume()
        raise AssertionError("an exec that has not failed does not return")

    def _suspend(self) -> None:
        """Let libzmq send what it has, and go. Who connects from now on waits in the queue of the listening socket."""
        self._controller.suspend()
        self._publisher.close()
        self._stats.suspend()
        self._channels.suspend()

    def _resume(self) -> None:
        self._channels.resume()
        context = self._channels.context
        self._controller.serve(context)
        self._publisher.serve(context)
        self._stats.serve(context)

    def _tell_failure(self, reason: str) -> None:
        logger.error("no upgrade: %s", reason)
        self._tell("arbiter.upgrade_failed", current_origin(), reason=reason)

    def _handed(self, origin: Origin, taken_at: float) -> ArbiterRecord:
        services: Services = self._services
        return ArbiterRecord(
            version=__version__,
            taken_at=taken_at,
            origin=origin,
            upgrades=self.upgrades,
            spec=dumped(self.spec),
            started=self.started,
            applied=self.applied,
            refused=self.refused,
            soft_limit=ROOM.inherited_soft,
            fd_base=ROOM.base,
            channels=self._channels.handed(),
            sockets=[sock.handed() for sock in self.sockets.values()],
            watchers=[watcher.handed() for watcher in self.fleet],
            alerts=self.alerting.handed(),
            ledger=self._survival.handed(),
            bus=self.bus.handed(),
            counts=CountsRecord(
                control=self._controller.handed(),
                events=self._publisher.handed(),
                samples=self._stats.handed(),
                illegal_transitions=services.illegal_transitions,
                strangers=self._reaper.strangers,
            ),
        )

    # -- the program that comes ---------------------------------------------------------------------------------------

    def take_over(self, record: ArbiterRecord) -> None:
        """Go on where another program was; before `run`, and made of the spec in the record."""
        self.handed = record
        self.bus = Bus.resumed(self.clock, record.bus, journal_size=self.spec.journal_size)
        self.started, self.applied, self.refused = record.started, record.applied, record.refused
        self.upgrades, self.upgraded = record.upgrades + 1, self.clock.time()
        ROOM.inherited_soft, ROOM.base = record.soft_limit, record.fd_base

    async def _recover(self) -> None:
        if self.handed is None:
            await super()._recover()

    def _inhabit(self) -> None:
        record = self.handed
        if record is None:
            super()._inhabit()
            return
        counts = record.counts
        self._controller.take_over(counts.control)
        self._publisher.take_over(counts.events)
        self._stats.take_over(counts.samples)
        self._services.illegal_transitions, self._reaper.strangers = counts.illegal_transitions, counts.strangers
        specs = {spec.name: spec for spec in self.spec.sockets}
        for sock in record.sockets:
            self.sockets[sock.name] = CircusSocket.taken_over(specs[sock.name], sock)
        self._survival.take_over(record.ledger)
        self._make_room(spec_of(each) for each in record.watchers)
        for each in record.watchers:
            self._take_in(each)
        # Of watchers that are there.
        self.alerting.take_over(record.alerts)

    def _take_in(self, record: WatcherRecord) -> None:
        spec = spec_of(record)
        try:
            watcher = self._attached(spec)
            self.fleet.add(watcher)
            watcher.take_over(record)
        except Exception:  # the others are to be taken over all the same
            pids = ", ".join(str(each.pid) for each in record.processes) or "none"
            logger.exception("'%s' cannot be taken over; its processes run on without circusd: %s", spec.name, pids)

    def _attached(self, spec: WatcherSpec) -> Watcher:
        """A watcher that works; where code of others has broken since the trial, without it rather than not at all."""
        plain = replace(spec, hooks={})
        captured = spec.capture or spec.stdout_stream is not None or spec.stderr_stream is not None
        for kept in (spec, plain):
            try:
                watcher = Watcher.from_spec(kept)
                watcher.attach(self._services)
            except Exception:
                logger.exception("'%s' cannot be taken over as it was; it goes on without what is its own", spec.name)
            else:
                return watcher
        watcher = Watcher.from_spec(replace(plain, stdout_stream=None, stderr_stream=None, capture=captured))
        watcher.attach(self._services)
        return watcher

    def _announce(self) -> None:
        record, self.handed = self.handed, None
        if record is None:
            super()._announce()
            return
        self.state = "active"
        seconds = self.clock.monotonic() - record.taken_at
        self._tell("arbiter.upgraded", record.origin, version=__version__, before=record.version, pid=self.pid,
                   hash=self.spec.config_hash, upgrades=self.upgrades, seconds=seconds, watchers=len(self.fleet),
                   sockets=len(self.sockets), processes=self.numprocesses())  # fmt: skip
        logger.info("circusd %s has taken over %s processes of %s watchers; it was away for %.3f s", __version__,
                    self.numprocesses(), len(self.fleet), seconds)  # fmt: skip
        self._sweep_again()
        self._reaper.sweep()
        self._booting = self._spawn_task(_nothing())


async def _nothing() -> None:
    """What has begun before and is done."""
