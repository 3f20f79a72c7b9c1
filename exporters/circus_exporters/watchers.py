"""One watcher as metrics of the catalogue, for whatever form they are sent in.

Owns the way from a snapshot to metrics and labels. It refuses to know text formats and OTLP, and keeps no value: a removed
watcher leaves nothing behind.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Mapping
from typing import Protocol

from circus.wire.samples import Histogram
from circus.wire.snapshot import LastExit, WatcherSnapshot
from circus_exporters import catalogue, catalogue_alerts
from circus_exporters.metric import Metric
from circus_exporters.state import FleetState


class Families(Protocol):
    """Where values go. An unknown value (None) is none; `add_all` has a value for each value of the last label."""

    def add(self, metric: Metric, value: float | None, *labels: str) -> None: ...
    def add_all(self, metric: Metric, values: Mapping[str, float], *labels: str) -> None: ...
    def add_labelled(self, metric: Metric, pairs: Iterable[tuple[str, str]]) -> None: ...
    def add_histogram(self, metric: Metric, histogram: Histogram, *labels: str) -> None: ...


def tell_watcher(families: Families, state: FleetState, watcher: WatcherSnapshot) -> None:
    """Everything but durations."""
    name, counters = watcher.name, watcher.counters
    add, add_all = families.add, families.add_all
    add(
        catalogue.WATCHER_INFO, 1,
        name, watcher.executable, watcher.user or "", watcher.stop_signal, str(watcher.singleton).lower(),
    )  # fmt: skip
    if watcher.labels:
        families.add_labelled(catalogue.WATCHER_LABELS, [("watcher", name), *configured_labels(watcher.labels)])
    add_all(catalogue.WATCHER_STATE, {watcher.state: 1}, name)
    add(catalogue.WATCHER_DESIRED, watcher.desired, name)
    add_all(catalogue.WATCHER_PROCESSES, watcher.processes, name)
    add(catalogue.WATCHER_READY, watcher.ready, name)
    add(catalogue.CONSECUTIVE_FAILURES, watcher.consecutive_failures, name)
    add(catalogue.BACKOFF, watcher.backoff_seconds, name)
    add(catalogue.RELOAD_START, watcher.reload_started, name)
    add(catalogue.MEMORY_LIMIT, watcher.memory_limit_bytes, name, watcher.memory_limit_of)
    add_all(catalogue.STARTS, counters.starts, name)
    add_all(catalogue.RESTARTS, counters.restarts, name)
    exits = {(entry.initiator, entry.outcome): entry.n for entry in counters.exits}
    for initiator in catalogue.EXITS.closed["initiator"]:
        for outcome in catalogue.EXITS.closed["outcome"]:
            add(catalogue.EXITS, exits.get((initiator, outcome), 0), name, initiator, outcome)
    add_all(catalogue.SIGNAL_EXITS, counters.signal_exits, name)
    add_all(catalogue.SPAWN_FAILURES, counters.spawn_failures, name)
    add_all(catalogue.HOOK_FAILURES, counters.hook_failures, name)
    add_all(catalogue.STREAM_BYTES, counters.stream_bytes, name)
    add_all(catalogue.STREAM_LINES, counters.stream_lines, name)
    add_all(catalogue.STREAM_DROPS, counters.stream_drops, name)
    add(catalogue.RELOADS, counters.reloads, name)
    add(catalogue.RELOAD_FAILURES, counters.reload_failures, name)
    add(catalogue.LEFTOVERS, counters.leftovers, name)
    cpu = state.watcher_cpu(watcher)
    if cpu is not None:
        add_all(catalogue.WATCHER_CPU, dict(zip(catalogue.CPU_MODES, cpu, strict=True)), name)
    if watcher.last_exit is not None:
        _last_exit(families, name, watcher.last_exit)


def tell_durations(families: Families, watcher: WatcherSnapshot) -> None:
    """The histograms."""
    name, histograms = watcher.name, watcher.histograms
    families.add_histogram(catalogue.START_DURATION, histograms.start_seconds, name)
    families.add_histogram(catalogue.RESPAWN_DURATION, histograms.respawn_seconds, name)
    families.add_histogram(catalogue.STOP_DURATION, histograms.stop_seconds, name)
    families.add_histogram(catalogue.LIFETIME, histograms.lifetime_seconds, name)
    families.add_histogram(catalogue.RELOAD_DURATION, histograms.reload_seconds, name)
    for hook, histogram in histograms.hook_seconds.items():
        families.add_histogram(catalogue.HOOK_DURATION, histogram, name, hook)


def _last_exit(families: Families, name: str, last: LastExit) -> None:
    add = families.add
    add(catalogue.LAST_EXIT_TIME, last.time, name)
    add(catalogue.LAST_EXIT_CODE, last.exit_code, name)
    add(catalogue.LAST_EXIT_SIGNAL, signal_number(last.signal), name)
    add(catalogue.LAST_EXIT_PEAK, last.max_resident_bytes, name)


def tell_deliveries(families: Families, state: FleetState) -> None:
    """What the exporter itself has pushed to a collector, and told of alerts."""
    deliveries = state.deliveries
    if deliveries is not None:
        families.add(catalogue.SPANS_EXPORTED, deliveries.spans_exported)
        families.add_all(catalogue.SPANS_DROPPED, deliveries.spans_dropped)
        families.add(catalogue.SPANS_WAITING, deliveries.spans_waiting)
        families.add_all(catalogue.METRIC_EXPORTS, deliveries.metric_exports)

    alerting = state.alerting
    if alerting is not None:
        families.add_all(catalogue_alerts.ACTIVE, alerting.active)
        families.add_all(catalogue_alerts.SUPPRESSED, alerting.suppressed)
        for sink, number in alerting.delivered.items():
            families.add(catalogue_alerts.DELIVERIES, number, sink)
            families.add_all(catalogue_alerts.FAILED, alerting.failed[sink], sink)
        for sink, number in alerting.waiting.items():
            families.add(catalogue_alerts.RETRIES, alerting.retried[sink], sink)
            families.add(catalogue_alerts.QUEUE, number, sink)


def configured_labels(labels: Mapping[str, str]) -> list[tuple[str, str]]:
    """Labels of a configuration under names that Prometheus takes; of two that become the same the second is numbered.

    With their prefix they cannot be mistaken for labels that a metric has by itself.
    """
    found: dict[str, str] = {}
    for written in sorted(labels):
        name = stem = catalogue.WATCHER_LABELS.prefix + re.sub(r"[^a-zA-Z0-9_]", "_", written)
        number = 1
        while name in found:
            number += 1
            name = f"{stem}_{number}"
        found[name] = labels[written]
    return list(found.items())


def signal_number(name: str | None) -> int | None:
    """The number of a signal by its name; None for none and for names that this system does not know."""
    return signal.Signals[name].value if name and name in signal.Signals.__members__ else None
