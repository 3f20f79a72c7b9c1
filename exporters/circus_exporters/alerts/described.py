"""What an alert carries: labels that identify it, texts for people, numbers.

Owns how these come from a rule, a watcher and an observation. Invariant: our own labels are never overwritten.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from circus.spec.alerts import AlertSpec
from circus.wire import alerts as wire
from circus.wire.events import Record
from circus_exporters.alerts import wording
from circus_exporters.alerts.engine import Key
from circus_exporters.alerts.evaluation import Change
from circus_exporters.alerts.messages import Alert


def alert(change: Change, labels: Mapping[str, str], instance: str, since: float) -> Alert:
    """The alert of a change to firing; `labels` are the watcher's, `since` is Unix time."""
    key, rule, seen = change.key, change.rule, change.seen
    value = seen.value if seen.value is not None and math.isfinite(seen.value) else None
    return Alert(
        key=key,
        kind=rule.kind,
        severity=rule.severity,
        labels={
            **{re.sub(r"[^a-zA-Z0-9_]", "_", name): text for name, text in labels.items()},
            **rule.labels,
            **_own(key, rule.kind, rule.severity, instance),
        },
        annotations=wording.texts(rule, key, seen.value, seen.threshold),
        since=since,
        value=value,
        threshold=seen.threshold,
        unit=wording.UNITS.get(rule.kind),
    )


def restored(told: wire.Alert, instance: str) -> Alert:
    """An alert as the daemon has kept it; one that is not ours has fewer labels and texts there than we tell of it."""
    key = Key(told.alert, told.watcher, told.wid)
    return Alert(
        key=key,
        kind=told.kind,
        severity=told.severity,
        labels={**told.labels, **_own(key, told.kind, told.severity, instance)},
        annotations={"summary": _plainly(key), **told.annotations},
        since=told.since,
        value=told.value,
        threshold=told.threshold,
        unit=told.unit,
        seq=told.seq,
    )


def recorded(record: Record, instance: str) -> Alert:
    """An alert by a record, of ours or of somebody else: its beginning, or its end, which tells less."""
    data = record.data
    name, kind, severity = (str(data.get(each)) for each in ("alert", "kind", "severity"))
    key = Key(name, record.watcher, record.wid)
    return Alert(
        key=key, kind=kind, severity=severity, since=float(data.get("since") or record.time), value=data.get("value"),
        threshold=data.get("threshold"), unit=data.get("unit"), seq=record.seq,
        labels={**(data.get("labels") or {}), **_own(key, kind, severity, instance)},
        annotations={"summary": _plainly(key), **(data.get("annotations") or {})},
    )  # fmt: skip


def _plainly(key: Key) -> str:
    return f"{key.rule} of {key.watcher}" if key.watcher else key.rule


def test(record: Record, rule: AlertSpec | None, instance: str) -> Alert:
    """What the command `test-alert` asks for: an alert that takes the way of a real one, and says that it is none."""
    name = str(record.data.get("alert"))
    key = Key(name, record.watcher, record.wid)
    kind, severity = ("test", "info") if rule is None else (rule.kind, rule.severity)
    return Alert(
        key=key,
        kind=kind,
        severity=severity,
        labels={**({} if rule is None else rule.labels), **_own(key, kind, severity, instance), "test": "true"},
        annotations={"summary": f"Test of [alert:{name}]", "description": "Nothing is wrong."},
        since=record.time,
        seq=record.seq,
    )


def _own(key: Key, kind: str, severity: str, instance: str) -> dict[str, str]:
    found = {"alertname": key.rule, "kind": kind, "severity": severity, "instance": instance}
    if key.watcher is not None:
        found["watcher"] = key.watcher
    if key.wid is not None:
        found["wid"] = str(key.wid)
    return found
