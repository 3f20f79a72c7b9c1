"""Objectives: how much of the wanted capacity may be missing, and how often a watcher may be restarted.

Owns the burn rates: two windows each, the long one so that a hiccup does not count, the short one so that the alert ends
when the trouble does. It refuses to know causes. Invariant: time that was not seen counts as good, so a watcher that has
just been added, or had been stopped, does not begin with its budget spent.
"""

from __future__ import annotations

from circus_exporters import catalogue as c
from dashboards.alerts.base import BUDGET, MISSING, alert, unplanned
from dashboards.alerts.model import Alert, Group, Record, Rule
from dashboards.alerts.promql import select
from dashboards.alerts.settings import Settings, seconds

DAY = 86400.0
NAME = "{{ $labels.watcher }} on {{ $labels.instance }}"


def slo(settings: Settings) -> Group:
    """The recorded budgets, then the alerts that read them."""
    rules: tuple[Rule, ...] = (_budget(settings), *_capacity(settings), *_restarts(settings))
    return Group(name="circus.slo", interval=settings.section("rules").duration("interval"), rules=rules)


def _budget(settings: Settings) -> Record:
    section = settings.section("RestartBudget")
    named = [(select(c.WATCHER_DESIRED), section.number("per_day"))]
    for pattern, budget in reversed(section.numbers("watchers").items()):
        named.insert(0, (f'{c.WATCHER_DESIRED.name}{{watcher=~"{pattern}"}}', budget))
    return Record(
        name=BUDGET,
        expr="\nor\n".join(f"0 * {series} + {budget:g}" for series, budget in named),
        about="Unplanned restarts that a watcher may have in a day.",
    )


def _capacity(settings: Settings) -> tuple[Alert, ...]:
    section = settings.section("SLO")
    interval = settings.section("rules").seconds("interval")
    objective = section.number("objective")

    def burns(window: str, rate: float) -> str:
        passes = seconds(window) / interval
        return f"sum_over_time({MISSING}[{window}]) / {passes:g} > {rate * (1 - objective):.6g}"

    def burn(kind: str) -> str:
        rate = section.number(f"{kind}_burn")
        long, short = section.duration(f"{kind}_long"), section.duration(f"{kind}_short")
        return f"{burns(long, rate)}\nand\n{burns(short, rate)}"

    def told(kind: str) -> str:
        return f"""In the last {section.duration(f"{kind}_long")} {{{{ $value | humanizePercentage }}}} of the wanted processes of
        {NAME} did not run, and they are still missing. That is more than {section.number(f"{kind}_burn"):g} times what an
        objective of {objective * 100:g}% allows."""

    return (
        alert(
            settings,
            "WatcherErrorBudgetBurnFast",
            burn("fast"),
            f"{NAME} uses up its capacity budget fast.",
            told("fast"),
            after=section.duration("fast_for"),
        ),
        alert(
            settings,
            "WatcherErrorBudgetBurnSlow",
            burn("slow"),
            f"{NAME} uses up its capacity budget.",
            told("slow"),
            after=section.duration("slow_for"),
        ),
    )


def _restarts(settings: Settings) -> tuple[Alert, ...]:
    section = settings.section("SLO")

    def burn(kind: str) -> str:
        rate, long = section.number(f"{kind}_burn"), section.duration(f"{kind}_long")
        return "\nand\n".join(
            f"{unplanned(window)} > {rate * seconds(window) / DAY:.6g} * {BUDGET}"
            for window in (long, section.duration(f"{kind}_short"))
        )

    def told(kind: str) -> str:
        return f"""Processes of {NAME} were replaced {{{{ $value | humanize }}}} times in the last
        {section.duration(f"{kind}_long")}, and nobody planned it. That is more than {section.number(f"{kind}_burn"):g} times
        what its budget allows."""

    return (
        alert(
            settings,
            "WatcherRestartBudgetBurnFast",
            burn("fast"),
            f"{NAME} uses up its restart budget fast.",
            told("fast"),
            after=section.duration("fast_for"),
        ),
        alert(
            settings,
            "WatcherRestartBudgetBurnSlow",
            burn("slow"),
            f"{NAME} uses up its restart budget.",
            told("slow"),
            after=section.duration("slow_for"),
        ),
    )
