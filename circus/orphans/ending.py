"""How a worker of another circusd is ended: as its own would have, through a handle, with all that belongs to it.

Invariant: the pid of who has ended is never signalled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import Final

from circus.core.ending import REAP_SECONDS
from circus.core.statefile import Recipe
from circus.core.survivors import Survivor, Verdict
from circus.runtime import identity
from circus.runtime.cgroup import Group
from circus.runtime.kin import Kin, ways

logger = logging.getLogger("circus")

_LOOK_SECONDS: Final = 0.05


async def end(verdict: Verdict, pidfd: int) -> None:
    """End a worker as its watcher would: the signal, the grace, SIGKILL, and all that belongs to it by its scope."""
    survivor, scope = verdict.survivor, verdict.scope
    pid = survivor.worker.pid
    kin = Kin(pid, adopted=None, mark=survivor.mark, group=group_of(survivor), by=ways())
    try:
        if verdict.graceful_timeout > 0:
            _signal(kin, pidfd, verdict.stop_signal, scope)
            if await _is_over(kin, pidfd, scope, verdict.graceful_timeout):
                return
        _signal(kin, pidfd, signal.SIGKILL, scope)
        if not await _is_over(kin, pidfd, scope, REAP_SECONDS):
            logger.error("orphans: SIGKILL did not end all of process %s of '%s'", pid, survivor.recipe.watcher)
    except OSError as error:
        logger.error("orphans: process %s of '%s' cannot be ended: %s", pid, survivor.recipe.watcher, error.strerror)  # noqa: TRY400 - a fact
    finally:
        kin.close()


async def end_rest(recipe: Recipe, mark: str, *, stop_signal: int, grace: float) -> None:
    """End what is left of a worker that has ended, whose scope was the tree."""
    kin = Kin(0, adopted=None, mark=mark, by=ways())
    kin.main_gone = True
    try:
        if grace > 0:
            kin.signal(stop_signal, "tree")
            if await _is_over(kin, -1, "tree", grace):
                return
        kin.signal(signal.SIGKILL, "tree")
        if not await _is_over(kin, -1, "tree", REAP_SECONDS):
            logger.error("orphans: SIGKILL did not end all that a process of '%s' had left", recipe.watcher)
    finally:
        kin.close()


def group_of(survivor: Survivor) -> Group | None:
    """Its cgroup, if it still has one."""
    path = survivor.worker.group
    return Group(path) if path is not None and os.path.isdir(path) else None


def _signal(kin: Kin, pidfd: int, signum: int, scope: str) -> None:
    kin.main_gone = kin.main_gone or identity.has_ended(pidfd)
    if scope != "main":
        kin.look()  # before the parent is signalled: once it is gone its children are somebody else's
    if not kin.main_gone:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signum)
    if scope != "main":
        kin.signal(signum, scope)


async def _is_over(kin: Kin, pidfd: int, scope: str, seconds: float) -> bool:
    """Wait until it has ended, and with it all that belongs to it by its scope; False when that takes longer."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    if not kin.main_gone:
        ended: asyncio.Future[None] = loop.create_future()
        loop.add_reader(pidfd, _done, ended)
        try:
            await asyncio.wait([ended], timeout=seconds)
        finally:
            loop.remove_reader(pidfd)
        kin.main_gone = ended.done()
        ended.cancel()
    while scope != "main" and (left := kin.rest(scope, age=_LOOK_SECONDS) or kin.rest(scope)):
        if loop.time() >= until:
            return False
        if kin.spared(left):
            kin.signal(signal.SIGKILL, scope)
        await asyncio.sleep(_LOOK_SECONDS)
    return kin.main_gone


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
