"""Alerts as others take them: Alertmanager's webhook, version 4, and what its API takes.

Owns these shapes. It refuses to know how they are sent. Invariant: the labels of an alert are its identity and never change
while it fires, so that whoever was told of its beginning recognises its end.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from circus_exporters.alerts.engine import Key

SIGNATURE: Final = "X-Circus-Signature"
_NEVER: Final = "0001-01-01T00:00:00Z"
_FNV_OFFSET: Final = 14695981039346656037
_FNV_PRIME: Final = 1099511628211
_SEPARATOR: Final = b"\xff"


@dataclass(slots=True, kw_only=True)
class Alert:
    """An alert that fires or did. Times are Unix times; `seq` is its record in the daemon's journal, once that is known,
    and `ended` None while it fires.
    """

    key: Key
    kind: str
    severity: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    since: float
    value: float | None = None
    threshold: float | None = None
    unit: str | None = None
    seq: int | None = None
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """What one notifier is to be told of an alert; `repeated` when it was told before."""

    alert: Alert
    what: Literal["firing", "resolved", "test"]
    repeated: bool = False


def fingerprint(labels: Mapping[str, str]) -> str:
    """The same as Alertmanager gives to an alert with these labels."""
    parts = (part for name in sorted(labels) for part in (name.encode(), _SEPARATOR, labels[name].encode(), _SEPARATOR))
    found = _FNV_OFFSET
    for byte in b"".join(parts):
        found = (found ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return f"{found:016x}"


def rfc3339(moment: float) -> str:
    """A Unix time as text, in UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def webhook(notices: Sequence[Notice], *, receiver: str, instance: str) -> dict[str, Any]:
    """The document of a webhook. All notices are of one kind: `status` is true for each of the alerts."""
    alerts = [notice.alert for notice in notices]
    status = "resolved" if notices[0].what == "resolved" else "firing"
    key = alerts[0].key
    return {
        "version": "4",
        "groupKey": group_key(instance, key) if len(alerts) == 1 else f"circus:{instance}:{receiver}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": receiver,
        "groupLabels": {"alertname": key.rule} if all(alert.key.rule == key.rule for alert in alerts) else {},
        "commonLabels": _common(alert.labels for alert in alerts),
        "commonAnnotations": _common(alert.annotations for alert in alerts),
        "externalURL": "",
        "alerts": [_of_webhook(alert, status) for alert in alerts],
    }


def group_key(instance: str, key: Key) -> str:
    """What both the beginning and the end of an alert carry, for receivers that open and close by it."""
    parts = ("circus", instance, key.rule, key.watcher, None if key.wid is None else str(key.wid))
    return ":".join(part for part in parts if part is not None)


def _of_webhook(alert: Alert, status: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": rfc3339(alert.since),
        "endsAt": _NEVER if alert.ended is None or status == "firing" else rfc3339(alert.ended),
        "generatorURL": "",
        "fingerprint": fingerprint(alert.labels),
    }


def _common(sets: Iterable[Mapping[str, str]]) -> dict[str, str]:
    first, *others = sets
    return {name: text for name, text in first.items() if all(other.get(name) == text for other in others)}


def alertmanager(notices: Iterable[Notice], *, now: float, lasting: float) -> list[dict[str, Any]]:
    """What Alertmanager's API takes. It holds an alert that fires for over after `lasting` seconds without a word of us."""
    return [
        {
            "labels": dict(notice.alert.labels),
            "annotations": dict(notice.alert.annotations),
            "startsAt": rfc3339(notice.alert.since),
            "endsAt": rfc3339(now + lasting if notice.what != "resolved" else min(notice.alert.ended or now, now)),
        }
        for notice in notices
    ]


def encoded(document: object) -> bytes:
    """As JSON."""
    return msgspec.json.encode(document)


def signature(secret: bytes, body: bytes) -> str:
    """What the header `X-Circus-Signature` says of a body."""
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
