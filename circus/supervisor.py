"""What is asked of a whole daemon: how it stands, and operations over several watchers.

The parts are put together by the assembly below it; what happens inside a watcher is the watcher's, what crosses the
wire the controller's. Invariant: an operation over several watchers is overtaken by a stop of all and by a quit.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from circus.core.origin import Origin
from circus.events.cause import current_origin
from circus.events.journal import Journal
from circus.exc import CircusError
from circus.fleet import Fleet
from circus.jobs import recorded
from circus.reconfigure import Reconfiguration
from circus.sockets import CircusSocket
from circus.spec.arbiter import ArbiterSpec
from circus.spec.diff import changes
from circus.stats.channel import StatsChannel
from circus.telemetry import arbiter_snapshot, telemetry
from circus.watcher import Watcher
from circus.wire.snapshot import Telemetry

if TYPE_CHECKING:
    from circus.ports import WatcherLike

logger = logging.getLogger("circus")

Chosen: TypeAlias = "Sequence[WatcherLike] | Callable[..., Iterable[WatcherLike]] | None"
"""Watchers: these, those that a function gives (as in circus 0.19), or all."""


class Supervisor(Reconfiguration):
    """The daemon as commands, hooks and signals see it.

    Attributes:
        prereload_fn: called with the arbiter before each reload of everything.
        exit_status: of the program, once everything has ended.
    """

    prereload_fn: Callable[[Any], object] | None = None
    loop: asyncio.AbstractEventLoop | None = None
    exit_status = 0
    _finished: asyncio.Event
    _closed: asyncio.Event
    _quitting: asyncio.Future[None] | None = None
    _hastened: Origin | None = None
    _entered = False
    """What a life needs is open; before that the leftovers of another one are seen to."""

    # -- life -----------------------------------------------------------------------------------------------------

    def initialize(self) -> None:
        """Bind everything and begin to start the watchers; in the running loop."""
        self._begin_life()
        self._enter()

    def _begin_life(self) -> None:
        self._finished, self._closed = asyncio.Event(), asyncio.Event()
        self._quitting, self._hastened, self._entered = None, None, False
        self._loop = asyncio.get_running_loop()
        self.fleet.begin()

    async def _recover(self) -> None:
        """See to what a circusd that was killed has left; not any further than until we are told to leave."""
        work = self._loop.create_task(self._survival.recover())
        leaving = self._loop.create_task(self._finished.wait())
        try:
            await asyncio.wait([work, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait([work])
        if not work.cancelled():
            work.result()

    def _enter(self) -> None:
        self._entered = True
        if self.spec.umask is not None:
            os.umask(self.spec.umask)
        self.open()

    async def serve(self, ready: Callable[[], None] | None = None) -> None:
        """Start, serve until `quit`, and leave nothing behind; `ready` is called when clients can connect.

        Raises:
            EndpointError: a channel cannot be bound.
            OSError: a socket cannot be bound.
            CircusError: it runs already.
        """
        if self.running:
            raise CircusError("this arbiter runs already")
        try:
            self._begin_life()
            self.loop = self._loop
            await self._recover()
            if not self._finished.is_set():
                self._enter()
                if ready is not None:
                    ready()
            await self._finished.wait()
            # The answer to a waiting quit is on its way; it gets one turn of the loop.
            await asyncio.sleep(0)
        finally:
            self.close()

    def close(self) -> None:
        """Close what was opened and let `serve` end; processes that still run are left to themselves."""
        if not hasattr(self, "_closed"):
            return  # nothing was
        super().close()
        self._finished.set()
        self._closed.set()

    @property
    def running(self) -> bool:
        """Between `initialize` and `close`."""
        return hasattr(self, "_closed") and not self._closed.is_set()

    # -- reading --------------------------------------------------------------------------------------------------

    @property
    def stats(self) -> StatsChannel:
        """The stats channel, which also answers questions."""
        return self._stats

    @property
    def journal(self) -> Journal:
        """The bounded journal of lifecycle records."""
        self._settled()
        return self.bus.journal

    @property
    def watchers(self) -> list[Watcher]:
        """All watchers, in the order in which they were added."""
        return list(self._settled()) or list(self._made.values())

    def _settled(self) -> Fleet:
        """The watchers, once everything that has happened to them is told."""
        if hasattr(self, "_services"):
            self._services.spawns.settle()
        return self.fleet

    def iter_watchers(self, reverse: bool = True) -> Iterable[Watcher]:
        """All watchers by priority: the highest first, or last."""
        found = self._settled().by_priority()
        return found if reverse else found[::-1]

    def get_watcher(self, name: str) -> Watcher:
        """The watcher of that name, compared without case; KeyError when there is none."""
        return self._settled().get(name)

    def numprocesses(self) -> int:
        """How many processes exist."""
        return sum(len(watcher) for watcher in self._settled())

    def numwatchers(self) -> int:
        """How many watchers there are."""
        return len(self.fleet)

    def statuses(self) -> dict[str, str]:
        """The status of each watcher by its name as configured."""
        return {watcher.name: watcher.status() for watcher in self._settled()}

    def get_socket(self, name: str) -> CircusSocket | None:
        """The socket of that name, None when there is none."""
        return self.sockets.get(name)

    def telemetry(self, watchers: str | None = None, detail: bool = True) -> Telemetry:
        """Everything cumulative, and how things stand."""
        fleet = self._settled()
        return telemetry(
            bus=self.bus,
            spec=self.spec,
            applied=self.applied,
            refused=self.refused,
            arbiter=arbiter_snapshot(self, self._controller, self._publisher, self._services, self._reaper),
            alerts=self.alerting.snapshot(),
            sockets=self.sockets,
            watchers=fleet,
            pattern=watchers,
            detail=detail,
        )

    # -- operations over watchers -----------------------------------------------------------------------------------

    async def start_watchers(self, watcher_iter_func: Chosen = None) -> Mapping[str, str]:
        """Start these watchers, or all with autostart, by priority and with the warm-up delay between them; answers with
        those that are not up then, and why.
        """
        return await self.fleet.start(_these(watcher_iter_func))

    async def stop_watchers(self, watcher_iter_func: Chosen = None) -> None:
        """Stop these watchers, or all, at once; those with the lowest priority get their signals first."""
        await self.fleet.stop(_these(watcher_iter_func))

    async def restart_watchers(self, watchers: Sequence[WatcherLike] | None = None) -> Mapping[str, str]:
        """Stop all of these, then start them; answers as `start_watchers`.

        Raises:
            CircusError: they were started, but something of before outlived SIGKILL.
        """
        try:
            await self.fleet.stop(watchers)
        except CircusError:
            await self.fleet.start(watchers)
            raise
        return await self.fleet.start(watchers)

    async def reload(self, graceful: bool = True, sequential: bool = False) -> Mapping[str, str]:
        """Reload every watcher that is not stopped, by priority; answers as `start_watchers`."""
        if self.prereload_fn is not None:
            self.prereload_fn(self)
        return await self.fleet.reload(graceful=graceful, sequential=sequential)

    def restart(self, inside_circusd: bool = False, watcher_iter_func: Chosen = None) -> Awaitable[Mapping[str, str]]:
        """Stop everything, or the watchers that a function gives, and start them; answers as `start_watchers`.

        With `inside_circusd` all watchers and sockets are built anew from the configuration file, if there is one. The
        channels stay bound, so clients notice nothing but the new watchers.

        Raises:
            ConfigError: at once, for a file with mistakes; then everything goes on with the old configuration.
            SocketError: a socket of the file cannot be bound; then everything is started with the old configuration.
            Overtaken: by a stop of everything, another restart or a quit.
        """
        began, spec = self.clock.monotonic(), self.spec
        if watcher_iter_func is not None or not inside_circusd or spec.config_file is None:
            return self.restart_watchers(_these(watcher_iter_func))
        return self._restart(self._read(began), began)

    async def _restart(self, spec: ArbiterSpec, began: float) -> Mapping[str, str]:
        from circus.planning import standing

        await self.fleet.dissolve()
        before, refused = self.spec, None
        spec, _ = standing(before, spec)
        try:
            self._apply(spec)
        except (CircusError, OSError) as error:
            # What ran until now runs on rather than nothing.
            self._refuse(spec.config_hash, began, [str(error)])
            refused = error
            self._apply(before)
        else:
            self._accept(began, changes(before, spec))
        failed = await self.fleet.start()
        if refused is not None:
            raise refused
        return failed

    def _apply(self, spec: ArbiterSpec) -> None:
        self._depopulate()
        self._put_in_force(spec)
        self._populate()

    def quit(self) -> Awaitable[None]:
        """Stop everything, overtaking what is going on, and end; done when all is stopped."""
        if self._quitting is None:
            self.fleet.quitting = True
            self._quitting = self._spawn_task(self._quit() if self._entered else self._leave())
        return asyncio.shield(self._quitting)

    def fail(self, name: str, status: int) -> None:
        """A watcher with `on_failure = exit` has failed: everything ends, and the program with that exit status."""
        if not self.quitting:
            self.exit_status = status
            logger.error("'%s' has failed; all watchers are stopped, and the exit status is %s", name, status)
            self.quit()

    def hasten(self, origin: Origin) -> None:
        """No more grace for whatever is being stopped, or will be at the end."""
        self._hastened = origin
        for watcher in self.fleet if self._entered else ():
            watcher.hasten(origin)

    def reopen_streams(self) -> None:
        """Take up the files of all streams anew, after somebody moved them away."""
        for watcher in self.fleet:
            watcher.reopen_streams()

    @property
    def quitting(self) -> bool:
        """The end has begun."""
        return self._quitting is not None

    def reload_soon(self) -> None:
        """Begin to reload all watchers, without waiting for it; where one waits its turn already, that one will do."""
        if sum(task.get_name() == "reload" for task in self._tasks) < 2:
            self._spawn_task(recorded(self.bus, "reload", self.reload)).set_name("reload")

    async def _leave(self) -> None:
        """Nothing is open yet, and nothing of ours runs."""
        self.state = "stopped"
        self._finished.set()

    async def _quit(self) -> None:
        self.state = "stopping"
        origin = current_origin()
        self._tell("arbiter.stopping", origin, watchers=len(self.fleet))
        limit = self.spec.shutdown_timeout
        overdue = self._loop.call_later(limit, self._overdue, limit) if limit else None
        try:
            await self._stop_all()
        finally:
            if overdue is not None:
                overdue.cancel()
        self._shortfall.look()
        self._tell("arbiter.stopped", origin)
        self.state = "stopped"
        self._finished.set()

    async def _stop_all(self) -> None:
        """Stop all watchers; exporters when the others are down, because they show how these end."""
        exporters = [watcher for watcher in self.fleet if watcher.spec.role == "exporter"]
        others = [watcher for watcher in self.fleet if watcher not in exporters] if exporters else None
        await _as_far_as_possible(self.stop_watchers(others))
        if exporters:
            last = asyncio.ensure_future(_as_far_as_possible(self.fleet.stop(exporters)))
            await asyncio.sleep(0)  # so that it has begun
            if self._hastened is not None:
                self.hasten(self._hastened)
            await last

    def _overdue(self, limit: float) -> None:
        left = ", ".join(f"'{watcher.name}' ({len(watcher)})" for watcher in self.fleet if not watcher.is_stopped())
        logger.error("shutdown_timeout of %s s is over; no more grace for the processes of %s", limit, left)
        self.hasten(Origin(kind="timer", name="shutdown_timeout"))


async def _as_far_as_possible(stop: Awaitable[None]) -> None:
    try:
        await stop
    except CircusError as error:
        logger.error("%s", error)  # noqa: TRY400 -- who outlives SIGKILL does not keep us from ending


def _these(chosen: Chosen) -> Sequence[WatcherLike] | None:
    """Watchers that were said as they are or by a function; None for all."""
    return list(chosen()) if callable(chosen) else chosen
