"""What becomes of workers that outlived their circusd: left alone, ended, or taken over. Decided for each, with a reason.

Knows the notes of the one before, what runs now, and what could be had of it; touches nothing. Invariants: a worker is
taken over only where nothing of it is missing; of two in one slot one is taken over; what is not taken over and not left
alone is ended.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Literal

import msgspec

from circus.core.statefile import Recipe, Worker, changed
from circus.spec.watcher import KillScope, Orphans, WatcherSpec

Fate = Literal["leave", "end", "take"]


class Survivor(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that is proven to live. `mark` is what its environment says it is; `noted`: there was time to note it;
    `broken` says why its output cannot be read on.
    """

    worker: Worker
    recipe: Recipe
    mark: str
    noted: bool = True
    broken: str | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one, and why it is not what was asked for. How it is ended is as the watcher says now, or as it
    said then where there is none any more. `outdated` are the options that only another process would get.
    """

    survivor: Survivor
    fate: Fate
    why: str | None = None
    stop_signal: int = 15
    graceful_timeout: float = 30.0
    scope: KillScope = "main"
    outdated: tuple[str, ...] = ()


def judge(
    survivors: Iterable[Survivor],
    *,
    specs: Mapping[str, WatcherSpec],
    policy: Callable[[WatcherSpec], Orphans],
    making: Callable[[WatcherSpec, str], Mapping[str, str]],
    lost_sockets: Mapping[str, str],
) -> list[Verdict]:
    """Decide.

    Args:
        survivors: who lives.
        specs: what shall run now, by name.
        policy: of a watcher now.
        making: digests of what only a new process gets now, with a salt.
        lost_sockets: those that could not be taken back, and why.
    """
    found = list(survivors)
    newest = _newest(found)
    verdicts = []
    for survivor in found:
        recipe, spec = survivor.recipe, specs.get(survivor.recipe.watcher)
        wanted = recipe.policy if spec is None else policy(spec)
        why: str | None = None
        outdated: tuple[str, ...] = ()
        if wanted == "adopt":
            why = _missing(survivor, spec, lost_sockets, newest)
            wanted = "kill" if why else "adopt"
            if spec is not None:
                outdated = changed(recipe.options, making(spec, recipe.salt))
        elif wanted != "ignore" and spec is None:
            why = _NO_WATCHER
        verdicts.append(
            Verdict(
                survivor=survivor,
                fate=_FATES[wanted],
                why=why,
                stop_signal=recipe.stop_signal if spec is None else spec.stop_signal,
                graceful_timeout=recipe.graceful_timeout if spec is None else spec.graceful_timeout,
                scope=scope_of(recipe) if spec is None else spec.scope,
                outdated=outdated,
            )
        )
    return verdicts


_FATES: Mapping[str, Fate] = {"ignore": "leave", "kill": "end", "adopt": "take"}
_NO_WATCHER = "there is no such watcher any more"


def _missing(
    survivor: Survivor,
    spec: WatcherSpec | None,
    lost_sockets: Mapping[str, str],
    newest: Collection[Survivor],
) -> str | None:
    """Why a worker cannot be taken over."""
    if spec is None:
        return _NO_WATCHER
    if not survivor.noted:
        return "it was not noted"
    if survivor.recipe.role != "worker":
        return "it was no worker"
    for name in survivor.recipe.sockets:
        if name in lost_sockets:
            return f"socket {name!r} {lost_sockets[name]}"
    if survivor.broken is not None:
        return survivor.broken
    return None if survivor in newest else "another one has its place"


def _newest(survivors: Iterable[Survivor]) -> list[Survivor]:
    """The one with the latest start in each slot."""
    slots: dict[tuple[str, int], Survivor] = {}
    for each in survivors:
        key = (each.recipe.watcher, each.worker.wid)
        if key not in slots or slots[key].worker.first < each.worker.first:
            slots[key] = each
    return list(slots.values())


def scope_of(recipe: Recipe) -> KillScope:
    """What a stop of a worker reached when it was made."""
    return "tree" if recipe.scope == "tree" else "group" if recipe.scope == "group" else "main"
