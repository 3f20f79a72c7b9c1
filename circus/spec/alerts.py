"""Alerts and whom they are told: what `[alert:NAME]` and `[notify:NAME]` say, read from text.

Pure, and shared: the configuration judges the sections by it, and the exporter, which gets them as text, reads them
with it. Invariant: what is returned fits together, or a mistake says why not; no other exception.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from circus.exc import Mistake
from circus.spec.alert_fields import (
    ALERT_FAMILIES,
    ALERT_KINDS,
    ALERTS,
    ANNOTATIONS,
    EXIT_REASONS,
    HEADERS,
    LABELS,
    NOTIFIERS,
    NOTIFY_FAMILIES,
    NOTIFY_TYPES,
    OWN_LABELS,
    PLACEHOLDERS,
    SUBJECTS,
    AlertKind,
    Measure,
    NotifyType,
    Severity,
)
from circus.spec.amounts import Amount, matches
from circus.spec.fields import Option
from circus.spec.scalars import Platform
from circus.spec.watcher import HOOK_NAMES

_NAME: Final = re.compile(r"[\w.:-]{1,100}")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-zA-Z-]+")
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_DOTTED: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*[.:][^\W\d]\w*")
_NOWHERE: Final = Platform(signals={}, rlimits=frozenset())  # no option here depends on the operating system

Words = Mapping[str, str]
Key = TypeVar("Key", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSpec:
    """One `[alert:NAME]`. A field that its kind does not use has its default here; `notify` None means everybody."""

    name: str
    kind: AlertKind
    watchers: tuple[str, ...] = ("*",)
    severity: Severity = "warning"
    labels: Words = field(default_factory=dict)
    annotations: Words = field(default_factory=dict)
    notify: tuple[str, ...] | None = None
    above: Amount | None = None
    clear_below: Amount | None = None
    below: Amount | None = None
    for_seconds: float = 0.0
    keep_seconds: float = 0.0
    window_seconds: float = 0.0
    reasons: tuple[str, ...] = EXIT_REASONS
    hooks: tuple[str, ...] = HOOK_NAMES
    of: Measure = "rss"
    url: str | None = None
    interval_seconds: float = 60.0
    timeout_seconds: float = 10.0

    @property
    def subject(self) -> str:
        """What one alert of it is about: process, watcher or daemon."""
        return SUBJECTS[self.kind]

    @property
    def threshold(self) -> Amount | None:
        """The limit that it fires at, for people."""
        return self.above or self.below

    def means(self, watcher: str) -> bool:
        """Whether it watches over a watcher of that name."""
        return matches(self.watchers, watcher)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySpec:
    """One `[notify:NAME]`. `rate` is deliveries per second; `secret_file` and `certificate` are absolute paths."""

    name: str
    type: NotifyType
    url: str | None = None
    secret: str | None = None
    secret_file: str | None = None
    headers: Words = field(default_factory=dict)
    certificate: str | None = None
    cmd: str | None = None
    callable: str | None = None
    timeout_seconds: float = 10.0
    rate: float = 1.0
    burst: int = 10
    batch: int = 100
    queue: int = 10_000
    retry_for_seconds: float = 3600.0
    repeat_seconds: float = 0.0
    send_resolved: bool = True


_FIELDS: Final[Mapping[str, str]] = {
    name: f"{name}_seconds" for name in ("for", "keep", "window", "interval", "timeout", "retry_for", "repeat")
}
"""Options whose field has another name: all durations."""


def read_alerts(
    alerts: Mapping[str, Words], notify: Mapping[str, Words]
) -> tuple[tuple[AlertSpec, ...], tuple[NotifySpec, ...], tuple[Mistake, ...]]:
    """The alerts and notifiers that fit, and what is wrong with the others.

    Mistakes have no file and no line; their section is the title (`alert:web`) and their option None where it is the
    whole section. An alert stays when a notifier that it names has a mistake, and is not when there is no such section.
    """
    found: list[AlertSpec] = []
    sinks: list[NotifySpec] = []
    mistakes: list[Mistake] = []
    for name, options in notify.items():
        sink, wrong = _read_notify(name, options)
        mistakes += wrong
        if sink is not None:
            sinks.append(sink)
    for name, options in alerts.items():
        alert, wrong = _read_alert(name, options, notify)
        mistakes += wrong
        if alert is not None:
            found.append(alert)
    return tuple(found), tuple(sinks), tuple(mistakes)


def known_options(section: str, name: str, options: Words) -> frozenset[str]:
    """The options that a section `alert` or `notify` may have, but for its families; none where its kind is unknown."""
    tables = ALERTS if section == "alert" else NOTIFIERS
    written = options.get("kind" if section == "alert" else "type", name).strip().lower()
    return frozenset(tables.get(written, ()))


def filled(text: str, values: Mapping[str, object]) -> str:
    """The text of an annotation with its placeholders filled in; None is told as nothing."""

    def told(match: re.Match[str]) -> str:
        value = values.get(match[1])
        return match[0] if match[1] not in values else "" if value is None else str(value)

    return _PLACEHOLDER.sub(told, text)


class _Reading:
    """One section on its way into a spec."""

    def __init__(self, title: str, options: Words, families: Mapping[str, str]) -> None:
        self.title, self.options, self.families = title, options, families
        self.mistakes: list[Mistake] = []
        self.values: dict[str, Any] = {}

    def wrong(self, option: str | None, expected: str) -> None:
        value = None if option is None else self.options.get(option)
        self.mistakes.append(Mistake(None, None, self.title, option, value, expected))

    def kind(self, option: str, known: tuple[Key, ...], name: str) -> Key | None:
        """The kind or type of the section, which decides about all the rest."""
        written = self.options.get(option, name).strip().lower()
        found = next((each for each in known if each == written), None)
        if found is None:
            listed = f"{', '.join(known[:-1])} or {known[-1]}"
            if option in self.options:
                self.wrong(option, f"expected {listed}{_meant(written, known)}")
            else:
                self.wrong(None, f"needs {option} = {listed}")
        if not _NAME.fullmatch(name):
            self.wrong(None, "expected a name of up to 100 letters, digits, -, _, . and :")
        return found

    def read(self, table: Mapping[str, Option]) -> None:
        self.values = {_FIELDS.get(name, name): row.ini for name, row in table.items()}
        for option, text in self.options.items():
            prefix = f"{option.partition('.')[0]}."
            row = table.get(option)
            if row is None and prefix in self.families and option != prefix:
                continue
            if row is None:
                known = (*table, *(f"{family}NAME" for family in self.families))
                meant = _meant(option, known)
                self.wrong(option, f"no such option here{meant or '; there are ' + ', '.join(known)}")
                continue
            try:
                self.values[_FIELDS.get(option, option)] = row.kind.parse(text.strip(), _NOWHERE)
            except (ValueError, OverflowError):
                self.wrong(option, f"expected {row.kind.expected}")

    def family(self, prefix: str) -> dict[str, str]:
        return {
            name.removeprefix(prefix): text
            for name, text in self.options.items()
            if name.startswith(prefix) and name != prefix
        }


def _read_alert(name: str, options: Words, notify: Mapping[str, Words]) -> tuple[AlertSpec | None, list[Mistake]]:
    reading = _Reading(f"alert:{name}", options, ALERT_FAMILIES)
    kind = reading.kind("kind", ALERT_KINDS, name)
    if kind is None:
        return None, reading.mistakes
    if kind == "deadman":
        reading.families = {}
    reading.read(ALERTS[kind])
    values = reading.values | {"name": name, "kind": kind}
    if kind == "deadman":
        if not values["url"] and "url" not in options:
            reading.wrong(None, "needs url = what is asked as long as all is well")
    else:
        values |= {"labels": reading.family(LABELS), "annotations": reading.family(ANNOTATIONS)}
        _check_words(reading, values)
        _check_thresholds(reading, values)
        for unknown in (each for each in values["notify"] or () if each not in notify):
            reading.wrong("notify", f"there is no [notify:{unknown}]{_meant(unknown, tuple(notify))}")
    return (None if reading.mistakes else AlertSpec(**values)), reading.mistakes


def _check_words(reading: _Reading, values: Mapping[str, Any]) -> None:
    for label in values["labels"]:
        if label in OWN_LABELS:
            reading.wrong(LABELS + label, f"the label {label} is set by Circus itself")
        elif not _LABEL.fullmatch(label) or label.startswith("__"):
            reading.wrong(LABELS + label, "expected a name of letters, digits and _, without __ before it")
    for name, text in values["annotations"].items():
        if not _LABEL.fullmatch(name):
            reading.wrong(ANNOTATIONS + name, "expected a name of letters, digits and _")
        if unknown := set(_PLACEHOLDER.findall(text)) - PLACEHOLDERS:
            known = ", ".join(f"{{{word}}}" for word in sorted(PLACEHOLDERS))
            reading.wrong(ANNOTATIONS + name, f"there is no {{{min(unknown)}}} to fill in; there are {known}")


def _check_thresholds(reading: _Reading, values: Mapping[str, Any]) -> None:
    above, clear = values.get("above"), values.get("clear_below")
    if above is None or clear is None:
        return
    if above.unit != clear.unit:
        reading.wrong("clear_below", f"expected the unit of above, which is {above}")
    elif clear.value > above.value:
        reading.wrong("clear_below", f"expected no more than above, which is {above}")


def _read_notify(name: str, options: Words) -> tuple[NotifySpec | None, list[Mistake]]:
    reading = _Reading(f"notify:{name}", options, NOTIFY_FAMILIES)
    kind = reading.kind("type", NOTIFY_TYPES, name)
    if kind is None:
        return None, reading.mistakes
    if kind not in ("webhook", "alertmanager"):
        reading.families = {}
    reading.read(NOTIFIERS[kind])
    values = reading.values | {"name": name, "type": kind}
    needed = {"exec": "cmd", "python": "callable"}.get(kind, "url")
    if not values[needed] and not any(mistake.option == needed for mistake in reading.mistakes):
        reading.wrong(needed if needed in options else None, f"a notifier of type {kind} needs {needed}")
    if needed == "url":
        values["headers"] = reading.family(HEADERS)
    for expected, option in _contradictions(values):
        reading.wrong(option, expected)
    return (None if reading.mistakes else NotifySpec(**values)), reading.mistakes


def _contradictions(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if values.get("secret") and values.get("secret_file"):
        yield "there is a secret already; one of the two is enough", "secret_file"
    for header, text in values.get("headers", {}).items():
        if not _HEADER.fullmatch(header):
            yield "expected a name that a header may have", HEADERS + header
        if any(ord(character) < 32 or ord(character) in (127, *range(0xD800, 0xE000)) for character in text):
            yield "expected text on one line", HEADERS + header
    if values.get("cmd"):
        try:
            found = shlex.split(values["cmd"])
        except ValueError as error:
            yield f"expected words as a shell takes them: {error}", "cmd"
        else:
            if not found or not found[0]:
                yield "a notifier of type exec needs a program", "cmd"
    if values.get("callable") and not _DOTTED.fullmatch(values["callable"]):
        yield "expected a dotted name such as package.module.function", "callable"


def _meant(word: str, known: tuple[str, ...]) -> str:
    if len(word) > 40:
        return ""
    from difflib import get_close_matches  # only a mistake pays for this import

    near = get_close_matches(word.lower(), known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
