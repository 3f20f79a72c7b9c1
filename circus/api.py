"""Embedding: an arbiter from dicts, without an ini file.

`get_arbiter` takes what 0.19's takes for watchers and endpoints; the arbiter then runs in the caller's loop.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from circus.arbiter import Arbiter
from circus.exc import ConfigError, Mistake
from circus.spec.arbiter import (
    DEFAULT_ENDPOINT,
    DEFAULT_PUBSUB_ENDPOINT,
    DEFAULT_STATS_ENDPOINT,
    ArbiterSpec,
)
from circus.spec.watcher import HookSpec, WatcherSpec

_FIELDS = {field.name for field in dataclasses.fields(WatcherSpec)}


def get_arbiter(
    watchers: Sequence[Mapping[str, Any]],
    controller: str | None = None,
    pubsub_endpoint: str | None = None,
    stats_endpoint: str | None = None,
    check_delay: float = 1.0,
) -> Arbiter:
    """An arbiter that is to be run with `await arbiter.run()`.

    Args:
        watchers: dicts of watcher options; each needs `cmd`, `name` defaults to the program's name.
        controller: the control endpoint.
        pubsub_endpoint: the events endpoint.
        stats_endpoint: the stats endpoint.
        check_delay: seconds between two safety sweeps.

    Raises:
        ConfigError: a watcher without `cmd`, or with an option that there is none of.
    """
    given = {"endpoint": controller, "pubsub_endpoint": pubsub_endpoint, "stats_endpoint": stats_endpoint}
    return Arbiter(
        ArbiterSpec(
            endpoint=controller or DEFAULT_ENDPOINT,
            pubsub_endpoint=pubsub_endpoint or DEFAULT_PUBSUB_ENDPOINT,
            stats_endpoint=stats_endpoint or DEFAULT_STATS_ENDPOINT,
            asked=frozenset(name for name, value in given.items() if value),
            check_delay=check_delay,
            watchers=tuple(_watcher(options) for options in watchers),
        )
    )


def _watcher(options: Mapping[str, Any]) -> WatcherSpec:
    values = dict(options)
    if not values.get("cmd"):
        raise ConfigError([Mistake(None, None, values.get("name"), "cmd", None, "a watcher needs a command")])
    values.setdefault("name", os.path.basename(str(values["cmd"]).split()[0]))
    unknown = sorted(set(values) - _FIELDS)
    if unknown:
        raise ConfigError(
            [Mistake(None, None, values["name"], name, None, "there is no such option") for name in unknown]
        )
    hooks = {
        name: hook if isinstance(hook, HookSpec) else HookSpec(target=hook)
        for name, hook in values.get("hooks", {}).items()
    }
    if hooks:
        values["hooks"] = hooks
    return WatcherSpec(**values)
