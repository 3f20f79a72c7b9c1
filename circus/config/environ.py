"""The environment that a configuration gives: `[env]`, `[env:PATTERNS]`, and `$NAME` in their values.

Owns which watcher gets which variable. What circusd inherited is never rewritten: `$NAME` is looked up in it, and a
watcher with copy_env gets it merged, untouched, when a process starts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from circus.config.ini import Document
from circus.config.interpolate import Variables, expand

_SHELL = re.compile(r"\$([A-Z][A-Z0-9_]*)")


class Environment:
    """All environment sections of a document over what circusd inherited.

    `written` is [env] as the variables `$(circus.env.NAME)` see it; `shared` is [env] as the processes get it.
    """

    def __init__(self, document: Document, inherited: Mapping[str, str]) -> None:
        self._inherited = inherited
        outer = Variables(inherited, prefix="env.")
        self.written: dict[str, str] = {}
        if "env" in document.sections:
            self.written = {name: expand(entry.value, outer) for name, entry in document.entries("env").items()}
        self.shared = self._finished(self.written)
        self.variables = Variables({**inherited, **self.written}, prefix="env.")
        self._patterns: list[tuple[list[str], dict[str, str]]] = []
        for title in document.titles():
            if title.startswith("env:"):
                patterns = [pattern.strip() for pattern in title.removeprefix("env:").split(",")]
                values = {name: entry.value for name, entry in document.entries(title).items()}
                self._patterns.append((patterns, values))

    def of(self, watcher: str) -> dict[str, str]:
        """The environment of a watcher, as far as the configuration gives it."""
        own = self._own(watcher)
        return {**self.shared, **self._finished(own)} if own else dict(self.shared)

    def variables_of(self, watcher: str) -> Variables:
        """The variables for the texts of a watcher: inherited, then [env], then what its own sections say."""
        own = self._own(watcher)
        if not own:
            return self.variables
        return Variables({**self._inherited, **self.written, **own}, prefix="env.")

    def _own(self, watcher: str) -> dict[str, str]:
        own: dict[str, str] = {}
        for patterns, values in self._patterns:
            if any(fnmatchcase(watcher, pattern) for pattern in patterns):
                own.update(values)
        return own

    def _finished(self, values: Mapping[str, str]) -> dict[str, str]:
        return {name: _SHELL.sub(self._lookup, value).strip() for name, value in values.items()}

    def _lookup(self, found: re.Match[str]) -> str:
        return self._inherited.get(found[1], "")
