"""The fleet: which watcher is sick, since when, and who takes the memory.

Owns the panels of one dashboard.
"""

from __future__ import annotations

from circus_exporters import catalogue as c
from dashboards.grafana import states
from dashboards.grafana.frame import OVERVIEW, WATCHER, Frame, Section, address
from dashboards.grafana.panels import GREEN, RED, PanelBuilder, Query, number, timeline
from dashboards.grafana.promql import Scope, select

F, W = Scope.FLEET, Scope.WATCHER


def overview() -> Frame:
    """The dashboard."""
    return Frame(
        uid=OVERVIEW,
        title="Circus / Fleet overview",
        description="Every daemon and watcher: what is sick, since when, what crashes, and who takes CPU and memory.",
        scope=W,
        sections=[
            Section(title="Now", panels=[_down()]),
            Section(title="What changed", panels=[_states()]),
        ],
    )


def _down() -> PanelBuilder:
    return number(
        "Daemons down", "Daemons that do not answer their exporter, or whose samples are old.",
        f"count({select(c.UP, F)} == 0) or vector(0)", unit="short", steps=[(1, RED)], first=GREEN,
    )  # fmt: skip


def _states() -> PanelBuilder:
    return timeline(
        "States of watchers", "The state that each watcher was in.",
        Query(states.code(W), "{{instance}} {{watcher}}"), states.MEANINGS, link=address(WATCHER, "instance", "watcher", source="__field.labels"),
    )  # fmt: skip
