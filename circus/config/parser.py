"""The parsers of circus 0.19 for programs that read ini files with them: Python's own, with the grammar of `ini`.

Invariant: a file means here what it means to circusd.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from configparser import DEFAULTSECT, MissingSectionHeaderError, ParsingError, RawConfigParser
from typing import Any

from circus.config import includes, ini
from circus.config.interpolate import Variables, expand
from circus.exc import ConfigError
from circus.spec.scalars import to_bool


class StrictConfigParser(RawConfigParser):
    """A parser in which names have cases, and the first definition of an option wins."""

    def optionxform(self, optionstr: str) -> str:
        """Leave the name of an option as it is."""
        return optionstr

    def _read(self, fp: Iterable[str], fpname: str) -> None:
        document = ini.parse("".join(fp).encode(), fpname)
        if document.mistakes:
            _raise(document, fpname)
        self._take(document)

    def _take(self, document: ini.Document) -> None:
        for title, section in document.sections.items():
            if title != DEFAULTSECT and not self.has_section(title):
                self.add_section(title)
            known = self._defaults if title == DEFAULTSECT else self._sections[title]  # type: ignore[attr-defined]  # of the base
            for name, entry in section.entries.items():
                known.setdefault(name, entry.value)


class DefaultConfigParser(StrictConfigParser):
    """The same, with `$(circus.env.NAME)` in values replaced from an environment."""

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self._env: dict[str, str] = dict(os.environ)

    def set_env(self, env: Mapping[str, str]) -> None:
        """Replace from these variables."""
        self._env = dict(env)

    def get(self, section: str, option: str, **kwargs: Any) -> Any:  # type: ignore[override]  # of 0.19
        """The value of an option."""
        return self._expanded(super().get(section, option, **kwargs))

    def items(self, section: str, noreplace: bool = False) -> Any:  # type: ignore[override]  # of 0.19
        """Name and value of each option of a section."""
        found = super().items(section, raw=True)
        return found if noreplace else [(name, self._expanded(value)) for name, value in found]

    def dget(self, section: str, option: str, default: Any = None, type: type = str) -> Any:  # noqa: A002 - 0.19's name
        """The value of an option as a str, int, float or bool."""
        if not self.has_option(section, option):
            return default
        if type not in (str, int, float, bool):
            raise NotImplementedError(type)
        value = self.get(section, option)
        return to_bool(value) if type is bool else type(value)

    def _expanded(self, value: Any) -> Any:
        return expand(value, Variables(self._env, prefix="env.")) if isinstance(value, str) else value


def read_config(config_path: str) -> tuple[DefaultConfigParser, list[str]]:
    """Read a configuration and what it includes: the parser, and the files that were read.

    Raises:
        ConfigError: a file cannot be read or parsed.
    """
    source = includes.read(os.fspath(config_path), Variables(os.environ, prefix="env."))
    if source.document.mistakes:
        raise ConfigError(source.document.mistakes)
    parser = DefaultConfigParser()
    parser._take(source.document)  # noqa: SLF001 - its base class is ours
    files = {section.file for section in source.document.sections.values()}
    return parser, [os.fspath(config_path), *sorted(files - {os.fspath(config_path)})]


def _raise(document: ini.Document, fpname: str) -> None:
    first = document.mistakes[0]
    if not document.sections:
        raise MissingSectionHeaderError(fpname, first.line or 0, first.value or "")
    error = ParsingError(fpname)
    for mistake in document.mistakes:
        error.append(mistake.line or 0, repr(mistake.value or mistake.expected))
    raise error
