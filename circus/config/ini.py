"""The text of an ini file, as circus 0.19 reads it, into sections of entries that know where they stand.

Owns the grammar: comments, continuation lines, `rem`, inline `;`, `""`, first definition wins. Knows no option and
opens no file. Invariant: any bytes give sections or mistakes, never an exception.
"""

from __future__ import annotations

import re

import msgspec

from circus.exc import Mistake

DEFAULT = "DEFAULT"

# Greedy, so that a name may hold brackets.
_HEADER = re.compile(r"\[(?P<title>.+)\]")


class Entry(msgspec.Struct, kw_only=True):
    """One option as it was written."""

    name: str
    value: str
    file: str
    line: int


class Section(msgspec.Struct, kw_only=True):
    """The entries under one title, by name; `file` and `line` are of its first header."""

    title: str
    file: str
    line: int
    entries: dict[str, Entry] = msgspec.field(default_factory=dict)


class Document(msgspec.Struct, kw_only=True):
    """What several files say together: of two definitions of an option the first wins."""

    sections: dict[str, Section] = msgspec.field(default_factory=dict)
    mistakes: list[Mistake] = msgspec.field(default_factory=list)
    warnings: list[Mistake] = msgspec.field(default_factory=list)

    def merge(self, other: Document) -> None:
        """Add what `other` says and this one does not."""
        for title, section in other.sections.items():
            mine = self.sections.setdefault(title, section)
            if mine is not section:
                for name, entry in section.entries.items():
                    mine.entries.setdefault(name, entry)
        self.mistakes += other.mistakes
        self.warnings += other.warnings

    def entries(self, title: str) -> dict[str, Entry]:
        """The entries of a section, with those of [DEFAULT] that it does not define itself."""
        section = self.sections.get(title)
        own = section.entries if section is not None else {}
        default = self.sections.get(DEFAULT)
        return own if default is None else default.entries | own

    def titles(self) -> list[str]:
        """The titles of all sections but [DEFAULT], in the order of their first headers."""
        return [title for title in self.sections if title != DEFAULT]


def parse(data: bytes, file: str) -> Document:
    """Read the bytes of one file; what cannot be read is in `mistakes` of what is returned."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        broken = data.count(b"\n", 0, error.start) + 1
        return Document(mistakes=[_mistake(file, broken, "UTF-8 text expected")])
    reader = _Reader(file)
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        reader.feed(number, line)
    return reader.document


def _mistake(
    file: str,
    line: int,
    expected: str,
    *,
    section: str | None = None,
    option: str | None = None,
    value: str | None = None,
) -> Mistake:
    return Mistake(file=file, line=line, section=section, option=option, value=value, expected=expected)


class _Reader:
    def __init__(self, file: str) -> None:
        self.document = Document()
        self._file = file
        self._section: Section | None = None
        self._entry: Entry | None = None
        self._headless = False

    def feed(self, number: int, line: str) -> None:
        if not line or line[0] in "#;" or line.isspace():
            return
        if line[0] in "rR" and line.split(None, 1)[0].lower() == "rem":
            return
        if "\0" in line:
            self._wrong(number, "a NUL character is not text")
        elif line[0].isspace():
            self._indented(number, line.strip())
        elif (header := _HEADER.match(line)) is not None:
            self._entry = None
            title = header["title"]
            self._section = self.document.sections.setdefault(title, Section(title=title, file=self._file, line=number))
        elif self._section is None:
            self._without_section(number, line)
        else:
            self._option(self._section, number, line)

    def _option(self, section: Section, number: int, line: str) -> None:
        self._entry = None
        cut = min((at for at in (line.find("="), line.find(":")) if at >= 0), default=-1)
        if cut < 0:
            self._wrong(number, "an option is written NAME = VALUE", value=line.strip())
            return
        name = line[:cut].strip()
        if not name:
            self._wrong(number, "an option needs a name before the = or :", value=line.strip())
            return
        self._entry = Entry(name=name, value=_value(line[cut + 1 :]), file=self._file, line=number)
        # A second definition is read, with the lines that continue it, and forgotten.
        first = section.entries.setdefault(name, self._entry)
        if first is not self._entry:
            expected = f"is written a second time; what counts is line {first.line}"
            self._warn(number, expected, option=name, value=self._entry.value)

    def _indented(self, number: int, text: str) -> None:
        if self._entry is not None:
            if text[0] in "#;":
                expected = (
                    "an indented comment is part of the value of the option above it; comments start in column one"
                )
                self._warn(number, expected, option=self._entry.name, value=text)
            self._entry.value = f"{self._entry.value}\n{text}"
        elif self._section is None:
            self._without_section(number, text)
        else:
            self._wrong(number, "an indented line continues an option, and there is none above it", value=text)

    def _without_section(self, number: int, line: str) -> None:
        if self._headless:
            return  # said once: everything before the first header is wrong for the same reason
        self._headless = True
        expected = "a section such as [circus] or [watcher:NAME] has to come first"
        if line.startswith(("---", "{")) or re.match(r"[\w-]+:\s*$", line):
            expected += "; this looks like YAML or JSON, which Circus does not read"
        self._wrong(number, expected, value=line.strip()[:80])

    def _warn(self, number: int, expected: str, *, option: str, value: str) -> None:
        title = self._section.title if self._section is not None else None
        told = _mistake(self._file, number, expected, section=title, option=option, value=value)
        self.document.warnings.append(told)

    def _wrong(self, number: int, expected: str, *, value: str | None = None) -> None:
        title = self._section.title if self._section is not None else None
        self.document.mistakes.append(_mistake(self._file, number, expected, section=title, value=value))


def _value(text: str) -> str:
    """Cut an inline comment, which only the first `;` can begin, and only after a blank."""
    semicolon = text.find(";")
    if semicolon > 0 and text[semicolon - 1].isspace():
        text = text[:semicolon]
    text = text.strip()
    return "" if text == '""' else text
