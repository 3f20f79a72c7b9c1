"""From the entries of one section to typed values, by the rows of `spec.fields`.

Owns how a text is expanded and read, and how it is reported when it does not fit. Knows no particular option.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from circus.config.ini import Entry, Section
from circus.config.interpolate import Variables, expand
from circus.config.platform import this_platform
from circus.config.report import Report
from circus.spec.fields import Option

# Makes the text of an option from what was written.
Expander = Callable[[str], str]


def expander(*stages: Variables) -> Expander:
    """Expand with one set of variables after another."""

    def expand_all(text: str) -> str:
        for variables in stages:
            text = expand(text, variables)
        return text

    return expand_all


def read_one(option: Option, section: Section, entry: Entry, expanded: str, report: Report) -> object:
    """The value of one option; its default, after a report, when the text does not fit."""
    try:
        return option.kind.parse(expanded, this_platform())
    except (ValueError, OverflowError):
        report.wrong(section, entry, fitting(option.kind.expected, entry.value, expanded))
        return option.ini


def fitting(expected: str, written: str, expanded: str) -> str:
    """What was expected; with what the text became, where variables made it something else."""
    return f"expected {expected}" if written == expanded else f"expected {expected}, and it expands to {expanded!r}"


def read_known(
    table: Mapping[str, Option],
    section: Section,
    entries: Mapping[str, Entry],
    text: Expander,
    report: Report,
) -> dict[str, object]:
    """The value of every option of a table: what the section says, or the default of a file."""
    return {
        name: option.ini
        if (entry := entries.get(name)) is None
        else read_one(option, section, entry, text(entry.value), report)
        for name, option in table.items()
    }
