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
_MAGIC = re.compile(r"[*?\[]")


class Environment:
    """All environment sections of a document over what circusd inherited.

    `written` is [env] as the variables `$(circus.env.NAME)` see it; `shared` is [env] as the processes get it.
    """

    def __init__(self, document: Document, inherited: Mapping[str, str]) -> None:
        self._inherited = dict(inherited)  # os.environ decodes at each look
        outer = Variables(inherited, prefix="env.")
        self.written: dict[str, str] = {}
        if "env" in document.sections:
            self.written = {name: expand(entry.value, outer) for name, entry in document.entries("env").items()}
        self.shared = self._finished(self.written)
        self.variables = Variables({**inherited, **self.written}, prefix="env.")
        self._values: list[dict[str, str]] = []
        self._named: dict[str, list[int]] = {}
        self._patterns: list[tuple[int, str]] = []
        for title in document.titles():
            if title.startswith("env:"):
                number = len(self._values)
                self._values.append({name: entry.value for name, entry in document.entries(title).items()})
                # With thousands of watchers, and a section for each, only what is a pattern can be tried on all.
                for pattern in map(str.strip, title.removeprefix("env:").split(",")):
                    if _MAGIC.search(pattern):
                        self._patterns.append((number, pattern))
                    else:
                        self._named.setdefault(pattern, []).append(number)

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
        numbers = {number for number, pattern in self._patterns if fnmatchcase(watcher, pattern)}
        own: dict[str, str] = {}
        for number in sorted(numbers.union(self._named.get(watcher, ()))):
            own.update(self._values[number])
        return own

    def _finished(self, values: Mapping[str, str]) -> dict[str, str]:
        return {name: _SHELL.sub(self._lookup, value).strip() for name, value in values.items()}

    def _lookup(self, found: re.Match[str]) -> str:
        return self._inherited.get(found[1], "")
