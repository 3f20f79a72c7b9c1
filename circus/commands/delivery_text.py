"""Deliveries and notifiers for people, and the pieces of such texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from circus.spec.amounts import told_seconds

_LONG = 60


def delivery_text(state: Mapping[str, Any]) -> str:
    """How the last delivery of an alert to a notifier went, in a word."""
    if state["ok"]:
        return "ok"
    return "failed" if state.get("next") is None else "retrying"


def notifier_text(notifier: Mapping[str, Any], now: float) -> str:
    """How a notifier does."""
    text = f"notifier {notifier['name']} ({notifier['type']}): {notifier['delivered']} delivered"
    text += f", {notifier['failed']} given up" if notifier["failed"] else ""
    text += f", {notifier['waiting']} wait" if notifier["waiting"] else ""
    if notifier.get("attempts"):
        tries = "1 attempt" if notifier["attempts"] == 1 else f"{notifier['attempts']} attempts"
        left = notifier["next_time"] - now
        text += f"; {tries} failed, the next {f'in {span(left)}' if left >= 0.5 else 'is due'}"
    if notifier["last_error"]:
        text += f"; the last error: {one_line(notifier['last_error'])}"
    return f"{text} ({span(now - notifier['last_time'])} ago)" if notifier["last_time"] is not None else text


def outcomes(records: Iterable[Mapping[str, Any]], seq: int) -> dict[str, Mapping[str, Any]]:
    """How the deliveries of one alert went, by notifier: the data of their records, with `ok`."""
    return {
        record["data"]["notify"]: {**record["data"], "ok": record["record"] == "alert.delivered"}
        for record in records
        if record["record"] in ("alert.delivered", "alert.failed") and seq in record["data"]["alerts"]
    }


def outcome_text(name: str, found: Mapping[str, Any] | None) -> str:
    """What became of the delivery to one notifier."""
    if found is None or found["ok"]:
        return f"{name}: {'not delivered so far' if found is None else 'delivered'}"
    return f"{name}: failed: {one_line(found['error'] or found['reason'] or 'nobody says why')}"


def span(seconds: float) -> str:
    """A duration to a glance: the two largest units of it, `1h 5m`."""
    left = max(round(seconds), 0)
    parts = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
        elif parts:
            break
    return " ".join(parts[:2]) or told_seconds(0)


def table(rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as they have to be."""
    lines = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def one_line(text: str) -> str:
    """What others wrote, without what would move the cursor of a terminal."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    return plain if len(plain) <= _LONG else f"{plain[: _LONG - 1]}…"
