"""The reference page of all options, made from their rows: `python -m circus.spec.reference > docs/reference/options.md`.

Owns the layout of the page. Invariant: nothing about an option is written here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

from circus.spec.alert_fields import ALERT_FAMILIES, ALERTS, NOTIFIERS, NOTIFY_FAMILIES
from circus.spec.amounts import told_seconds
from circus.spec.fields import (
    ACCESS,
    CIRCUS,
    EXPORTERS,
    FAMILIES,
    SOCKET,
    STREAM,
    STREAM_CLASSES,
    WATCHER,
    Effect,
    Option,
)
from circus.spec.watcher import HOOK_NAMES

_EFFECTS: Mapping[Effect, str] = {
    Effect.NOTHING: "nothing",
    Effect.RESIZE: "resize",
    Effect.REOPEN: "reopen",
    Effect.SIGNAL: "signal",
    Effect.RELOAD: "reload",
    Effect.RESTART: "restart",
}

_HEAD = """# Options

Every option of the configuration file. This page is made from the code; do not edit it.

The column *change* says what a change of the running daemon makes happen: *nothing* (used from the next time that it
matters), *resize* (processes are started or stopped until their number fits), *reopen* (the stream or socket is
opened anew), *reload* (graceful reload of the watcher, or SIGHUP to its processes where `send_hup` is on), *restart*
(in force after a restart of circusd). Options marked *new* did not exist in circus 0.19.
"""

_ALERT_HEAD = """What to watch for: `kind`, which is the name of the section unless given, decides what else may be
written. Durations are written `30s`, `5m`, `1h30m`, or in seconds; sizes `512MiB`, or in bytes. Each kind but `deadman`
takes these too (`stats_stale`, which is about circusd, has no `watchers`):"""
_SHARED = ("watchers", "severity", "notify")

_NOTIFY_HEAD = (
    """Whom to tell: `type`, which is the name of the section unless given, decides what else may be written."""
)

_COLUMNS = ("option", "value", "default", "change", "meaning")


def options_page() -> str:
    """The whole page, as Markdown."""
    streams = "\n".join(f"- `{cls}`: {', '.join(sorted(names))}" for cls, names in STREAM_CLASSES.items())
    families = [
        (
            f"`{family.prefix}NAME`" + (" *new*" if family.new else ""),
            family.word,
            "",
            _EFFECTS[family.effect],
            family.doc,
        )
        for family in FAMILIES
    ]
    sections = (
        _HEAD,
        "## [circus]",
        _table(_rows(CIRCUS)),
        "Where Python's API has another default: " + _other_defaults(CIRCUS) + ".",
        "## [watcher:NAME]",
        _table([*_rows(WATCHER), *families]),
        "Hooks: " + ", ".join(f"`{name}`" for name in HOOK_NAMES) + ".",
        "Any other option is kept as text and shown by `circusctl options`; plugins may read it.",
        "## Streams",
        "Written in a watcher section after `stdout_stream.` or `stderr_stream.`.",
        _table(_rows(STREAM)),
        "Each class takes:\n\n" + streams,
        "A dotted name is a class of yours, and gets all options of the stream as keyword arguments.",
        "## [socket:NAME]",
        _table(_rows(SOCKET)),
        "## [access:NAME]",
        _table(_rows(ACCESS)),
        *_alert_sections(),
        *(part for name, rows in EXPORTERS.items() for part in (f"## [exporter:{name}]", _table(_rows(rows)))),
    )
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _alert_sections() -> Iterable[str]:
    shared = {name: ALERTS["down"][name] for name in _SHARED}
    yield from ("## [alert:NAME]", _ALERT_HEAD, _table([*_rows(shared), *_families(ALERT_FAMILIES)]))
    for kind, rows in ALERTS.items():
        yield from (f"### kind = {kind}", _table(_rows(_own(rows, "kind", *_SHARED))))
    yield from ("## [notify:NAME]", _NOTIFY_HEAD, _table(_families(NOTIFY_FAMILIES)))
    for kind, rows in NOTIFIERS.items():
        yield from (f"### type = {kind}", _table(_rows(_own(rows, "type"))))


def _own(rows: Mapping[str, Option], *but: str) -> Mapping[str, Option]:
    return {name: row for name, row in rows.items() if name not in but}


def _families(families: Mapping[str, str]) -> Iterable[tuple[str, ...]]:
    for prefix, doc in families.items():
        yield f"`{prefix}NAME` *new*", "text", "", _EFFECTS[Effect.RELOAD], doc


def _rows(options: Mapping[str, Option]) -> Iterable[tuple[str, ...]]:
    for option in options.values():
        name = f"`{option.name}`" + (" *new*" if option.new else "")
        yield name, option.kind.word, _default(option), _EFFECTS[option.effect], option.doc


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    lines = [_COLUMNS, ("---",) * len(_COLUMNS), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _other_defaults(options: Mapping[str, Option]) -> str:
    return ", ".join(
        f"`{option.name}` {_written(option.api) or 'none'}"
        for option in options.values()
        if (option.ini or None) != (option.api or None)
    )


def _default(option: Option) -> str:
    if option.kind.word == "duration" and isinstance(option.ini, float):
        return f"`{told_seconds(option.ini)}`"
    return _written(option.ini)


def _written(default: object) -> str:
    """A default as it would stand in a file."""
    if default is None or default in ("", {}, ()):
        return ""
    if isinstance(default, tuple):
        return f"`{', '.join(map(str, default))}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


if __name__ == "__main__":
    sys.stdout.write(options_page())
