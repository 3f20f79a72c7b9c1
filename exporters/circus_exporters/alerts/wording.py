"""What is said of an alert to people, where its section says nothing: a summary, and a sentence with the numbers.

Owns the words. Invariant: a summary has no number that changes, so that it is the same for each firing of an alert.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from circus.spec.alert_fields import AlertKind
from circus.spec.alerts import AlertSpec, filled
from circus.spec.amounts import Amount, Unit, told_seconds
from circus_exporters.alerts.engine import Key

UNITS: Final[Mapping[AlertKind, Unit | None]] = {
    "flapping": "count", "down": "count", "replicas_missing": "percent", "exit": "count", "memory": "bytes",
    "memory_growth": "bytes", "cpu": "percent", "fds": "count", "stuck_reload": "seconds", "silent_output": "seconds",
    "stats_stale": "seconds", "hook_failed": "count",
}  # fmt: skip
"""The unit of what is measured, whatever the threshold is written in."""

_SUMMARIES: Final[Mapping[AlertKind, str]] = {
    "flapping": "{watcher} does not stay up",
    "down": "{watcher} is down",
    "replicas_missing": "{watcher} runs fewer processes than it should",
    "exit": "processes of {watcher} ended",
    "memory": "process {wid} of {watcher} needs much memory",
    "memory_growth": "the memory of process {wid} of {watcher} grows",
    "cpu": "process {wid} of {watcher} uses much CPU",
    "fds": "process {wid} of {watcher} has many open file descriptors",
    "stuck_reload": "a reload of {watcher} does not end",
    "silent_output": "{watcher} writes nothing",
    "stats_stale": "circusd tells no samples",
    "hook_failed": "a hook of {watcher} failed",
}


def told(value: float | None, unit: Unit | None) -> str:
    """A number with its unit; nothing for one that is not known."""
    if value is None or unit is None:
        return ""
    if math.isinf(value):
        return "without end"
    if unit == "seconds":
        return told_seconds(round(value))
    return str(Amount(round(value, 1) if unit == "percent" else round(value), unit))


_SENTENCES: Final[Mapping[AlertKind, Callable[[AlertSpec, str, str], str]]] = {
    "flapping": lambda rule, value, limit: f"{value} failures within {told_seconds(rule.window_seconds)}, more than {limit}.",
    "down": lambda _rule, _value, _limit: "None of its processes runs.",
    "replicas_missing": lambda _rule, value, limit: f"{value} of its processes run, less than {limit}.",
    "exit": lambda rule, value, _limit: f"{value} of them within {told_seconds(rule.window_seconds)} ({', '.join(rule.reasons)}).",
    "memory": lambda rule, value, limit: f"{value} ({rule.of}), more than {limit}.",
    "memory_growth": lambda rule, value, limit: f"By {value} ({rule.of}) within {told_seconds(rule.window_seconds)}, more than {limit}.",
    "cpu": lambda rule, value, limit: f"{value} of a core, the mean of {told_seconds(rule.window_seconds)}, more than {limit}.",
    "fds": lambda _rule, value, limit: f"{value}, more than {limit}.",
    "stuck_reload": lambda _rule, value, limit: f"It goes on for {value}, more than {limit}.",
    "silent_output": lambda _rule, value, limit: f"Nothing for {value}, more than {limit}.",
    "stats_stale": lambda _rule, value, limit: f"None for {value}, more than {limit}.",
    "hook_failed": lambda rule, value, _limit: f"{value} failures within {told_seconds(rule.window_seconds)} ({', '.join(rule.hooks)}).",
}  # fmt: skip


def texts(rule: AlertSpec, key: Key, value: float | None, threshold: float | None) -> dict[str, str]:
    """Those of the section with its placeholders filled in, and a summary and a description of ours where it has none."""
    unit = UNITS.get(rule.kind)
    number, limit = told(value, unit), told(threshold, unit)
    if rule.kind == "flapping" and value is not None and math.isinf(value):
        sentence = "It was given up: no attempt to start it is made any more."
    else:
        sentence = _SENTENCES[rule.kind](rule, number, limit)
    values: dict[str, object] = {
        "alert": rule.name, "kind": rule.kind, "watcher": key.watcher, "wid": key.wid, "severity": rule.severity,
        "value": number, "threshold": limit,
    }  # fmt: skip
    own = {"summary": filled(_SUMMARIES[rule.kind], values), "description": sentence}
    return own | {name: filled(text, values) for name, text in rule.annotations.items()}
