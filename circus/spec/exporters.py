"""An exporter section, and the document in which circusd hands all of them to the exporter process.

The document goes over standard input, never over the command line, where `ps` would show its secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
