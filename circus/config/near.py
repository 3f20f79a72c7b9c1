"""Words for options that are not there: misspelt, in the wrong section, of an older release, or of another program.

Owns the tables of old and foreign names. Invariant: an option that resembles nothing is left in peace, as free-form
options are meant to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from circus.spec.fields import CIRCUS, FAMILIES, SOCKET, STREAM, WATCHER
from circus.spec.watcher import HOOK_NAMES
from circus.spec.web import MODULE

SECTION_KINDS = ("watcher", "socket", "plugin", "env", "exporter", "alert", "notify", "access")

_PAPA = "papa was removed in circus 0.18; this has no effect, circusd itself keeps what is in [socket:NAME]"
_CIRCUSWEB = "the web console is the separate package circusweb, which is not installed; this has no effect"
_FROM_ARBITER = "is read from Python only, never from a file; this has no effect"
_FLAPPING = "has no effect; the plugin flapping takes it as flapping.{}"

OLD_CIRCUS: Mapping[str, str] = MappingProxyType({
    "use_papa": _PAPA,
    "papa_endpoint": _PAPA,
    "stream_backend": "gevent and thread back ends are gone; streams need no choice, and this has no effect",
    "ssh_server": _FROM_ARBITER,
    "prereload_fn": _FROM_ARBITER,
    "proc_name": _FROM_ARBITER,
    "statsd_close_outputs": _FROM_ARBITER,
    "httpd_close_outputs": _FROM_ARBITER,
})  # fmt: skip

OLD_WATCHER: Mapping[str, str] = MappingProxyType({
    "use_papa": _PAPA,
    "check_flapping": "has no effect; use the plugin flapping",
    "retry_in": _FLAPPING.format("retry_in"),
    "env": "is not read from a watcher section; write an [env:NAME] section",
})  # fmt: skip

OLD_STREAM: Mapping[str, str] = MappingProxyType({
    "refresh_time": "has no effect; output is written as it comes",
})  # fmt: skip

# What supervisor and others call what Circus has too.
_FOREIGN: Mapping[str, str] = MappingProxyType({
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


def httpd_word() -> str | None:
    """What to say about `httpd`, or None where the package that it needs is there."""
    from importlib.util import find_spec

    return None if find_spec(MODULE) is not None else _CIRCUSWEB


@cache
def circus_word(name: str) -> str:
    """What to say about an unknown option of [circus]."""
    if name in OLD_CIRCUS:
        return OLD_CIRCUS[name]
    if name.startswith("papa_"):
        return _PAPA
    return _unknown(name, tuple(CIRCUS), "[circus]")


@cache
def socket_word(name: str) -> str:
    """What to say about an unknown option of a socket."""
    return _PAPA if name == "use_papa" else _unknown(name, tuple(SOCKET), "a socket")


@cache
def watcher_word(name: str) -> str | None:
    """What to say about a free-form option of a watcher; None where it resembles nothing."""
    if name in OLD_WATCHER:
        return OLD_WATCHER[name]
    if name in CIRCUS:
        return "belongs in [circus]; here it has no effect"
    if name in _FOREIGN:
        return f"has no effect; Circus calls it {_FOREIGN[name]}"
    beginning, dot, end = name.partition(".")
    if dot:
        families = [family.prefix.removesuffix(".") for family in FAMILIES if family.prefix.endswith(".")]
        meant = _nearest(beginning, families)
        return f"is kept as a free-form option; did you mean {meant}.{end}?" if meant else None
    folded = name.lower()
    if folded.startswith(("rlimit", "ulimit")) and len(folded) > len("rlimit"):
        return f"is kept as a free-form option; did you mean rlimit_{folded[6:].lstrip('s_-')}?"
    meant = _nearest(name, tuple(WATCHER))
    return f"is kept as a free-form option; did you mean {meant}?" if meant else None


@cache
def hook_word(name: str) -> str | None:
    """What to say about a hook; None where it is one that is called."""
    if name in HOOK_NAMES:
        return None
    meant = _nearest(name, HOOK_NAMES)
    return f"no hook of that name is ever called; did you mean hooks.{meant}?" if meant else "no hook of that name is ever called"  # fmt: skip


@cache
def stream_word(name: str, known: frozenset[str]) -> str | None:
    """What to say about an option that a built-in stream does not take."""
    if name in OLD_STREAM:
        return OLD_STREAM[name]
    if name in STREAM:
        return "this class of stream takes no such option; it has no effect"
    meant = _nearest(name, sorted(known))
    return f"has no effect; did you mean {meant}?" if meant else "has no effect"


@cache
def section_word(title: str) -> str | None:
    """What to say about a section that nothing reads; None where it resembles none that is read."""
    kind, colon, name = title.partition(":")
    if kind == "show" and colon:
        return f"is not read; since circus 0.4 it is written [watcher:{name}]"
    if title.lower() == "circus":
        return "is not read; it is written [circus]"
    meant = _nearest(kind.split()[0] if kind.split() else kind, SECTION_KINDS)
    if meant is not None:
        rest = name if colon else " ".join(kind.split()[1:]) or "NAME"
        return f"is not read; did you mean [{meant}:{rest.strip()}]?"
    return "is not read; did you mean [circus]?" if _nearest(kind, ("circus", "circusd")) else None


def _unknown(name: str, known: tuple[str, ...], where: str) -> str:
    meant = _nearest(name, known)
    return f"unknown in {where}; did you mean {meant}?" if meant else f"unknown in {where}; it has no effect"


def _nearest(name: str, known: tuple[str, ...] | list[str]) -> str | None:
    if len(name) > 40:
        return None  # no option is nearly that long, and comparing costs the square
    # Only an odd name pays for this import.
    from difflib import get_close_matches

    folded = name.lower().replace("-", "_").replace(" ", "_")
    return next(iter(get_close_matches(folded, known, n=1, cutoff=0.8)), None)
