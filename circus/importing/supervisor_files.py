"""The files of a supervisor configuration, read as supervisor reads them: sections of options that know their line.

Owns the grammar (that of Python's configparser, with `;` and `#` after a blank beginning a comment), [include],
`%(here)s`, and that the last definition wins. Knows no option but `files`. Invariant: whatever is in a file, there are
sections or mistakes with the line, never another exception.
"""

from __future__ import annotations

import configparser
import glob
import os
import re
from collections.abc import Mapping

from circus.exc import ConfigError, Mistake
from circus.importing.expansions import Names, expand
from circus.importing.report import Item, Report

Options = dict[str, Item]

_HEADER = re.compile(r"\[(.+)\]")
_OPTION = re.compile(r"([^\s#;\[=:][^=:]*?)\s*[=:]")
_NOT_DEFAULT = "\0"  # so that [DEFAULT] is a section like others, which all files share


def read(path: str, names: Mapping[str, str], report: Report) -> dict[str, Options]:
    """All sections of the file and of those that it includes, in the order of their first headers.

    The section itself is the option `""`, with the place of its header.

    Raises:
        ConfigError: the file cannot be read, or is no ini file.
    """
    sections = _read_file(path)
    include = sections.get("include")
    if include is not None:
        for other in _included(path, include, names, report):
            for title, options in _read_file(other).items():
                if title == "include":
                    report.lost(title, None, options[""], "supervisor follows [include] in the main file alone")
                    continue
                before = sections.setdefault(title, options)
                if before is not options:
                    before.update({name: item for name, item in options.items() if name})
    default = {name: item for name, item in sections.pop("DEFAULT", {}).items() if name}
    return {title: {**default, **options} for title, options in sections.items()}


def _included(path: str, include: Options, names: Mapping[str, str], report: Report) -> list[str]:
    item = include.get("files")
    if item is None:
        report.wrong("include", None, include[""], "expected an option `files`")
        return []
    try:
        patterns = expand(item.value, Names(names, {"here": _home(path)}, environment=names)).split()
    except ValueError as error:
        report.wrong("include", "files", item, str(error))
        return []
    found = []
    for pattern in patterns:
        matches = sorted(glob.glob(os.path.join(_home(path), os.path.expanduser(pattern))))
        if not matches:
            report.differs("include", "files", item, f"no file matches {pattern}")
        found += matches
    return found


def _home(path: str) -> str:
    return os.path.dirname(os.path.abspath(path))


def _read_file(path: str) -> dict[str, Options]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
    except OSError as error:
        raise ConfigError([_mistake(path, None, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise ConfigError([_mistake(path, None, "UTF-8 text expected")]) from None
    parser = configparser.RawConfigParser(
        inline_comment_prefixes=(";", "#"), strict=False, default_section=_NOT_DEFAULT
    )
    try:
        parser.read_string(text, path)
    except configparser.MissingSectionHeaderError as error:
        expected = "a section such as [program:NAME] has to come first"
        raise ConfigError([_mistake(path, error.lineno, expected, error.line.strip())]) from None
    except configparser.ParsingError as error:
        expected = "an option is written NAME = VALUE"
        lines = text.splitlines()
        raise ConfigError([_mistake(path, at, expected, lines[at - 1].strip()) for at, _ in error.errors]) from None
    places = _places(text)
    home = _home(path).replace("%", "%%")  # what is left of it goes through the expansion of the others
    sections: dict[str, Options] = {}
    for title in parser.sections():
        line = places.get((title, ""))
        sections[title] = {"": Item("", path, line)}
        for name, value in parser.items(title):
            place = places.get((title, name), line)
            sections[title][name] = Item(value.replace("%(here)s", home), path, place)
    return sections


def _places(text: str) -> dict[tuple[str, str], int]:
    """The line of each option: the last one, as that is in force; of a section the first, by the name ""."""
    found: dict[tuple[str, str], int] = {}
    title: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if (header := _HEADER.match(line)) is not None:
            title = header[1]
            found.setdefault((title, ""), number)
        elif title is not None and (option := _OPTION.match(line)) is not None:
            found[title, option[1].lower()] = number
    return found


def _mistake(path: str, line: int | None, expected: str, value: str | None = None) -> Mistake:
    return Mistake(file=path, line=line, section=None, option=None, value=value, expected=expected)
