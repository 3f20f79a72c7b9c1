"""Metrics that Circus does not make and the dashboards show: those of Prometheus and of its client library.

Owns their names. Invariant: a dashboard names no metric that stands neither here nor in the exporter's catalogue.
"""

from __future__ import annotations

from typing import Final

from circus_exporters.metric import Metric, gauge

TARGET_UP = gauge("target", "X", "up", "1 if the last scrape went through, 0 if not, by Prometheus.")
EXPORTER_RESIDENT = gauge(
    "internals", "X", "process_resident_memory_bytes", "Memory in RAM of the process that serves the page."
)
METRICS: Final[tuple[Metric, ...]] = (TARGET_UP, EXPORTER_RESIDENT)
