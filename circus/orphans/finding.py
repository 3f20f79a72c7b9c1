"""Who of those that a killed circusd noted lives: proven one by one, with a handle on each.

Invariant: whatever is in the file, a process comes out of here only if it was started at the very tick that was noted
for its pid, in this boot, or carries the mark of that circusd.
"""

from __future__ import annotations

import logging
import os

from circus.core import statefile as notes
from circus.core.survivors import Survivor
from circus.orphans.claiming import is_of_here
from circus.runtime import identity, tree
from circus.runtime.kin import MARK, mark_of
from circus.runtime.statefile import StateFile

logger = logging.getLogger("circus")


def survivors(file: StateFile) -> tuple[notes.Notes | None, list[tuple[Survivor, int]]]:
    """Who of those in a file lives, each with a pidfd; None where the file tells nothing."""
    if not file.found:
        return None, []
    try:
        found = notes.read(file.found)
    except notes.Unreadable as error:
        _put_aside(file, str(error))
        return None, []
    if not is_of_here(found.head):
        return None, []  # no process of another boot, or of another container, is among ours
    if found.unread:
        logger.warning("orphans: %s lines of the state file %s make no sense", found.unread, file.path)
    living: list[tuple[Survivor, int]] = []
    marks = set()
    for (pid, _), worker in found.workers.items():
        recipe = found.recipes[worker.recipe]
        mark = mark_of(worker.boot or found.head.boot, recipe.watcher, worker.wid, worker.generation)
        marks.add(mark)
        pidfd = identity.handle(pid, worker.first, worker.last)
        if pidfd is not None:
            living.append((Survivor(worker=worker, recipe=recipe, mark=mark), pidfd))
    return found, living + _not_noted(found, marks)


def _put_aside(file: StateFile, why: str) -> None:
    try:
        kept = f"it is kept as {file.put_aside()}"
    except OSError as error:
        kept = f"it could not be kept: {error.strerror}"
    logger.error(
        "orphans: the state file %s cannot be read: %s; nothing is done about workers that it may name, and %s",
        file.path,
        why,
        kept,
    )


def _not_noted(found: notes.Notes, known: set[str]) -> list[tuple[Survivor, int]]:
    """Those that circusd had started, and had not the time or the room to note: their environment says whose they are.

    What only descends from a worker says the same, but then the worker itself was noted, now or before the file was
    written anew; or it leads no session of its own.
    """
    recipes = {recipe.watcher: recipe for _, recipe in sorted(found.recipes.items())}
    begin = f"{found.head.boot}:"
    missed: list[tuple[Survivor, int]] = []
    for value, pids in tree.with_environment(MARK.encode()).items():
        mark = value.decode(errors="surrogateescape")
        name, _, numbers = mark.removeprefix(begin).rpartition(":")
        name, _, wid = name.rpartition(":")
        if not mark.startswith(begin) or mark in known or name not in recipes or not (wid + numbers).isdecimal():
            continue
        if int(numbers) <= found.generations.get(name, 0):
            continue
        leaders = [(facts.started, pid) for pid in pids if (facts := tree.facts(pid)) and facts.session == pid]
        for start, pid in sorted(leaders)[:1]:
            pidfd = identity.handle(pid, int(start), int(start))
            if pidfd is not None and tree.has_in_environment(pid, f"{MARK}=".encode() + value):
                recipe = recipes[name]
                worker = notes.Worker(
                    recipe=recipe.id,
                    wid=int(wid),
                    generation=int(numbers),
                    pid=pid,
                    first=int(start),
                    last=int(start),
                    time=0.0,
                )
                missed.append((Survivor(worker=worker, recipe=recipe, mark=mark, noted=False), pidfd))
            elif pidfd is not None:
                os.close(pidfd)
    return missed
