"""What happened, as annotations over all graphs: starts, reloads, configurations, crashes.

Owns which events are told, and their exact times. Invariant: the value of each expression is a Unix time in seconds.
"""

from __future__ import annotations

from circus_exporters import catalogue as c
from dashboards.grafana.frame import Mark
from dashboards.grafana.panels import BLUE, GREEN, ORANGE, PURPLE, RED
from dashboards.grafana.promql import WATCHER, Scope, by, increase, on, select
from dashboards.grafana.signs import unwanted


def daemon_started(scope: Scope = Scope.FLEET) -> Mark:
    """Also a crash of circusd shows as its next start."""
    return Mark(
        name="circusd started", expression=select(c.START_TIME, scope), title="circusd started", color=BLUE,
        text="{{instance}}",
    )  # fmt: skip


def configured(scope: Scope = Scope.FLEET) -> Mark:
    """When the configuration in force was applied."""
    return Mark(
        name="Configuration applied", expression=select(c.CONFIG_TIME, scope), title="configuration applied",
        text="{{instance}}", color=GREEN,
    )  # fmt: skip


def reload_began(scope: Scope = Scope.WATCHER) -> Mark:
    """Only of reloads that are seen running: those that last longer than a scrape interval."""
    return Mark(
        name="Reload began", expression=select(c.RELOAD_START, scope), title="reload of {{watcher}} began",
        text="{{instance}}", tags=("instance", "watcher"), color=PURPLE,
    )  # fmt: skip


def reloaded(scope: Scope = Scope.WATCHER) -> Mark:
    """The time is that of the youngest process that is chosen: the last one that the reload has started."""
    youngest = by(WATCHER, select(c.PROCESS_START_TIME, scope), "max")
    ended = f"({by(WATCHER, increase(select(c.RELOADS, Scope.WATCHER)))} > 0)"
    return Mark(
        name="Reloaded", expression=on(WATCHER, youngest, "and", ended), title="{{watcher}} reloaded",
        text="{{instance}}", tags=("instance", "watcher"), color=PURPLE,
    )  # fmt: skip


def reload_failed(scope: Scope = Scope.WATCHER) -> Mark:
    """The time is that of the scrape which saw it."""
    failures = select(c.RELOAD_FAILURES, scope)
    seen = by(WATCHER, f"timestamp({failures})", "max")
    return Mark(
        name="Reload failed", expression=on(WATCHER, seen, "and", f"({by(WATCHER, increase(failures))} > 0)"),
        title="reload of {{watcher}} failed", text="{{instance}}", tags=("instance", "watcher"), color=ORANGE,
    )  # fmt: skip


def crashed(scope: Scope = Scope.WATCHER) -> Mark:
    """When a process ended last, where one has ended that nobody told to."""
    last = select(c.LAST_EXIT_TIME, scope)
    return Mark(
        name="Unwanted exit", expression=on(WATCHER, last, "and", f"({unwanted(scope)} > 0)"),
        title="a process of {{watcher}} ended", text="{{instance}}: circusctl why {{watcher}}",
        tags=("instance", "watcher"), color=RED,
    )  # fmt: skip


def replaced(scope: Scope = Scope.PROCESS) -> Mark:
    """When the process in a slot started."""
    return Mark(
        name="Process started", expression=select(c.PROCESS_START_TIME, scope),
        title="{{watcher}} {{wid}}: a new process", text="{{instance}}: circusctl why {{watcher}} {{wid}}",
        tags=("instance", "watcher", "wid"), color=BLUE,
    )  # fmt: skip
