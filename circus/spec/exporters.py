"""An exporter section and its options, the document in which circusd hands all of them over, and the watcher that runs the exporter.

The document goes over standard input, never over the command line, where `ps` would show its secrets.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from circus.keys import Keys
from circus.spec.fields import EXPORTERS, Option
from circus.spec.scalars import Platform
from circus.spec.watcher import WatcherSpec

EXPORTER_WATCHER = "circus-exporter"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterSpec:
    """A section that the exporter reads: `name` is what follows `exporter:`, `alert:` or `notify:` (`prometheus`), the
    options are text that fits.
    """

    name: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterDocument:
    """What circus-exporter reads from its standard input as JSON: where the daemon is, and its own sections."""

    endpoint: str
    pubsub_endpoint: str
    stats_endpoint: str
    exporters: dict[str, dict[str, str]]
    alerts: dict[str, dict[str, str]] = field(default_factory=dict)
    notify: dict[str, dict[str, str]] = field(default_factory=dict)
    config_file: str | None = None
    keys: Keys | None = None


def read_options(name: str, options: Mapping[str, str]) -> tuple[dict[str, object], dict[str | None, str]]:
    """The values of the options that a section has, and by option what is wrong with it.

    What is wrong with the section as a whole has no option (None). Unlike elsewhere an unknown option is wrong: a
    misspelt `web_config` must not open a port without its passwords.
    """
    table = EXPORTERS.get(name)
    if table is None:
        return {}, {None: f"no such exporter; there is {', '.join(EXPORTERS)}"}
    values: dict[str, object] = {}
    wrong: dict[str | None, str] = {}
    for option, text in options.items():
        row = table.get(option)
        if row is None:
            wrong[option] = _unknown(option, table)
            continue
        try:
            values[option] = row.kind.parse(text.strip(), _NOWHERE)
        except (ValueError, OverflowError):
            wrong[option] = f"expected {row.kind.expected}"
    return values, wrong


_NOWHERE = Platform(signals={}, rlimits=frozenset())  # no option here depends on the operating system


def _unknown(option: str, table: Mapping[str, Option]) -> str:
    from difflib import get_close_matches  # only a mistake pays for this import

    near = get_close_matches(option, table, n=1)
    return f"no such option; did you mean {near[0]}?" if near else f"no such option; there are {', '.join(table)}"


def _texts(sections: Iterable[ExporterSpec]) -> dict[str, dict[str, str]]:
    return {section.name: dict(section.options) for section in sections}


def exporter_watcher(
    exporters: Iterable[ExporterSpec],
    endpoint: str,
    pubsub_endpoint: str,
    stats_endpoint: str,
    *,
    alerts: Iterable[ExporterSpec] = (),
    notify: Iterable[ExporterSpec] = (),
    python: str | None = None,
    config_file: str | None = None,
    keys: Keys | None = None,
) -> WatcherSpec:
    """The watcher of the one process that runs all exporters and watches for alerts; `python` is the interpreter, this one without it, and
    `keys` are those with which it is let in.
    """
    document = ExporterDocument(
        endpoint=endpoint,
        pubsub_endpoint=pubsub_endpoint,
        stats_endpoint=stats_endpoint,
        exporters=_texts(exporters),
        alerts=_texts(alerts),
        notify=_texts(notify),
        config_file=config_file,
        keys=keys,
    )
    return WatcherSpec(
        name=EXPORTER_WATCHER,
        cmd=shlex.quote(python or sys.executable),
        # -P: a directory in which circusd happens to run must not come before the installed packages.
        args=("-P", "-m", "circus_exporters.cli", "--stdin"),
        singleton=True,
        copy_env=True,
        graceful_timeout=6.0,
        max_retry=-1,
        backoff_max=30.0,  # one that cannot start says why each time
        role="exporter",
        origin="ini",
        stdin_data=json.dumps(asdict(document)).encode(),
    )
