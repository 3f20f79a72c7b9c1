"""Which option was meant by a name that is none: misspelt, or what another supervisor calls it.

Owns the comparison and the names of others; refuses to know what is to be said of it. Invariant: a name that resembles
nothing means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from circus.spec.fields import FAMILIES, WATCHER
from circus.spec.watcher import HOOK_NAMES

# What supervisor and others call what Circus has too.
FOREIGN: Mapping[str, str] = MappingProxyType({
    "autorestart": "respawn",
    "command": "cmd",
    "directory": "working_dir",
    "cwd": "working_dir",
    "user": "uid",
    "group": "gid",
    "numprocs": "numprocesses",
    "processes": "numprocesses",
    "startsecs": "stable_after",
    "startretries": "max_retry",
    "stopsignal": "stop_signal",
    "stopwaitsecs": "graceful_timeout",
    "stopasgroup": "kill_scope = group",
    "killasgroup": "kill_scope = group",
    "stdout_logfile": "stdout_stream.filename",
    "stderr_logfile": "stderr_stream.filename",
})  # fmt: skip


def watcher_option(name: str) -> str | None:
    """The option of a watcher that a misspelt one resembles."""
    beginning, dot, end = name.partition(".")
    if dot:
        families = [family.prefix.removesuffix(".") for family in FAMILIES if family.prefix.endswith(".")]
        meant = nearest(beginning, families)
        return f"{meant}.{end}" if meant else None
    folded = name.lower()
    if folded.startswith(("rlimit", "ulimit")) and len(folded) > len("rlimit"):
        return f"rlimit_{folded[6:].lstrip('s_-')}"
    return nearest(name, tuple(WATCHER))


def hook(name: str) -> str | None:
    """The hook that a misspelt one, without `hooks.`, resembles."""
    return nearest(name, HOOK_NAMES)


def unknown_key(name: str) -> str:
    """The sentence about an option of a request that no watcher has."""
    if name.startswith("hooks."):
        meant = hook(name.removeprefix("hooks."))
        return told(f"unknown key {name!r}", meant and f"hooks.{meant}")
    return told(f"unknown key {name!r}", FOREIGN.get(name) or watcher_option(name))


def told(sentence: str, meant: str | None) -> str:
    """A sentence about a name, with what was perhaps meant by it."""
    return f"{sentence}; did you mean {meant}?" if meant else sentence


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The one of the known names that resembles it most, if any does."""
    if len(name) > 40:
        return None  # no option is nearly that long, and comparing costs the square
    try:
        from difflib import get_close_matches  # only an odd name pays for this
    except (ImportError, OSError):
        return None  # no descriptor is left to read it by

    folded = name.lower().replace("-", "_").replace(" ", "_")
    return next(iter(get_close_matches(folded, known, n=1, cutoff=0.8)), None)
