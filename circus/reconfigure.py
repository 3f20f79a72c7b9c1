"""What watchers there are, changed while the daemon runs: one more, one less.

Decides nothing about what happens inside a watcher. Invariant: a name is free again when its watcher is gone with all
that it had, never before.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Any

from circus.assembly import Assembly
from circus.core.origin import Origin
from circus.driver import cause_of, current_origin
from circus.exc import AlreadyExist, CircusError
from circus.ports import WatcherLike
from circus.spec.diff import watcher_changes
from circus.spec.watcher import WatcherSpec
from circus.watcher import Watcher
from circus.wire.changes import told_changes

logger = logging.getLogger("circus")


class Reconfiguration(Assembly):
    """An assembly whose watchers come and go."""

    def add(self, spec: WatcherSpec, *, start: bool = False) -> Awaitable[dict[str, list[int]] | None]:
        """Add a watcher, and start it if told so; answers with the pids `started` and `kept` then.

        Raises:
            AlreadyExist: at once; there is one of that name, compared without case.
            CircusError: at once, when it cannot be had.
        """
        there = self.fleet.find(spec.name)
        if there is None:
            return _started(self.take_in(Watcher.from_spec(spec)), start=start)
        if there.retired is None:
            raise AlreadyExist(f"{spec.name!r} already exist")
        return self._add_later(there, spec, start=start)

    async def _add_later(self, there: Watcher, spec: WatcherSpec, *, start: bool) -> dict[str, list[int]] | None:
        await self.fleet.gone(there)
        return await self.add(spec, start=start)

    def take_in(self, watcher: Watcher) -> Watcher:
        """Have a watcher that was made; its name is free.

        Raises:
            CircusError: it cannot be had.
        """
        self._attach(watcher)
        self._admit(watcher)
        watcher.notify_event("add", {})
        return watcher

    def _attach(self, watcher: Watcher) -> None:
        try:
            watcher.attach(self._services)
            watcher.prepare(watcher.spec)
        except (CircusError, ValueError, OSError) as error:
            watcher.close()
            if self.fleet.find(watcher.name) is None:
                self.bus.forget(watcher.name)
            raise error if isinstance(error, CircusError) else CircusError(str(error)) from error

    def _admit(self, watcher: Watcher) -> None:
        self.fleet.add(watcher)
        nothing = WatcherSpec(name=watcher.name)
        self._told("watcher.added", watcher, options=told_changes(watcher_changes(nothing, watcher.spec)))

    def remove(self, watcher: WatcherLike, *, stop: bool = True) -> Awaitable[None]:
        """Forget a watcher: when it is stopped, or at once with its processes left to themselves."""
        found = self.fleet.get(watcher.name)
        found.notify_event("remove", {})
        found.retired = "rm"
        return self._remove(found, stop=stop)

    async def _remove(self, watcher: Watcher, *, stop: bool) -> None:
        if not await self.fleet.remove(watcher, stop=stop):
            return
        nothing = WatcherSpec(name=watcher.name)
        options = told_changes(watcher_changes(watcher.spec, nothing))
        self._told("watcher.removed", watcher, stopped=stop, options=options)
        self.bus.forget(watcher.name)

    def _told(self, record: str, watcher: Watcher, origin: Origin | None = None, **data: Any) -> None:
        origin = origin or current_origin()
        _, origin.trace = self.bus.record(record, watcher.name, cause_of(origin), data, trace=origin.trace)


async def _started(watcher: Watcher, *, start: bool) -> dict[str, list[int]] | None:
    return await watcher.start() if start else None
