"""The sections `[alert:NAME]` and `[notify:NAME]`, as the exporter will get them: text that fits.

Owns the way from a section to a report; what fits is decided by `circus.spec.alerts`. As with exporters, one with a
mistake is left out: what it would have told must not keep anything from running. Invariant: what is built here is read
by the exporter without a mistake.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from circus.config.ini import Entry, Section
from circus.config.report import Report
from circus.config.values import Expander
from circus.spec.exporters import ExporterSpec
from circus.spec.watcher import WatcherSpec

Sections = Sequence[tuple[Section, dict[str, Entry]]]

_FILES = ("secret_file", "certificate")


def build_alerts(
    alerts: Sections,
    notify: Sections,
    watchers: Iterable[WatcherSpec],
    text: Expander,
    report: Report,
    *,
    look_around: bool,
) -> tuple[list[ExporterSpec], list[ExporterSpec]]:
    """The alerts and the notifiers without a mistake; `look_around` asks whether the files that they name are there."""
    if not alerts and not notify:
        return [], []
    from circus.spec.alerts import read_alerts  # most daemons have none

    rules = _Sections("alert", alerts, text, report)
    ways = _Sections("notify", notify, text, report)
    ways.resolve_files(look_around=look_around)
    specs, _, mistakes = read_alerts(rules.options, ways.options)
    for mistake in mistakes:
        assert mistake.section is not None
        kind, _, name = mistake.section.partition(":")
        (rules if kind == "alert" else ways).leave_out(name, mistake.option, mistake.expected)
    for spec in specs:
        lost = [each for each in spec.notify or () if each in ways.left_out]
        if lost:  # the others are told all the same
            rules.options[spec.name]["notify"] = " ".join(each for each in spec.notify or () if each not in lost)
            rules.warn(spec.name, "notify", f"[notify:{lost[0]}] is left out, so nobody is told by it")
    names = {watcher.name.lower() for watcher in watchers}
    for spec in specs:
        for pattern in spec.watchers:
            if not set(pattern) & set("*?[") and pattern.removeprefix("!").lower() not in names:
                rules.warn(spec.name, "watchers", f"there is no watcher {pattern.removeprefix('!')!r} at the moment")
    return rules.built(), ways.built()


class _Sections:
    """All sections of one kind: their text by name, and which are left out."""

    def __init__(self, kind: str, sections: Sections, text: Expander, report: Report) -> None:
        from circus.spec.alerts import known_options

        self._report = report
        self._written: dict[str, tuple[Section, dict[str, Entry]]] = {}
        self.options: dict[str, dict[str, str]] = {}
        self.left_out: set[str] = set()
        folded: dict[str, Section] = {}
        for section, entries in sections:
            name = section.title.partition(":")[2].strip()
            other = folded.setdefault(name.lower(), section)
            if other is not section:
                where = f"[{other.title}] at {other.file}:{other.line}"
                report.leave_out(section, None, f"has the name of {where}: names are compared without case")
                continue
            own = {option: text(entry.value) for option, entry in section.entries.items()}
            # What [DEFAULT] says is for all sections, most of which are others: what is unknown here is not a mistake.
            known = known_options(kind, name, own)
            shared = {option: text(entry.value) for option, entry in entries.items() if option in known}
            self._written[name] = (section, entries)
            self.options[name] = shared | own

    def resolve_files(self, *, look_around: bool) -> None:
        """Make the paths absolute, from the file that names them."""
        for name, options in self.options.items():
            for option in _FILES:
                if not options.get(option):
                    continue
                beside = os.path.dirname(os.path.abspath(self._written[name][1][option].file))
                options[option] = os.path.join(beside, options[option].strip())
                if look_around and not os.access(options[option], os.R_OK):
                    self.leave_out(name, option, "there is no such file, or it may not be read")

    def leave_out(self, name: str, option: str | None, expected: str) -> None:
        section, entries = self._written[name]
        self.left_out.add(name)
        self._report.leave_out(section, entries.get(option) if option is not None else None, expected)

    def warn(self, name: str, option: str, expected: str) -> None:
        section, entries = self._written[name]
        self._report.warn(section, entries.get(option), expected)

    def built(self) -> list[ExporterSpec]:
        fine: Iterable[tuple[str, Mapping[str, str]]] = sorted(self.options.items())
        return [ExporterSpec(name=name, options=options) for name, options in fine if name not in self.left_out]
