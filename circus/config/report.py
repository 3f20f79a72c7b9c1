"""What is found while a configuration is read: mistakes, sections left out, warnings.

Owns the three lists. Invariant: what [DEFAULT] says wrongly is said once, not once for each section that sees it.
"""

from __future__ import annotations

from circus.config.ini import Entry, Section
from circus.exc import Mistake


class Report:
    """The findings, in the order they were made."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.omitted: list[Mistake] = []
        self.warnings: list[Mistake] = []
        self._said: set[tuple[str | None, int | None, str | None, str]] = set()

    def wrong(self, section: Section, entry: Entry | None, expected: str) -> None:
        """A mistake of grammar or type: nothing is started."""
        self._add(self.mistakes, section, entry, expected)

    def leave_out(self, section: Section, entry: Entry | None, expected: str) -> None:
        """A section that contradicts itself, or that this machine cannot have: the others start without it."""
        self.omitted.append(_found(section, entry, expected))

    def warn(self, section: Section, entry: Entry | None, expected: str) -> None:
        """Something that works, but perhaps not as it was meant."""
        self._add(self.warnings, section, entry, expected)

    def _add(self, findings: list[Mistake], section: Section, entry: Entry | None, expected: str) -> None:
        found = _found(section, entry, expected)
        key = (found.file, found.line, found.option, expected)
        if key not in self._said:
            self._said.add(key)
            findings.append(found)


def _found(section: Section, entry: Entry | None, expected: str) -> Mistake:
    place = entry if entry is not None else section
    return Mistake(
        file=place.file,
        line=place.line,
        section=section.title,
        option=entry.name if entry is not None else None,
        value=entry.value if entry is not None else None,
        expected=expected,
    )
