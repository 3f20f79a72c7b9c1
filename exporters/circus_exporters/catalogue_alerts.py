"""The metrics of alerts: a part of the table of the catalogue.

Owns these names, under the rules of `catalogue`.
"""

from __future__ import annotations

from typing import Final

from circus.spec.alert_fields import SEVERITIES
from circus_exporters.metric import Metric, counter, gauge

FAILURES: Final = ("refused", "timeout", "unreachable", "overflow", "error")
SUPPRESSIONS: Final = ("dedup", "silence", "startup")

ACTIVE = gauge(
    "internals", "X", "circus_alerts_active", "Alerts that fire now, silenced ones included.",
    "severity", severity=SEVERITIES,
)  # fmt: skip
DELIVERIES = counter(
    "internals", "X", "circus_alert_deliveries_total",
    "Beginnings and ends of alerts that a notifier has taken; an alert that is repeated counts once.", "sink",
)  # fmt: skip
RETRIES = counter(
    "internals", "X", "circus_alert_delivery_retries_total",
    "Attempts to deliver that failed and were to be made again.", "sink",
)  # fmt: skip
FAILED = counter(
    "internals", "X", "circus_alert_delivery_failures_total",
    "Beginnings and ends of alerts that were given up: refused, beyond retry_for, or dropped because too many waited.",
    "sink", "reason", reason=FAILURES,
)  # fmt: skip
SUPPRESSED = counter(
    "internals", "X", "circus_alerts_suppressed_total",
    "Alerts that were not told: their beginning was told before the exporter started again, somebody has silenced them, "
    "or the watcher was just starting.", "reason", reason=SUPPRESSIONS,
)  # fmt: skip
QUEUE = gauge(
    "internals", "X", "circus_alert_queue_length", "Beginnings and ends of alerts that a notifier is to be told.", "sink",
)  # fmt: skip

METRICS: Final[tuple[Metric, ...]] = (ACTIVE, DELIVERIES, RETRIES, FAILED, SUPPRESSED, QUEUE)
