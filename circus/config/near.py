"""Words for options that are not there: misspelt, in the wrong section, of an older release, or of another program.

Owns the tables of old names. Invariant: an option that resembles nothing is left in peace, as free-form ones are
meant to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from circus.spec import near
from circus.spec.fields import CIRCUS, SOCKET, STREAM
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
    if name in near.FOREIGN:
        return f"has no effect; Circus calls it {near.FOREIGN[name]}"
    meant = near.watcher_option(name)
    return f"is kept as a free-form option; did you mean {meant}?" if meant else None


@cache
def hook_word(name: str) -> str | None:
    """What to say about a hook; None where it is one that is called."""
    if name in HOOK_NAMES:
        return None
    meant = near.hook(name)
    return near.told("no hook of that name is ever called", meant and f"hooks.{meant}")


@cache
def stream_word(name: str, known: frozenset[str]) -> str | None:
    """What to say about an option that a built-in stream does not take."""
    if name in OLD_STREAM:
        return OLD_STREAM[name]
    if name in STREAM:
        return "this class of stream takes no such option; it has no effect"
    return near.told("has no effect", near.nearest(name, sorted(known)))


@cache
def section_word(title: str) -> str | None:
    """What to say about a section that nothing reads; None where it resembles none that is read."""
    kind, colon, name = title.partition(":")
    if kind == "show" and colon:
        return f"is not read; since circus 0.4 it is written [watcher:{name}]"
    if title.lower() == "circus":
        return "is not read; it is written [circus]"
    meant = near.nearest(kind.split()[0] if kind.split() else kind, SECTION_KINDS)
    if meant is not None:
        rest = name if colon else " ".join(kind.split()[1:]) or "NAME"
        return f"is not read; did you mean [{meant}:{rest.strip()}]?"
    return "is not read; did you mean [circus]?" if near.nearest(kind, ("circus", "circusd")) else None


def _unknown(name: str, known: tuple[str, ...], where: str) -> str:
    meant = near.nearest(name, known)
    return f"unknown in {where}; did you mean {meant}?" if meant else f"unknown in {where}; it has no effect"
