"""Alerts, silences and notifiers for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from circus.spec.amounts import Amount, told_seconds

_HEADS = ("SEVERITY", "ALERT", "WHERE", "FOR", "VALUE", "LIMIT", "TOLD")
_WORST_FIRST = ("critical", "warning", "info")
_LONG = 60


def alerts_text(msg: Mapping[str, Any]) -> str:
    """The answer of `alerts`: a table of what fires, the worst first, then silences, then who cannot be reached."""
    now = msg["time"]
    rows = [_alert(alert, now) for alert in sorted(msg["alerts"], key=_order)]
    parts = [table([_HEADS, *rows]) if rows else _nothing(msg["configured"])]
    if msg["silences"]:
        parts.append("\n".join(silence_text(silence, now) for silence in msg["silences"]))
    unreached = [_notifier(each, now) for each in msg["notifiers"] if each["failed"] or each["waiting"]]
    if unreached:
        parts.append("\n".join(unreached))
    if msg["refused"]:
        parts.append(f"{msg['refused']} alerts were refused, because there was no room for them")
    return "\n\n".join(parts)


def _nothing(configured: Sequence[str]) -> str:
    return f"nothing fires of {', '.join(configured)}" if configured else "nothing fires, and no alert is configured"


def _order(alert: Mapping[str, Any]) -> tuple[int, float]:
    return _WORST_FIRST.index(alert["severity"]), alert["fired"]


def _alert(alert: Mapping[str, Any], now: float) -> Sequence[str]:
    where = alert["watcher"] or "circusd"
    if alert["wid"] is not None:
        where += f":{alert['wid']}"
    told = ", ".join(f"{name} {'ok' if each['ok'] else 'failed'}" for name, each in alert["deliveries"].items())
    if alert["silence"] is not None:
        told = f"silence {alert['silence']}" + (f" ({told})" if told else "")
    return (
        alert["severity"], alert["alert"], where, span(now - alert["fired"]),
        _amount(alert["value"], alert["unit"]), _amount(alert["threshold"], alert["unit"]), told or "-",
    )  # fmt: skip


def _amount(value: float | None, unit: str | None) -> str:
    if value is None:
        return "-"
    match unit:
        case "bytes" | "percent" | "seconds":
            return str(Amount(round(value, 3), unit))
        case _:
            return f"{value:g}"


def silence_text(silence: Mapping[str, Any], now: float) -> str:
    """One silence: `silence 3: web, alert leak, for another 59m (by uid:1000: deploy)`."""
    what = "all watchers" if silence["watcher"] == "*" else silence["watcher"]
    what += f":{silence['wid']}" if silence["wid"] is not None else ""
    what += "" if silence["alert"] == "*" else f", alert {silence['alert']}"
    comment = f": {_one_line(silence['comment'])}" if silence["comment"] else ""
    by = f" (by {_one_line(silence['author'])}{comment})"
    return f"silence {silence['id']}: {what}, for another {span(silence['until'] - now)}{by}"


def _notifier(notifier: Mapping[str, Any], now: float) -> str:
    text = f"notifier {notifier['name']} ({notifier['type']}): {notifier['delivered']} delivered"
    text += f", {notifier['failed']} given up" if notifier["failed"] else ""
    text += f", {notifier['waiting']} wait" if notifier["waiting"] else ""
    if notifier["last_error"]:
        text += f"; the last error: {_one_line(notifier['last_error'])}"
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
    return f"{name}: failed: {_one_line(found['error'] or found['reason'] or 'nobody says why')}"


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
    lines = [[_one_line(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _one_line(text: str) -> str:
    """What others wrote, without what would move the cursor of a terminal."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    return plain if len(plain) <= _LONG else f"{plain[: _LONG - 1]}…"
