"""What is found while a foreign configuration is converted: mistakes, what was lost, what is different.

Owns the two lists and their wording; refuses to know options. Invariant: what is lost is told, with the line that
asked for it.
"""

from __future__ import annotations

from typing import NamedTuple

from circus.exc import Mistake


class Item(NamedTuple):
    """One option as it was written, and where; a section's own place has no value."""

    value: str
    file: str
    line: int | None


class Note(NamedTuple):
    """A word to whoever reads what was made: of something that is not in it (`lost`), or that behaves differently."""

    section: str
    option: str | None
    item: Item | None
    told: str
    lost: bool

    @property
    def subject(self) -> str:
        """What it is about, without the file: `stdout_syslog = true (line 7)`."""
        if self.item is None:
            return self.option or f"[{self.section}]"
        value = " ".join(self.item.value.split())
        where = f" (line {self.item.line})" if self.item.line else ""
        if self.option and not value:
            return f"{self.option}{where}"
        return f"{self.option} = {value}{where}" if self.option else f"[{self.section}]{where}"

    def __str__(self) -> str:
        word = "not converted" if self.lost else "note"
        place = f"{self.item.file}:{self.item.line or '?'}: " if self.item is not None else ""
        option = f" {self.option}" if self.option else ""
        return f"{place}[{self.section}]{option}: {word}: {self.told}"


class Report:
    """The findings, in the order they were made."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.notes: list[Note] = []

    def wrong(self, section: str, option: str | None, item: Item | None, expected: str) -> None:
        """Something that the other supervisor would refuse too: nothing is converted."""
        mistake = Mistake(
            file=item.file if item else None,
            line=item.line if item else None,
            section=section,
            option=option,
            value=(item.value or None) if item and option else None,
            expected=expected,
        )
        if mistake not in self.mistakes:
            self.mistakes.append(mistake)

    def lost(self, section: str, option: str | None, item: Item | None, told: str) -> None:
        """Something that Circus has no word for."""
        self._note(Note(section, option, item, told, lost=True))

    def differs(self, section: str, option: str | None, item: Item | None, told: str) -> None:
        """Something that is converted and does not do quite the same."""
        self._note(Note(section, option, item, told, lost=False))

    def _note(self, note: Note) -> None:
        if note not in self.notes:  # a program may be several watchers
            self.notes.append(note)
