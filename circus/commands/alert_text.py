"""Alerts and silences for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from circus.commands.delivery_text import delivery_text, notifier_text, one_line, span, table
from circus.spec.amounts import Amount

_HEADS = ("SEVERITY", "ALERT", "WHERE", "FOR", "VALUE", "LIMIT", "ENDS", "TOLD")
_ENDS = _HEADS.index("ENDS")
_WORST_FIRST = ("critical", "warning", "info")


def alerts_text(msg: Mapping[str, Any]) -> str:
    """The answer of `alerts`: a table of what fires, the worst first, then silences, then who cannot be reached."""
    now = msg["time"]
    rows = [_HEADS, *(_alert(alert, now) for alert in sorted(msg["alerts"], key=_order))]
    if all(row[_ENDS] == "-" for row in rows[1:]):  # most of the time, and the line is long
        rows = [(*row[:_ENDS], *row[_ENDS + 1 :]) for row in rows]
    parts = [table(rows) if rows[1:] else _nothing(msg["configured"])]
    if msg["silences"]:
        parts.append("\n".join(silence_text(silence, now) for silence in msg["silences"]))
    unreached = [
        notifier_text(each, now)
        for each in msg["notifiers"]
        if each["failed"] or each["waiting"] or each.get("attempts")
    ]
    if unreached:
        parts.append("\n".join(unreached))
    if msg["refused"]:
        parts.append(f"{msg['refused']} alerts were refused, because there was no room for them")
    return "\n\n".join(parts)


def _nothing(configured: Sequence[str]) -> str:
    return f"nothing fires of {', '.join(configured)}" if configured else "nothing fires, and no alert is configured"


def _order(alert: Mapping[str, Any]) -> tuple[int, float]:
    return _WORST_FIRST.index(alert["severity"]), alert["fired"]


def _alert(alert: Mapping[str, Any], now: float) -> tuple[str, ...]:
    where = alert["watcher"] or "circusd"
    if alert["wid"] is not None:
        where += f":{alert['wid']}"
    told = ", ".join(f"{name} {delivery_text(each)}" for name, each in alert["deliveries"].items())
    if alert["silence"] is not None:
        told = f"silence {alert['silence']}" + (f" ({told})" if told else "")
    return (
        alert["severity"], alert["alert"], where, span(now - alert["fired"]),
        _amount(alert["value"], alert["unit"]), _amount(alert["threshold"], alert["unit"]),
        _ends(alert.get("ends"), now), told or "-",
    )  # fmt: skip


def _ends(ends: float | None, now: float) -> str:
    """Of an alert that is only kept."""
    return "-" if ends is None else f"in {span(max(ends - now, 1.0))} unless it comes again"


def _amount(value: float | None, unit: str | None) -> str:
    if value is None:
        return "-"
    match unit:
        case "bytes" | "percent" | "seconds":
            return str(Amount(round(value, 3), unit))
        case _:
            return f"{value:g}"


def silence_text(silence: Mapping[str, Any], now: float) -> str:
    """One silence: `silence 3: web, alert leak, for another 59m (by root: deploy)`."""
    what = "all watchers" if silence["watcher"] == "*" else silence["watcher"]
    what += f":{silence['wid']}" if silence["wid"] is not None else ""
    what += "" if silence["alert"] == "*" else f", alert {silence['alert']}"
    comment = f": {one_line(silence['comment'])}" if silence["comment"] else ""
    by = f" (by {one_line(silence.get('user') or silence['author'])}{comment})"
    return f"silence {silence['id']}: {what}, for another {span(silence['until'] - now)}{by}"
