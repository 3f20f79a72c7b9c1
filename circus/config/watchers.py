"""From `[watcher:NAME]` sections to watcher specs.

Owns what is special to a watcher: families of options, free-form ones, its name and its environment. Whether the spec
can be had on this machine is asked in `possible`. Invariant: every entry of the section ends as a value, a mistake or
a free-form option.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from circus.config import near, possible
from circus.config.environ import Environment
from circus.config.ini import Document, Entry, Section
from circus.config.interpolate import old_spelling
from circus.config.platform import this_platform
from circus.config.report import Report
from circus.config.values import expander, fitting, read_one
from circus.spec.fields import WATCHER, Family, family_of
from circus.spec.hooks import HOOK, parse_hook
from circus.spec.kinds import ARGS, OPTIONAL_TEXT, TEXT, USER
from circus.spec.scalars import LIMIT, is_label, to_limit
from circus.spec.sockets import SocketSpec
from circus.spec.streams import StreamSpec
from circus.spec.watcher import HookSpec, WatcherSpec

# Texts see all of the watcher's environment at once. Other kinds see [env] first, as 0.19 converted them before it
# looked at the [env:...] sections; what only those know is expanded too.
_TEXTS = (TEXT, OPTIONAL_TEXT, ARGS, USER)


def build_watchers(
    document: Document,
    environment: Environment,
    sockets: Iterable[SocketSpec],
    report: Report,
    *,
    look_around: bool,
) -> list[WatcherSpec]:
    """All watchers of a configuration, sorted by name as 0.19 starts them, without those that were left out."""
    known_sockets = {socket.name: socket for socket in sockets}
    built: dict[str, WatcherSpec] = {}
    seen: dict[str, Section] = {}
    for title in document.titles():
        if not title.startswith("watcher:"):
            continue
        section = document.sections[title]
        entries = document.entries(title)
        if not entries:
            report.warn(section, None, "has no options, so there is no such watcher")
            continue
        name_entry = entries.get("name")
        name = (name_entry.value if name_entry is not None else title.removeprefix("watcher:")).strip()
        if not name:
            report.wrong(section, name_entry, "a watcher needs a name, as in [watcher:web]")
            continue
        other = seen.setdefault(name.lower(), section)
        if other is not section:
            where = f"[{other.title}] at {other.file}:{other.line}"
            report.wrong(section, name_entry, f"is the same watcher as {where}: names are compared without case")
            continue
        spec = _Builder(name, section, entries, environment, report).build()
        if possible.check_watcher(spec, section, entries, known_sockets, report, look_around=look_around):
            built[name] = spec
    return [built[name] for name in sorted(built)]


class _Builder:
    """Reads one section."""

    def __init__(
        self, name: str, section: Section, entries: dict[str, Entry], environment: Environment, report: Report
    ) -> None:
        self._name = name
        self._section = section
        self._entries = entries
        self._report = report
        own = environment.variables_of(name)
        self._text = expander(own)
        self._typed = self._text if own is environment.variables else expander(environment.variables, own)
        self._values: dict[str, Any] = {"env": environment.of(name)}
        self._rlimits: dict[str, int | None] = {}
        self._hooks: dict[str, HookSpec] = {}
        self._streams: dict[str, dict[str, str]] = {}
        self._options: dict[str, str] = {}

    def build(self) -> WatcherSpec:
        for entry in self._entries.values():
            self._read(entry)
        values: dict[str, Any] = {name: option.ini for name, option in WATCHER.items()} | self._values
        command = [self._entries[name] for name in ("cmd", "args") if name in self._entries and not values["shell"]]
        for entry in command:
            if (word := old_spelling(entry.value)) is not None:
                self._report.warn(self._section, entry, word)
        return WatcherSpec(
            name=self._name,
            rlimits=self._rlimits,
            hooks=self._hooks,
            options=self._options,
            stdout_stream=self._stream("stdout_stream"),
            stderr_stream=self._stream("stderr_stream"),
            origin="ini",
            **values,
        )

    def _read(self, entry: Entry) -> None:
        name = entry.name
        option = WATCHER.get(name)
        if name == "name":
            return
        if option is not None and name != "env":
            text = self._text if option.kind in _TEXTS else self._typed
            self._values[name] = read_one(option, self._section, entry, text(entry.value), self._report)
        elif (family := family_of(name)) is not None:
            self._read_family(family, entry, name.removeprefix(family.prefix))
        elif name in ("stdout_stream", "stderr_stream"):
            self._report.wrong(
                self._section, entry, f"expected an option of the stream, as in {name}.class = FileStream"
            )
        else:
            if (word := near.watcher_word(name)) is not None:
                self._report.warn(self._section, entry, word)
            if name != "env":
                self._options[name] = self._text(entry.value)

    def _read_family(self, family: Family, entry: Entry, end: str) -> None:
        text = self._typed(entry.value)
        if family.field == "rlimits":
            self._read_limit(entry, end.lower(), text)
        elif family.field == "hooks":
            self._read_hook(entry, end, text)
        elif family.field == "options":
            if not is_label(end):
                self._report.wrong(self._section, entry, "expected letters, digits and underscores behind `labels.`")
            self._options[entry.name] = self._text(entry.value)
        else:
            self._streams.setdefault(family.field, {})[end] = self._text(entry.value)

    def _read_limit(self, entry: Entry, name: str, text: str) -> None:
        known = this_platform().rlimits
        if name not in known:
            self._report.wrong(self._section, entry, f"expected a limit of this machine: {', '.join(sorted(known))}")
            return
        try:
            self._rlimits[name] = to_limit(text)
        except ValueError:
            expected = fitting(LIMIT, entry.value, text)
            self._report.wrong(self._section, entry, expected)

    def _read_hook(self, entry: Entry, name: str, text: str) -> None:
        if (word := near.hook_word(name)) is not None:
            self._report.warn(self._section, entry, word)
        try:
            self._hooks[name] = parse_hook(text)
        except ValueError:
            expected = fitting(HOOK, entry.value, text)
            self._report.wrong(self._section, entry, expected)

    def _stream(self, field: str) -> StreamSpec | None:
        options: dict[str, str] | None = self._streams.get(field)
        if options is None:
            return None
        rest = {name: value for name, value in options.items() if name != "class"}
        return StreamSpec(cls=options.get("class") or None, options=rest)
