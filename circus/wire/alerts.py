"""Alerts between the exporter, which watches for them, the daemon, which keeps them, and whoever asks.

Owns the shapes. Invariant: an alert is known by its rule, watcher and wid, never by a pid; numbers are plain (bytes,
percent, seconds, a count) and `unit` says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

FIRING: Final = "alert.firing"
RESOLVED: Final = "alert.resolved"
DELIVERED: Final = "alert.delivered"
FAILED: Final = "alert.failed"
RETRYING: Final = "retrying"
"""No record is made of it: only the state of the notifier and of the alerts changes."""
STANDING: Final = "standing"
"""No record is made of it: only how alerts stand that fire already changes."""
TOLD: Final = (FIRING, RESOLVED, DELIVERED, FAILED, RETRYING, STANDING)
"""What the command `record` takes."""
SILENCED: Final = "alert.silenced"
UNSILENCED: Final = "alert.unsilenced"
TEST: Final = "alert.test"

SEVERITIES: Final = ("critical", "warning", "info")
RESOLVED_REASONS: Final = ("recovered", "gone", "removed")
"""`recovered`: the condition is over. `gone`: the process or watcher is not there any more, or was stopped on purpose.
`removed`: the configuration has no such alert any more.
"""

UNSILENCED_REASONS: Final = ("command", "expired")

MOST_DATA: Final = 16_384
"""Bytes that the data of one record may have: the journal keeps thousands."""

Severity = Literal["critical", "warning", "info"]
Reason = Literal["recovered", "gone", "removed"]


class Firing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Data of `alert.firing`. `since` is when the condition began, Unix time; watcher and wid are the record's."""

    alert: str
    kind: str
    severity: Severity
    since: float
    value: float | None = None
    threshold: float | None = None
    unit: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Resolved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Data of `alert.resolved`; `reason` is one of RESOLVED_REASONS, `value` the last one seen."""

    alert: str
    reason: Reason
    value: float | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Data of `alert.delivered` and `alert.failed`: one delivery, which may carry many alerts.

    `alerts` are the seqs of their records `alert.firing` (of `alert.test` for a test), as far as they are known;
    `count` is how many they were. `failed` is told when a delivery is given up, not at each attempt; `error` says why,
    and `reason` in a word: `refused`, `timeout`, `unreachable`, `overflow`, `error`.
    """

    notify: str
    type: str
    count: int
    alerts: list[int] = []
    attempts: int = 1
    seconds: float | None = None
    waiting: int | None = None
    reason: str | None = None
    error: str | None = None


class Retrying(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Data of `retrying`: an attempt at a delivery failed, and another will be made at `next`, Unix time.

    The others are as those of a delivery, `attempts` those that were made so far.
    """

    notify: str
    type: str
    count: int
    attempts: int
    next: float
    alerts: list[int] = []
    waiting: int | None = None
    reason: str | None = None
    error: str | None = None


class Stand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the alert with this `seq` stands: the last `value`, and when it `ends` unless it comes again, Unix time."""

    seq: int
    value: float | None = None
    ends: float | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Data of `standing`: how some alerts stand that fire; one that does not fire any more is passed over."""

    alerts: list[Stand]


class Told(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The properties of the command `record`. `cause` is the seq of the lifecycle record that led here, if one did."""

    record: str
    watcher: str | None = None
    wid: int | None = None
    cause: int | None = None
    data: dict[str, Any] = {}


class NewSilence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The properties of the command `silence`: globs, and when it ends, either in `seconds` or at `until`, Unix time."""

    alert: str = "*"
    watcher: str = "*"
    wid: int | None = None
    seconds: float | None = None
    until: float | None = None
    comment: str = ""
    author: str | None = None


class DeliveryState(msgspec.Struct, frozen=True, kw_only=True):
    """How the last delivery of an alert to one notifier went. While it is being tried `next` is when it will be again."""

    ok: bool
    time: float
    attempts: int
    error: str | None = None
    next: float | None = None


class Alert(msgspec.Struct, kw_only=True):
    """An alert that fires. `seq` is its record `alert.firing`; `silence` the id of a silence that covers it; `value` the
    last one seen. When the condition is over already `ends` is when the alert is, unless it comes again, Unix time.
    """

    alert: str
    kind: str
    watcher: str | None
    wid: int | None
    severity: str
    since: float
    fired: float
    seq: int
    value: float | None
    threshold: float | None
    unit: str | None
    labels: dict[str, str]
    annotations: dict[str, str]
    deliveries: dict[str, DeliveryState] = {}
    silence: int | None = None
    ends: float | None = None


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts of these rules, watchers (globs) and slot are told to nobody before `until`, Unix time.

    `user` is the name of the author where that is a uid which circusd's machine knows.
    """

    id: int
    alert: str
    watcher: str
    wid: int | None
    since: float
    until: float
    author: str
    comment: str
    user: str | None = None


class Notifier(msgspec.Struct, kw_only=True):
    """How a notifier does, since the daemon's boot: alerts delivered and given up, how many wait, and the last error.

    While a delivery is being tried, `attempts` have failed and the next will be made at `next_time`, Unix time.
    """

    name: str
    type: str
    delivered: int = 0
    failed: int = 0
    waiting: int | None = None
    last_time: float | None = None
    last_error: str | None = None
    attempts: int = 0
    next_time: float | None = None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `record`: which record was made, in which life of the daemon.

    Of an alert that fires already it is the record of then; where there was nothing to resolve it is null.
    """

    boot: str
    seq: int | None


class Silenced(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `silence` and `unsilence`: the record that was made, and the silence that is in force or was."""

    boot: str
    seq: int
    silence: Silence


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `test-alert`: the record that was made, and the names of those who are told."""

    boot: str
    seq: int
    notify: list[str]


class AlertsAnswer(msgspec.Struct, kw_only=True):
    """The answer of `alerts`: all that fires, all silences that are in force, and how the notifiers do.

    `refused` counts alerts that there was no room for, `configured` names the sections `[alert:NAME]`. `seq` is the last lifecycle record before this was taken.
    """

    status: str = "ok"
    boot: str
    seq: int
    time: float
    alerts: list[Alert]
    silences: list[Silence]
    notifiers: list[Notifier]
    refused: int
    configured: list[str]


Data = Firing | Resolved | Delivery | Retrying | Standing


def data_of(record: str) -> type[Data]:
    """The shape of the data that the command `record` takes for a record of this name."""
    match record:
        case "alert.firing":
            return Firing
        case "alert.resolved":
            return Resolved
        case "retrying":
            return Retrying
        case "standing":
            return Standing
        case _:
            return Delivery


def told_data(record: str, data: Mapping[str, Any]) -> Data:
    """The data of a record of this name; msgspec.ValidationError where it does not fit."""
    found: Data = msgspec.convert(data, data_of(record))
    return found


def as_data(value: msgspec.Struct) -> dict[str, Any]:
    """As the data of a record: every key is there."""
    found: dict[str, Any] = msgspec.to_builtins(value)
    return found
