"""An assembly that goes on with workers of another circusd, which was killed.

They were found and proven before anything was opened; here they get their watchers. Invariants: whoever was to be taken
over and cannot be is ended; a watcher that has some is not started again, only completed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from circus.assembly import Assembly
from circus.core.origin import Origin
from circus.orphans.taking import Taken
from circus.watcher import Watcher

logger = logging.getLogger("circus")


class Returning(Assembly):
    """An assembly that comes back."""

    _returned: dict[Watcher, list[Taken]]
    """The watchers that have workers of before, and these."""

    def _announce(self) -> None:
        self._returned = {}
        super()._announce()
        self._survival.settle()
        found = self._survival.found
        if not (found.taken or found.ended or found.left):
            return
        origin = Origin(kind="boot")
        seq = self._tell("arbiter.adopted", origin, boot=found.boot, adopted=len(found.taken), ended=found.ended,
                         left=found.left, sockets=found.regained)  # fmt: skip
        origin = Origin(kind="record", seq=seq, trace=origin.trace)
        for name, workers in self._survival.take_workers().items():
            self._give(self.fleet.find(name), workers, origin)

    def _give(self, watcher: Watcher | None, workers: list[Taken], origin: Origin) -> None:
        boot = self._survival.found.boot
        try:
            if watcher is not None:
                watcher.adopt(workers, boot, origin)
                self._returned[watcher] = workers
                return
        except Exception:
            logger.exception("orphans: processes of '%s' cannot be taken over", workers[0].survivor.recipe.watcher)
        for each in workers:
            self._spawn_task(self._survival.end(each))

    async def _rise(self) -> None:
        work: list[Awaitable[Any]] = []
        returned, self._returned = self._returned, {}
        for watcher, workers in returned.items():
            outdated = sorted({name for each in workers for name in each.outdated})
            if outdated:
                logger.info("'%s' is reloaded: %s changed while no circusd ran", watcher.name, ", ".join(outdated))
                work.append(watcher.submit("reload", name="adopt", start_cause="reload"))
            work.append(watcher.submit("resize", name="adopt", delta=0))
        await self.fleet.start(without=returned)
        await asyncio.gather(*work, return_exceptions=True)
