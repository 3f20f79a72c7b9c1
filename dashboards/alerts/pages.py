"""The tables of the documentation about rules: alerts, thresholds with their sentences, recorded series.

Owns the rows. It refuses to know the pages that they stand on. Invariant: what is shown is what is built.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from circus_exporters.catalogue import METRICS
from dashboards.alerts import groups
from dashboards.alerts.model import Alert, Record
from dashboards.alerts.settings import Settings

FULL_DETAIL: Final = {metric.name for metric in METRICS if metric.group == "process" and metric.detail == "full"}


def alerts(group: str) -> str:
    """The alerts of a group: name, severity, what they say, and how long it takes."""
    rows = []
    for made in groups(Settings.load()):
        for rule in made.rules:
            if made.name == group and isinstance(rule, Alert):
                mark = " *" if _needs_full_detail(rule) else ""
                after = rule.after or "at once"
                rows.append([f"[{rule.name}]({rule.name}.md){mark}", rule.severity, _plain(rule.summary), after])
    return _table(("alert", "severity", "says", "after"), rows)


def thresholds() -> str:
    """Every entry of the settings but severities and addresses."""
    settings = Settings.load()
    rows = []
    for name in settings.document:
        for key, (value, why) in settings.section(name).entries().items():
            if key != "runbook_url":
                rows.append([f"`{name}.{key}`", f"`{_shown(value)}`", why.replace("|", "\\|")])
    return _table(("threshold", "value", "because"), rows)


def records() -> str:
    """The recorded series."""
    made = [rule for group in groups(Settings.load()) for rule in group.rules if isinstance(rule, Record)]
    return _table(("series", "what it is"), [[f"`{record.name}`", record.about] for record in made])


def _needs_full_detail(rule: Alert) -> bool:
    return all(any(name in part for name in FULL_DETAIL) for part in rule.expr.split("\nor\n"))


def _shown(value: Any) -> str:
    return "none" if value == {} else str(value)


def _plain(text: str) -> str:
    """A summary with placeholders as people read them."""
    for name in ("instance", "watcher", "wid", "signal", "sink"):
        text = text.replace(f"{{{{ $labels.{name} }}}}", name.upper())
    return text


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [head, ["---"] * len(list(head)), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
