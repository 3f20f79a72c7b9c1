"""Which watchers a name means to start, stop and restart.

Invariant: a pattern that matches nothing is an error, never "all".
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from circus.commands.base import Option
from circus.exc import CircusError, MessageError

if TYPE_CHECKING:
    from circus.ports import ArbiterLike, WatcherLike

_LONGEST = 1000
_SECONDS = 0.5
"""Of CPU time: nothing else is done while a regular expression is tried, and some take for ever."""

MATCH_OPTION: Option = ("match", "match", "glob", "how NAME is read: simple, glob or regex")


def selected(arbiter: ArbiterLike, props: dict[str, Any]) -> list[WatcherLike]:
    """The watchers that `name` and `match` mean; names are compared without case, a regex from the beginning."""
    name, method = props["name"], props.get("match") or "glob"
    if not isinstance(name, str):
        raise MessageError("message invalid 'name' isn't a string")
    check_length("name", name)
    watchers = list(arbiter.iter_watchers())
    match method:
        case "simple":
            found = [watcher for watcher in watchers if watcher.name.lower() == name.lower()]
        case "glob":
            found = [watcher for watcher in watchers if fnmatchcase(watcher.name.lower(), name.lower())]
        case "regex":
            found = _matching(name, watchers)
        case _:
            raise MessageError(f"unknown match method {method}")
    if not found:
        raise MessageError(f"program {name} not found")
    return found


def check_length(key: str, pattern: str) -> None:
    """MessageError for a pattern so long that to read it would hold everything up."""
    if len(pattern) > _LONGEST:
        raise MessageError(f"{key!r} is longer than {_LONGEST} characters")


def _matching(name: str, watchers: list[WatcherLike]) -> list[WatcherLike]:
    from circus.runtime.allotment import within

    def match() -> list[WatcherLike]:
        pattern = re.compile(name, re.IGNORECASE)
        return [watcher for watcher in watchers if pattern.match(watcher.name)]

    try:
        return within(_SECONDS, match)
    except (re.error, RecursionError, OverflowError) as error:
        raise CircusError(f"{name!r} is not a regular expression: {error}") from None
    except TimeoutError as error:
        raise CircusError(f"{name!r} is no regular expression that can be used: {error}") from None
