"""The options of `[alert:NAME]` and `[notify:NAME]`: one row each, by kind of alert and type of notifier.

Owns names, kinds, defaults and sentences, as `fields` does for the others. Invariant: an option that a kind does not
use is not in its table, so that writing it is a mistake and not a wish that nobody hears.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, get_args

from circus.spec import kinds
from circus.spec.amounts import GLOBS, RATE, URL, WORDS, Amount, Unit, amount, duration, some_of
from circus.spec.fields import Effect, Option
from circus.spec.kinds import Kind
from circus.spec.watcher import HOOK_NAMES

AlertKind = Literal[
    "flapping", "down", "replicas_missing", "exit", "memory", "memory_growth", "cpu", "fds", "stuck_reload",
    "silent_output", "stats_stale", "hook_failed", "deadman",
]  # fmt: skip
Severity = Literal["critical", "warning", "info"]
NotifyType = Literal["webhook", "alertmanager", "exec", "python"]
Measure = Literal["rss", "uss", "tree"]

ALERT_KINDS: Final[tuple[AlertKind, ...]] = get_args(AlertKind)
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
NOTIFY_TYPES: Final[tuple[NotifyType, ...]] = get_args(NotifyType)

# Those of circus.wire.events, which this layer does not know; a test compares them.
EXIT_REASONS: Final = (
    "completed", "exit_error", "crash", "killed", "stopped", "stop_timeout",
    "max_age", "memory_limit", "watchdog", "oom", "lost",
)  # fmt: skip
UNEXPECTED: Final = ("exit_error", "crash", "killed", "oom", "lost")

SUBJECTS: Final[Mapping[AlertKind, Literal["process", "watcher", "daemon"]]] = MappingProxyType({
    "flapping": "watcher", "down": "watcher", "replicas_missing": "watcher", "exit": "watcher", "memory": "process",
    "memory_growth": "process", "cpu": "process", "fds": "process", "stuck_reload": "watcher",
    "silent_output": "watcher", "stats_stale": "daemon", "hook_failed": "watcher", "deadman": "daemon",
})  # fmt: skip
"""What one alert of a kind is about: a slot (watcher and wid), a watcher, or the daemon."""


def _row(name: str, kind: Kind, default: object, doc: str) -> Option:
    # The exporter reads them once, when it starts.
    return Option(name=name, kind=kind, ini=default, api=default, effect=Effect.RELOAD, doc=doc, new=True)


def _table(*rows: Option) -> Mapping[str, Option]:
    return MappingProxyType({row.name: row for row in rows})


def _above(unit: Unit, default: Amount, doc: str, *, percent: bool = False) -> tuple[Option, Option]:
    return (
        _row("above", amount(unit, percent=percent), default, f"{doc} Fires beyond it."),
        _row("clear_below", amount(unit, percent=percent), None, "What it has to come down to before it is over, so that a value which swings around `above` is one alert; `above` unless given."),
    )  # fmt: skip


def _for(seconds: float) -> Option:
    return _row("for", duration(), seconds, "How long it has to last before the alert fires.")


def _keep(seconds: float) -> Option:
    return _row("keep", duration(), seconds, "How long it has to be over before the alert is resolved.")


def _window(seconds: float, doc: str) -> Option:
    return _row("window", duration(above=0.0, high=86400.0), seconds, doc)


# fmt: off
_KIND = _row("kind", kinds.choice(*ALERT_KINDS), None, "What is watched for; the name of the section unless given.")
_SEVERITY = _row("severity", kinds.choice(*SEVERITIES), "warning", "How bad it is: the label `severity`.")
_WATCHERS = _row("watchers", GLOBS, ("*",), "Which watchers: names and globs, such as `web-*, !web-test`.")
_NOTIFY = _row("notify", WORDS, None, "Which `[notify:NAME]` are told; all unless given, and nobody where it is empty: `circusctl alerts` still shows it.")
_OF = _row("of", kinds.choice("rss", "uss", "tree"), "rss", "Which memory: that in RAM, that which nobody else uses (needs `metrics_memory`), or the RAM of the process with all its descendants.")


def _alert(*rows: Option, watchers: bool = True) -> Mapping[str, Option]:
    return _table(_KIND, *((_WATCHERS,) if watchers else ()), *rows, _SEVERITY, _NOTIFY)


ALERTS: Mapping[str, Mapping[str, Option]] = MappingProxyType({
    "flapping": _alert(
        *_above("count", Amount(3.0, "count"), "Unexpected ends of a watcher's processes, and starts that failed, within `window`, or in a row, however long the pauses between them have become; a watcher that was given up counts as flapping too."),
        _window(60.0, "The time in which they are counted."), _for(0.0), _keep(300.0),
    ),
    "down": _alert(_for(30.0), _keep(0.0)),
    "replicas_missing": _alert(
        _row("below", amount("percent", above=0.0, high=100.0), Amount(100.0, "percent"), "Share of the wanted processes that have to run. Fires under it."),
        _for(120.0), _keep(0.0),
    ),
    "exit": _alert(
        _row("reasons", some_of(*EXIT_REASONS), UNEXPECTED, "Which ends count, by the `reason` in the record `process.exited`."),
        *_above("count", Amount(0.0, "count"), "Such ends within `window`."),
        _window(300.0, "The time in which they are counted."), _for(0.0), _keep(0.0),
    ),
    "memory": _alert(
        *_above("bytes", Amount(90.0, "percent"), "Memory of one process; a share is of the watcher's `memory_limit`, and without one nothing is beyond it.", percent=True),
        _OF, _for(30.0), _keep(0.0),
    ),
    "memory_growth": _alert(
        *_above("bytes", Amount(200.0 * (1 << 20), "bytes"), "By how much the memory of one process grows within `window`; a share is of what it had before.", percent=True),
        _window(600.0, "The time over which it is compared; a younger process is left in peace."), _OF, _for(0.0), _keep(300.0),
    ),
    "cpu": _alert(
        *_above("percent", Amount(90.0, "percent"), "CPU that one process uses, in percent of one core, as the mean of `window`."),
        _window(60.0, "The time of which the mean is taken."), _for(300.0), _keep(0.0),
    ),
    "fds": _alert(
        *_above("count", Amount(90.0, "percent"), "Open file descriptors of one process; a share is of its own limit.", percent=True),
        _for(60.0), _keep(0.0),
    ),
    "stuck_reload": _alert(*_above("seconds", Amount(600.0, "seconds"), "How long a reload takes.")[:1], _for(0.0), _keep(0.0)),
    "silent_output": _alert(*_above("seconds", Amount(600.0, "seconds"), "How long a watcher that runs writes nothing to its outputs, as far as circusd reads them.")[:1], _for(0.0), _keep(0.0)),
    "stats_stale": _alert(*_above("seconds", Amount(30.0, "seconds"), "Age of the newest sample of any process; ten intervals of sampling at least.")[:1], _for(60.0), _keep(0.0), watchers=False),
    "hook_failed": _alert(
        _row("hooks", some_of(*HOOK_NAMES), HOOK_NAMES, "Which hooks; all unless given."),
        *_above("count", Amount(0.0, "count"), "Failures of hooks within `window`."),
        _window(300.0, "The time in which they are counted."), _for(0.0), _keep(0.0),
    ),
    # Nobody is told by `notify`: the silence of the ping is the alert, and somebody else's clock notices it.
    "deadman": _table(
        _KIND,
        _row("url", URL, None, "Where to ask by GET, as long as all is well: a service that tells you when nobody asks any more."),
        _row("interval", duration(above=0.0, high=86400.0), 60.0, "Time between two requests."),
        _row("timeout", duration(above=0.0, high=3600.0), 10.0, "How long one request may take."),
    ),
})


def _notify(*rows: Option, rate: float, batch: int) -> Mapping[str, Option]:
    return _table(
        _TYPE, *rows,
        _row("timeout", duration(above=0.0, high=3600.0), 10.0, "How long one delivery may take."),
        _row("rate", RATE, rate, "How many deliveries there may be in a time; what is beyond it waits."),
        _row("burst", kinds.integer(1, 10_000), 10, "How many may follow each other at once after a pause."),
        _row("batch", kinds.integer(1, 1000), batch, "How many alerts may go together in one delivery."),
        _row("queue", kinds.integer(1, 100_000), 10_000, "How many alerts may wait; beyond it the oldest is dropped and counted."),
        _row("retry_for", duration(high=604800.0), 3600.0, "How long a delivery that failed for a time is tried again, with growing pauses; 0 never."),
        _row("send_resolved", kinds.BOOLEAN, True, "Whether to tell the end of an alert too."),
    )


_TYPE = _row("type", kinds.choice(*NOTIFY_TYPES), None, "How alerts are delivered; the name of the section unless given.")
_CERTIFICATE = _row("certificate", kinds.OPTIONAL_TEXT, None, "File of the authorities that may vouch for the server; those of the system unless given; relative to the file that names it.")
_REPEAT = "Time after which an alert that still fires is told again; 0 never."

NOTIFIERS: Mapping[str, Mapping[str, Option]] = MappingProxyType({
    "webhook": _notify(
        _row("url", URL, None, "Where to POST the alerts, in the shape of Alertmanager's webhook, version 4."),
        _row("secret", kinds.OPTIONAL_TEXT, None, "Key by which the body is signed (HMAC with SHA-256), so that the receiver knows whose it is."),
        _row("secret_file", kinds.OPTIONAL_TEXT, None, "File with that key; relative to the file that names it."),
        _CERTIFICATE,
        _row("repeat", duration(high=2_592_000.0), 0.0, _REPEAT),
        rate=1.0, batch=100,
    ),
    "alertmanager": _notify(
        _row("url", URL, None, "Alertmanager, without the path of its API: http://HOST:9093."),
        _CERTIFICATE,
        _row("repeat", duration(above=0.0, high=3600.0), 60.0, "Time after which an alert that still fires is sent again: Alertmanager takes silence for the end."),
        rate=10.0, batch=500,
    ),
    "exec": _notify(
        _row("cmd", kinds.OPTIONAL_TEXT, None, "Program to run, split into words as a shell does; it gets the same JSON as a webhook on its standard input, and status 0 means that it was delivered."),
        _row("repeat", duration(high=2_592_000.0), 0.0, _REPEAT),
        rate=1.0, batch=100,
    ),
    "python": _notify(
        _row("callable", kinds.OPTIONAL_TEXT, None, "Dotted name of a function, called in a thread of the exporter with the same document as a webhook gets; returning means that it was delivered."),
        _row("repeat", duration(high=2_592_000.0), 0.0, _REPEAT),
        rate=1.0, batch=100,
    ),
})
# fmt: on

# Families: after the prefix a name of one's own.
LABELS: Final = "labels."
ANNOTATIONS: Final = "annotations."
HEADERS: Final = "headers."
ALERT_FAMILIES: Mapping[str, str] = MappingProxyType({
    LABELS: "A label of the alert, besides `alertname`, `kind`, `severity`, `watcher`, `wid` and the labels of the watcher.",
    ANNOTATIONS: "Text for people, such as `annotations.summary`; {watcher}, {wid}, {value}, {threshold}, {alert}, {kind} and {severity} in it are filled in.",
})  # fmt: skip
NOTIFY_FAMILIES: Mapping[str, str] = MappingProxyType(
    {HEADERS: "A header of the request; with `webhook` and `alertmanager`."}
)
OWN_LABELS: Final = frozenset({"alertname", "kind", "severity", "watcher", "wid", "instance"})
PLACEHOLDERS: Final = frozenset({"alert", "kind", "watcher", "wid", "severity", "value", "threshold"})
