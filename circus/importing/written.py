"""The text of a configuration for circusd: sections with their options, and comments that say what is not in them.

Owns the layout, and the check that each value is read by circusd as it was meant. Invariant: a value that an ini file
cannot hold is told, never written in another meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from circus.config import ini
from circus.importing.report import Note, Report

_WIDTH = 118


@dataclass(slots=True, kw_only=True)
class Written:
    """One section to be written; `source` is the title whose notes stand above it, which are written once."""

    title: str
    source: str
    options: dict[str, str] = field(default_factory=dict)


def text(head: str, sections: Iterable[Written], report: Report) -> str:
    """The whole file. Notes about what became no section of its own stand at the end."""
    bodies = [(section, _options(section, report)) for section in sections]
    parts = ["\n".join(_comment(head))]
    told: set[str] = set()
    for section, lines in bodies:
        notes = [] if section.source in told else [note for note in report.notes if note.section == section.source]
        told.add(section.source)
        parts.append("\n".join([*_comments(notes), f"[{section.title}]", *lines]))
    rest = [note for note in report.notes if note.section not in told]
    if rest:
        parts.append("\n".join(_comments(rest, with_section=True)))
    return "\n\n".join(parts)


def _options(section: Written, report: Report) -> list[str]:
    lines = []
    for name, value in section.options.items():
        line = f"{name} = " + value.replace("\n", "\n    ")
        if _read_back(line, name) == value:
            lines.append(line)
        else:
            shown = " ".join(value.split())
            report.lost(section.source, name, None, f"an ini file for circusd cannot hold this value: {shown}")
    return lines


def _read_back(line: str, name: str) -> str | None:
    found = ini.parse(f"[x]\n{line}\n".encode(), "").sections["x"].entries
    return found[name].value if list(found) == [name] else None


def _comments(notes: Sequence[Note], *, with_section: bool = False) -> list[str]:
    lines: list[str] = []
    for note in notes:
        word = "NOT CONVERTED" if note.lost else "NOTE"
        section = f"[{note.section}] " if with_section and note.option else ""
        lines += _comment(f"{word}: {section}{note.subject}: {note.told}")
    return lines


def _comment(told: str) -> list[str]:
    import textwrap

    return [f"; {line}" for line in textwrap.wrap(told, _WIDTH, break_long_words=False, break_on_hyphens=False)]
