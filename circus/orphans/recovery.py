"""From a state file to what has become of everybody in it.

Puts finding, judging, taking and ending together. Invariant: every handle that was taken is given away or closed.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from circus.core.survivors import Survivor, Verdict, judge
from circus.ledger import making
from circus.orphans.ending import end
from circus.orphans.finding import survivors
from circus.orphans.taking import Found, Taken, open_pipes, take_back
from circus.runtime.statefile import StateFile
from circus.spec.watcher import Orphans, WatcherSpec

logger = logging.getLogger("circus")


async def recover(
    file: StateFile,
    *,
    specs: Mapping[str, WatcherSpec],
    policy: Callable[[WatcherSpec], Orphans],
    sockets: Iterable[str],
    fits: Callable[[str, int], str | None],
) -> Found:
    """Find who lives, and end those that shall be ended.

    Args:
        file: the state file, held.
        specs: what shall run now, by name.
        policy: of a watcher.
        sockets: the names of those that could be taken back.
        fits: why a descriptor is not the socket of that name any more, None when it is.
    """
    told, living = survivors(file)
    found = Found()
    if told is None:
        return found
    found.boot = told.head.boot
    pidfds = {survivor.worker.pid: pidfd for survivor, pidfd in living}
    pipes: dict[int, dict[str, int]] = {}
    try:
        wished = [each for each in living if _is_wished(each[0], specs, policy)]
        lost = take_back(
            found, wished, {name: told.sockets[name].inode for name in sockets if name in told.sockets}, fits
        )
        candidates = []
        for survivor, _ in living:
            if (survivor, pidfds[survivor.worker.pid]) in wished:
                pipes[survivor.worker.pid], broken = open_pipes(survivor)
                candidates.append(replace(survivor, broken=broken))
            else:
                candidates.append(survivor)
        verdicts = judge(candidates, specs=specs, policy=policy, making=making, lost_sockets=lost)
        for verdict in verdicts:
            pid = verdict.survivor.worker.pid
            if verdict.fate == "take":
                found.taken.append(Taken(verdict.survivor, pidfds.pop(pid), pipes.pop(pid), verdict.outdated))
        _tell(verdicts)
        doomed = [(verdict, pidfds[verdict.survivor.worker.pid]) for verdict in verdicts if verdict.fate == "end"]
        found.ended, found.left = len(doomed), len(verdicts) - len(doomed) - len(found.taken)
        await asyncio.gather(*(end(verdict, pidfd) for verdict, pidfd in doomed))
    except BaseException:
        found.close()
        raise
    finally:
        for fd in (*pidfds.values(), *(fd for opened in pipes.values() for fd in opened.values())):
            os.close(fd)
    return found


def _is_wished(survivor: Survivor, specs: Mapping[str, WatcherSpec], policy: Callable[[WatcherSpec], Orphans]) -> bool:
    """Whether it would be taken over if it can be."""
    spec = specs.get(survivor.recipe.watcher)
    return spec is not None and survivor.noted and policy(spec) == "adopt"


def _tell(verdicts: Iterable[Verdict]) -> None:
    """One line for all processes of a watcher that share a fate and its reason."""
    alike: dict[tuple[str, str, str | None], list[int]] = {}
    for verdict in verdicts:
        key = (verdict.survivor.recipe.watcher, verdict.fate, verdict.why)
        alike.setdefault(key, []).append(verdict.survivor.worker.pid)
    for (watcher, fate, why), pids in alike.items():
        some = ", ".join(map(str, pids[:10])) + (", ..." if len(pids) > 10 else "")
        reason = f" ({why})" if why else ""
        level = logging.WARNING if why else logging.INFO
        logger.log(level, "orphans: %s of '%s' %s%s: pid %s", len(pids), watcher, _WORDS[fate], reason, some)


_WORDS: Final = {"leave": "left alone", "end": "to be ended", "take": "taken over"}
