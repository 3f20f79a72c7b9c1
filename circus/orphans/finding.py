"""Who of those that a killed circusd noted lives: proven one by one, with a handle on each.

Invariant: whatever is in the file, a process comes out of here only if it was started at the very tick that was noted
for its pid, in this boot, or carries the mark of that circusd.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from circus.core import statefile as notes
from circus.core.survivors import Survivor
from circus.orphans.claiming import is_of_here
from circus.runtime import identity, tree
from circus.runtime.kin import MARK, mark_of
from circus.runtime.statefile import StateFile

logger = logging.getLogger("circus")


@dataclass(frozen=True, slots=True)
class Remains:
    """What belonged to a worker that has ended, by its mark."""

    mark: str
    recipe: notes.Recipe


@dataclass(slots=True)
class Living:
    """Who lives: workers, each with a pidfd, and what is left of others."""

    notes: notes.Notes
    workers: list[tuple[Survivor, int]]
    remains: list[Remains]


def living(file: StateFile, config: str) -> Living | None:
    """Who of those in a file lives; None where the file tells nothing of a circusd with that configuration."""
    if not file.found:
        return None
    try:
        found = notes.read(file.found)
    except notes.Unreadable as error:
        _put_aside(file, str(error))
        return None
    if not is_of_here(found.head):
        return None  # no process of another boot, or of another container, is among ours
    if found.head.config != config:
        _put_aside(file, f"it is of the configuration {found.head.config}")
        return None
    if found.unread:
        logger.warning("orphans: %s lines of the state file %s make no sense", found.unread, file.path)
    workers: list[tuple[Survivor, int]] = []
    for (pid, _), worker in found.workers.items():
        recipe = found.recipes[worker.recipe]
        proven = identity.handle(pid, worker.first, worker.last)
        if proven is not None:
            pidfd, start = proven
            exactly = replace(worker, first=start, last=start)
            workers.append((Survivor(worker=exactly, recipe=recipe, mark=_mark_of(found, worker)), pidfd))
    remains = _marked(found, workers)
    return Living(found, workers, remains)


def _put_aside(file: StateFile, why: str) -> None:
    try:
        kept = f"it is kept as {file.put_aside()}"
    except OSError as error:
        kept = f"it could not be kept: {error.strerror}"
    logger.error(
        "orphans: the state file %s is not acted upon: %s; nothing is done about workers that it may name, and %s",
        file.path,
        why,
        kept,
    )


def _marked(found: notes.Notes, workers: list[tuple[Survivor, int]]) -> list[Remains]:
    """Whose environment says that they belong to that circusd, beside those who were noted and live, which have theirs.

    A worker that it had not the time or the room to note is added to the others: it leads a session, and was started
    after all that were noted, as a later generation. What is left are remains of workers that have ended.
    """
    recipes = {recipe.watcher: recipe for _, recipe in sorted(found.recipes.items())}
    lively = {survivor.mark for survivor, _ in workers}
    noted = {_mark_of(found, worker) for worker in found.workers.values()}
    boots = {found.head.boot, *(worker.boot for worker in found.workers.values() if worker.boot is not None)}
    remains: list[Remains] = []
    for value, pids in tree.with_environment(MARK.encode()).items():
        mark = value.decode(errors="surrogateescape")
        boot, _, rest = mark.partition(":")
        name, _, generation = rest.rpartition(":")
        name, _, wid = name.rpartition(":")
        if (
            boot not in boots
            or mark in lively | found.gone
            or name not in recipes
            or not (wid.isdecimal() and generation.isdecimal())
        ):
            continue
        leader = None
        if boot == found.head.boot and mark not in noted and int(generation) > found.generations.get(name, 0):
            leader = _leader(pids, f"{MARK}=".encode() + value, found.latest)
        if leader is None:
            remains.append(Remains(mark, recipes[name]))
            continue
        pid, pidfd, start = leader
        worker = notes.Worker(
            recipe=recipes[name].id,
            wid=int(wid),
            generation=int(generation),
            pid=pid,
            first=start,
            last=start,
            time=0.0,
        )
        workers.append((Survivor(worker=worker, recipe=recipes[name], mark=mark, noted=False), pidfd))
    return remains


def _mark_of(found: notes.Notes, worker: notes.Worker) -> str:
    watcher = found.recipes[worker.recipe].watcher
    return mark_of(worker.boot or found.head.boot, watcher, worker.wid, worker.generation)


def _leader(pids: Iterable[int], entry: bytes, since: int) -> tuple[int, int, int] | None:
    """(pid, pidfd, tick of its start) of the first that leads a session since then; None when none does."""
    for start, pid in sorted(
        (int(found.started), pid) for pid in pids if (found := tree.facts(pid)) and found.session == pid
    ):
        proven = identity.handle(pid, start, start) if start >= since else None
        if proven is None:
            continue
        if tree.has_in_environment(pid, entry):
            return pid, *proven
        os.close(proven[0])
    return None
