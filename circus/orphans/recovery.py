"""From a state file to what has become of everybody in it.

Puts finding, judging, taking and ending together. Invariant: every handle that was taken is given away or closed.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from circus.core.survivors import Survivor, Verdict, judge, scope_of
from circus.ledger import making
from circus.orphans.ending import end, end_rest
from circus.orphans.finding import Remains, living
from circus.orphans.taking import Found, Taken, holders, open_pipes, take_back
from circus.runtime.statefile import StateFile
from circus.spec.sockets import SocketSpec
from circus.spec.watcher import Orphans, WatcherSpec

logger = logging.getLogger("circus")


async def recover(
    file: StateFile,
    *,
    config: str,
    specs: Mapping[str, WatcherSpec],
    policy: Callable[[WatcherSpec], Orphans],
    sockets: Sequence[SocketSpec],
) -> Found:
    """Find who lives, and end those that shall be ended.

    Args:
        file: the state file, held.
        config: the file with the configuration.
        specs: what shall run now, by name.
        policy: of a watcher.
        sockets: of the configuration now.
    """
    told = living(file, config)
    found = Found()
    if told is None:
        return found
    found.boot = told.notes.head.boot
    pidfds = {survivor.worker.pid: pidfd for survivor, pidfd in told.workers}
    pipes: dict[int, dict[str, int]] = {}
    try:
        wished = [each for each in told.workers if _is_wished(each[0], specs, policy)]
        inodes = {name: line.inode for name, line in told.notes.sockets.items()}
        lost = take_back(found, wished, sockets, inodes) if wished else {}
        found.regained = len(found.sockets)
        candidates = []
        for survivor, _ in told.workers:
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
        found.spared = [each.survivor for each in verdicts if each.fate == "leave" and each.survivor.noted]
        found.inodes = inodes
        there = holders([(each, pidfds[each.worker.pid]) for each in found.spared], sockets, inodes)
        found.in_the_way = {name: _claim_of(who) for name, who in there.items()}
        rest = _rest(told.remains, specs, policy)
        await asyncio.gather(*(end(verdict, pidfd) for verdict, pidfd in doomed), *rest)
    except BaseException:
        found.close()
        raise
    finally:
        for fd in (*pidfds.values(), *(fd for opened in pipes.values() for fd in opened.values())):
            os.close(fd)
    return found


async def end_after_all(taken: Taken) -> None:
    """End one that was to be taken over, and could not be."""
    recipe = taken.survivor.recipe
    verdict = Verdict(
        survivor=taken.survivor,
        fate="end",
        stop_signal=recipe.stop_signal,
        graceful_timeout=recipe.graceful_timeout,
        scope=scope_of(recipe),
    )
    try:
        await end(verdict, taken.pidfd)
    finally:
        for fd in (taken.pidfd, *taken.pipes.values()):
            os.close(fd)


def _rest(
    remains: Iterable[Remains], specs: Mapping[str, WatcherSpec], policy: Callable[[WatcherSpec], Orphans]
) -> list[Coroutine[Any, Any, None]]:
    """Ends what its circusd was about to end when it was killed: of a tree nothing outlives the worker."""
    work = []
    for each in remains:
        recipe, spec = each.recipe, specs.get(each.recipe.watcher)
        if (scope_of(recipe) if spec is None else spec.scope) != "tree" or (spec and policy(spec) == "ignore"):
            continue
        logger.info("orphans: what is left of a process of '%s' is to be ended", recipe.watcher)
        told = (
            (recipe.stop_signal, recipe.graceful_timeout) if spec is None else (spec.stop_signal, spec.graceful_timeout)
        )
        work.append(end_rest(recipe, each.mark, stop_signal=told[0], grace=told[1]))
    return work


def _is_wished(survivor: Survivor, specs: Mapping[str, WatcherSpec], policy: Callable[[WatcherSpec], Orphans]) -> bool:
    """Whether it would be taken over if it can be."""
    spec = specs.get(survivor.recipe.watcher)
    return spec is not None and survivor.noted and policy(spec) == "adopt"


def _claim_of(holders: Iterable[Survivor]) -> str:
    """Who holds an address, and what would be done about it."""
    pids: dict[str, list[int]] = {}
    policies = set()
    for each in holders:
        pids.setdefault(each.recipe.watcher, []).append(each.worker.pid)
        policies.add(each.recipe.policy)
    whose = ", ".join(f"'{watcher}' (pid {_some(of_it)})" for watcher, of_it in pids.items())
    taken = "orphans = adopt takes them over, " if policies == {"adopt"} else ""
    return f"workers that an earlier circusd left have it: {whose}; {taken}orphans = kill ends them"


def _some(pids: Sequence[int]) -> str:
    return ", ".join(map(str, pids[:10])) + (", ..." if len(pids) > 10 else "")


def _tell(verdicts: Iterable[Verdict]) -> None:
    """One line for all processes of a watcher that share a fate and its reason."""
    alike: dict[tuple[str, str, str | None], list[int]] = {}
    for verdict in verdicts:
        key = (verdict.survivor.recipe.watcher, verdict.fate, verdict.why)
        alike.setdefault(key, []).append(verdict.survivor.worker.pid)
    for (watcher, fate, why), pids in alike.items():
        reason = f" ({why})" if why else ""
        level = logging.WARNING if why else logging.INFO
        logger.log(level, "orphans: %s of '%s' %s%s: pid %s", len(pids), watcher, _WORDS[fate], reason, _some(pids))


_WORDS: Final = {"leave": "left alone", "end": "to be ended", "take": "taken over"}
