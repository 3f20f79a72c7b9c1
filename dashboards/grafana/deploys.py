"""Deploys and reloads: what was changed when, whether it went through, and whether things got worse after it.

Owns the panels of one dashboard.
"""

from __future__ import annotations

from typing import Final

from circus_exporters import catalogue as c
from dashboards.grafana import limits, marks, signs, states
from dashboards.grafana.frame import DEPLOYS, WATCHER, Frame, Section, address
from dashboards.grafana.panels import (
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    YELLOW,
    Column,
    PanelBuilder,
    Query,
    constants,
    density,
    graph,
    number,
    rows,
    timeline,
)
from dashboards.grafana.promql import RANGE, Scope, by, increase, on, quantile, rate, select, why
from dashboards.grafana.promql import WATCHER as NAME

F, W = Scope.FLEET, Scope.WATCHER
LEGEND = "{{instance}} {{watcher}}"
CHANGING: Final = (
    "add", "decr", "incr", "kill", "quit", "reload", "reloadconfig", "restart", "rm", "set", "signal", "start", "stop",
    "upgrade",
)  # fmt: skip


def frame() -> Frame:
    """The dashboard."""
    return Frame(
        uid=DEPLOYS,
        title="Circus / Deploys and reloads",
        description="What was changed and when, whether it went through, and whether things got worse after it. "
        "Traces: circus-exporter sends them over OTLP; the dots on durations lead there.",
        scope=W,
        sections=[
            Section(title="Now", panels=[*_now(), _running()]),
            Section(title="What was changed", panels=_changes()),
            Section(title="How long it took", panels=_durations()),
            Section(title="Did it get worse", panels=_after()),
            Section(title="What runs where", panels=_versions()),
        ],
        marks=[
            marks.reload_began(), marks.reloaded(), marks.reload_failed(), marks.configured(), marks.daemon_started(),
        ],
        since="now-6h",
    )  # fmt: skip


def _now() -> list[PanelBuilder]:
    answers = {0: ("not applied", RED), 1: ("applied", GREEN)}
    return [
        number(
            "Configuration", "Whether the last attempt to apply a configuration went through, with nothing left out, everywhere.",
            f"min({select(c.CONFIG_OK, F)})", unit="none", meanings=answers,
        ),
        number(
            "Applied", "How long ago a configuration was applied last, anywhere.",
            f"time() - max({select(c.CONFIG_TIME, F)})", unit="s",
        ),
        number(
            "Reloads running", "Reloads that run now.",
            f"count({select(c.RELOAD_START, W)})", unit="short", steps=[(1, PURPLE)],
        ),
        number(
            "Reloads", "Reloads that came to an end in the shown time.",
            f"sum({increase(select(c.RELOADS, W), RANGE)})", unit="short",
        ),
        number(
            "Failed reloads", "Reloads that failed in the shown time: the old processes go on.",
            f"sum({increase(select(c.RELOAD_FAILURES, W), RANGE)})", unit="short", steps=[(0.5, RED)],
        ),
        number(
            "Configurations in force", "How many different configurations the daemons have. More than one in a fleet of equals: "
            "somebody was left out.",
            f"count(count by (hash) ({select(c.CONFIG_INFO, F)}))", unit="short",
        ),
    ]  # fmt: skip


def _running() -> PanelBuilder:
    running = by(NAME, f"time() - {select(c.RELOAD_START, W)}", "max")

    def of_running(expression: str) -> str:
        return on(NAME, by(NAME, expression, "max"), "and", running)

    return rows(
        "Reloads that run now",
        "Since when, and how many processes are ready. One that does not get on waits for a process that does not become ready.",
        [
            Column(title="Since", expression=why(running, "watcher"), unit="s", steps=[(limits.RELOAD / 2, YELLOW), (limits.RELOAD, RED)]),
            Column(title="Ready", expression=of_running(select(c.WATCHER_READY, W))),
            Column(title="Desired", expression=of_running(select(c.WATCHER_DESIRED, W))),
        ],
        labels=["instance", "watcher"], last=["why"], link=address(WATCHER, "instance", "watcher"),
        link_on="watcher", sort="Since", height=5,
    )  # fmt: skip


def _changes() -> list[PanelBuilder]:
    commands = by(("instance", "command"), increase(select(c.COMMANDS, F, command="~" + "|".join(CHANGING))))
    reloads = by(NAME, increase(select(c.RELOADS, W)))
    failed = by(NAME, increase(select(c.RELOAD_FAILURES, W)))
    return [
        graph(
            "Commands that change something", "Requests of operators and scripts. circusctl events tells who gave them.",
            Query(f"{commands} > 0", "{{instance}} {{command}}"), unit="short", bars=True, stacked=True,
        ),
        graph(
            "Reloads", "Reloads that came to an end, and those of them that failed.",
            Query(f"{reloads} > 0", LEGEND), Query(f"{failed} > 0", f"failed {LEGEND}"), unit="short", bars=True,
        ),
        timeline(
            "States", "The state that each watcher was in.",
            Query(on(NAME, states.code(W), "and", signs.restless(W)), LEGEND), states.MEANINGS,
            link=address(WATCHER, "instance", "watcher", source="__field.labels"),
        ),
        graph(
            "Age of the oldest process",
            "It falls when the last process of before is gone. What did not fall at the deploy still runs the old code.",
            Query(f"time() - {by(NAME, select(c.PROCESS_START_TIME, W), 'min')}", LEGEND), unit="s", span=24,
        ),
    ]  # fmt: skip


def _durations() -> list[PanelBuilder]:
    return [
        density(
            "Reloads", "How long reloads took. The dots are single reloads; each leads to its trace.",
            by(("le",), increase(select(c.RELOAD_DURATION, W, "bucket"))), unit="s",
        ),
        graph(
            "Reloads by watcher", "95th percentile. The dots lead to traces.",
            Query(quantile(0.95, c.RELOAD_DURATION, W, NAME), LEGEND, exemplar=True), unit="s",
        ),
        density(
            "Starts", "From spawn to readiness of each new process. What got slower here makes each reload slower.",
            by(("le",), increase(select(c.START_DURATION, W, "bucket"))), unit="s",
        ),
        graph(
            "Commands", "95th percentile of the time that changing commands take, waiting in the queue included.",
            Query(
                quantile(0.95, c.COMMAND_DURATION, F, ("command",), command="~" + "|".join(CHANGING)), "{{command}}", exemplar=True,
            ),
            unit="s",
        ),
    ]  # fmt: skip


def _after() -> list[PanelBuilder]:
    stages = by(("watcher", "stage"), increase(select(c.SPAWN_FAILURES, W)))
    return [
        graph(
            "Unwanted exits", "Processes that ended though nobody told them to. More of them after a deploy: look at it first.",
            Query(f"{signs.unwanted(W, ('instance', 'watcher'))} > 0", LEGEND), unit="short", bars=True, stacked=True,
        ),
        graph(
            "Failed starts", "Starts that never became a running process, and how far they came.",
            Query(f"{stages} > 0", "{{watcher}} {{stage}}"), unit="short", bars=True, stacked=True, colors={"readiness": ORANGE},
        ),
        graph(
            "Memory of a process", "The mean over the processes of each watcher, before and after.",
            Query(by(NAME, select(c.PROCESS_RESIDENT, W), "avg"), LEGEND), unit="bytes",
        ),
        graph(
            "CPU of a watcher", "Before and after. 1 is one core.",
            Query(by(NAME, rate(select(c.WATCHER_CPU, W))), LEGEND), unit="short",
        ),
    ]  # fmt: skip


def _versions() -> list[PanelBuilder]:
    return [
        constants(
            "Configurations", "Which configuration each daemon had in force, by its hash.",
            Query(f"max by (instance, hash) ({select(c.CONFIG_INFO, F)})", "{{instance}} {{hash}}"),
        ),
        constants(
            "Versions of Circus", "Which version each daemon is.",
            Query(f"max by (instance, version) ({select(c.BUILD_INFO, F)})", "{{instance}} {{version}}"),
        ),
    ]  # fmt: skip
