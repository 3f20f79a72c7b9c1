"""Metrics that Circus does not serve and the dashboards show: those of Prometheus, its client library and our rules.

Owns their names. Invariant: a dashboard names no metric that stands neither here nor in the exporter's catalogue.
"""

from __future__ import annotations

from typing import Final

from circus_exporters.metric import Metric, gauge

TARGET_UP = gauge("target", "X", "up", "1 if the last scrape went through, 0 if not, by Prometheus.")
EXPORTER_RESIDENT = gauge(
    "internals", "X", "process_resident_memory_bytes", "Memory in RAM of the process that serves the page."
)
_ALERT = ("alertname", "severity", "watcher", "wid")
ALERTS = Metric(
    name="ALERTS", type="gauge", group="target", source="X", labels=(*_ALERT, "alertstate"),
    closed={"alertstate": ("pending", "firing")}, help="1 for each alert of Prometheus' rules.",
)  # fmt: skip
ALERTS_SINCE = gauge("target", "X", "ALERTS_FOR_STATE", "Unix time at which an alert became active.", *_ALERT)
# Recorded by the rules of `dashboards/alerts`, which stand beside this directory and are not imported by it.
CAPACITY_MISSING = gauge(
    "watcher", "X", "watcher:circus_watcher_processes_missing:ratio", "Share of the expected processes.", "watcher"
)
RESTART_BUDGET = gauge(
    "watcher", "X", "watcher:circus_watcher_restart_budget:per_day", "Unplanned restarts that are agreed on.", "watcher"
)
RECORDED: Final = (CAPACITY_MISSING, RESTART_BUDGET)
METRICS: Final[tuple[Metric, ...]] = (TARGET_UP, EXPORTER_RESIDENT, ALERTS, ALERTS_SINCE, *RECORDED)
# Alerts of daemons have no watcher, and those of watchers no wid.
UNCERTAIN: Final = {ALERTS.name: ("watcher", "wid"), ALERTS_SINCE.name: ("watcher", "wid")}
