"""Records, measures and times as a story tells them: shorter than in the journal, where everything has to be.

Invariant: what is left out here is in `--json`, and no number is shown that only another clock could read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from circus.commands.delivery_text import span
from circus.commands.record_text import cause_text, detail, details, moment, who
from circus.wire.endings import sentence

_BESIDE_THE_POINT: Final = frozenset({"replacement", "spawn_seconds"})
_NOTHING_AT_ZERO: Final = frozenset({"backoff_seconds", "consecutive_failures"})
_CLOCK: Final = 1e9
"""A number of seconds like this is a moment."""


def lasting(seconds: float) -> str:
    """A duration at a glance: `52 ms`, `1.21 s`, `1h 5m`."""
    if seconds < 1.0:
        return f"{seconds * 1000:.2g} ms" if seconds < 0.0995 else f"{seconds * 1000:.0f} ms"
    return f"{seconds:.3g} s" if seconds < 60.0 else span(seconds)


def line(record: Mapping[str, Any]) -> str:
    """One record in a story; the end of a process in words."""
    data = record["data"]
    if record["record"] == "process.exited":
        rest = f"after {lasting(data['lifetime_seconds'])}: {sentence(data)}"
    else:
        rest = " ".join(
            f"{key}={short(key, value)}"
            for key, value in details(data)
            if key not in _BESIDE_THE_POINT and (value or key not in _NOTHING_AT_ZERO)
        )
    parts = (moment(record["time"]), f"#{record['seq']}", who(record), record["record"], rest)
    return " ".join(part for part in (*parts, f"({cause_text(record['cause'])})") if part)


def short(key: str, value: Any) -> str:
    """A value without digits that tell nothing."""
    return f"{value:.3g}" if isinstance(value, float) and key.endswith("seconds") else detail(value)


def measures(sample: Mapping[str, Any]) -> Iterator[str]:
    """How a process was measured last, without the clock that says how old a measure is."""
    for key, value in sample.items():
        if isinstance(value, Mapping):
            yield from (f"{key}_{name}={short(name, each)}" for name, each in value.items())
        elif not (isinstance(value, float) and key.endswith("time") and value > _CLOCK):
            yield f"{key}={short(key, value)}"


def waiting(record: Mapping[str, Any], now: float) -> str | None:
    """What is to be said of a watcher between two attempts, from the record of its state."""
    data = record["data"]
    failures, pause = data.get("consecutive_failures"), data.get("backoff_seconds")
    if data.get("to") != "backoff" or not failures or pause is None:
        return None
    left = record["time"] + pause - now
    at = time.strftime("%H:%M:%S", time.localtime(record["time"] + pause))
    again = f"in {lasting(left)}" if left >= 0.05 else "now"
    return f"{failures} failure{'s' if failures > 1 else ''} in a row; the next attempt is due {again}, at {at}"
