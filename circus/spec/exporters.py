"""An exporter section, the document in which circusd hands all of them over, and the watcher that runs the exporter.

The document goes over standard input, never over the command line, where `ps` would show its secrets.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from circus.spec.watcher import WatcherSpec

EXPORTER_WATCHER = "circus-exporter"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterSpec:
    """`name` is what follows `exporter:` (`prometheus`); options are checked by the exporter that owns them."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterDocument:
    """What circus-exporter reads from its standard input as JSON: where the daemon is, and its own sections."""

    endpoint: str
    pubsub_endpoint: str
    stats_endpoint: str
    exporters: dict[str, dict[str, str]]
    config_file: str | None = None


def exporter_watcher(
    exporters: Iterable[ExporterSpec],
    endpoint: str,
    pubsub_endpoint: str,
    stats_endpoint: str,
    *,
    python: str | None = None,
    config_file: str | None = None,
) -> WatcherSpec:
    """The watcher of the one process that runs all exporters; `python` is the interpreter, this one without it."""
    document = ExporterDocument(
        endpoint=endpoint,
        pubsub_endpoint=pubsub_endpoint,
        stats_endpoint=stats_endpoint,
        exporters={exporter.name: dict(exporter.options) for exporter in exporters},
        config_file=config_file,
    )
    return WatcherSpec(
        name=EXPORTER_WATCHER,
        cmd=shlex.quote(python or sys.executable),
        # -P: a directory in which circusd happens to run must not come before the installed packages.
        args=("-P", "-m", "circus_exporters.cli", "--stdin"),
        singleton=True,
        copy_env=True,
        graceful_timeout=5.0,
        max_retry=-1,
        role="exporter",
        origin="ini",
        stdin_data=json.dumps(asdict(document)).encode(),
    )
