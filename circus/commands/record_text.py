"""A record for people, in one line, and the pieces of such lines.

Invariant: whatever a record says, it stays one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def record_line(record: Mapping[str, Any]) -> str:
    """One record for people: when, seq, who, what, and the details that are known."""
    known = [f"{key}={detail(value)}" for key, value in details(record["data"])]
    return " ".join(
        [moment(record["time"]), f"#{record['seq']}", who(record), record["record"], *known,
         f"({cause_text(record['cause'])})"]
    )  # fmt: skip


def moment(seconds: float) -> str:
    """A Unix time to the millisecond, in the zone of the reader."""
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) + f".{int(seconds % 1 * 1000):03d}"


def who(record: Mapping[str, Any]) -> str:
    """Whom a record is about: `web:1[4711]`."""
    name: str = record["watcher"] or "-"
    if record.get("wid") is not None:
        name += f":{record['wid']}"
    return name if record.get("pid") is None else f"{name}[{record['pid']}]"


def details(data: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What a record says and a line has room for."""
    return [(key, value) for key, value in data.items() if value not in (None, "", [], {}) and key not in _LONG]


_LONG = frozenset({"tail", "sample"})
"""What has no place in a line; `why` tells it."""


_EXACT = 1e6
"""From here on six digits would be an exponent; moments and sizes are told in full."""


def detail(value: Any) -> str:
    """One value of a record or of a sample, as it stands in a line."""
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < _EXACT else f"{value:.15g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value and not set(value) & set(" =()\n\t\"'"):
        return value
    if isinstance(value, list) and all(isinstance(each, dict) and "effect" in each for each in value):
        from circus.commands.values import change_text, section_text

        return "[" + ", ".join(section_text(each) if "subject" in each else change_text(each) for each in value) + "]"
    import json

    return json.dumps(value)


def cause_text(cause: Mapping[str, Any]) -> str:
    """What a record came of."""
    match cause:
        case {"kind": "command", "name": name}:
            return f"command {name} by {cause.get('actor') or 'somebody'}"
        case {"kind": "record", "seq": seq}:
            return f"because of #{seq}"
        case {"kind": kind, "name": name}:
            return f"{kind} {name}"
        case _:
            return str(cause.get("kind"))
