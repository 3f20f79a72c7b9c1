"""The fleet: which watcher is sick, since when, what changed, and who takes CPU and memory.

Owns the panels of one dashboard.
"""

from __future__ import annotations

from circus_exporters import catalogue as c
from circus_exporters import catalogue_alerts as a
from dashboards.grafana import foreign, limits, marks, signs, states
from dashboards.grafana.frame import INTERNALS, OVERVIEW, PROCESS, WATCHER, Frame, Section, address
from dashboards.grafana.panels import (
    GREY,
    ORANGE,
    RED,
    SIGNALS,
    YELLOW,
    Column,
    PanelBuilder,
    Query,
    graph,
    number,
    rows,
    timeline,
)
from dashboards.grafana.promql import PROCESS as SLOT
from dashboards.grafana.promql import RANGE, TARGET, Scope, at_end, by, increase, on, rate, select, why
from dashboards.grafana.promql import WATCHER as NAME

F, W = Scope.FLEET, Scope.WATCHER
TO_WATCHER = address(WATCHER, "instance", "watcher")
TO_PROCESS = address(PROCESS, "instance", "watcher", "wid")
FEW = 10


def frame() -> Frame:
    """The dashboard."""
    return Frame(
        uid=OVERVIEW,
        title="Circus / Fleet overview",
        description="Every daemon and watcher: what is sick, since when, what changed, who takes CPU and memory.",
        scope=W,
        sections=[
            Section(title="Now", panels=_now()),
            Section(title="Alerts", panels=_alerts()),
            Section(title="Sick watchers", panels=[_sick(), _restless()]),
            Section(title="What ended and was started", panels=_ends()),
            Section(title="Who takes CPU and memory", panels=[*_takers(), _heaviest()]),
            Section(title="Daemons", panels=[_daemons()]),
        ],
        marks=[marks.daemon_started(), marks.configured(), marks.reloaded(), marks.reload_failed()],
        since="now-3h",
    )


def _now() -> list[PanelBuilder]:
    return [
        number(
            "Daemons down",
            "Daemons whose exporter cannot be scraped, that do not answer it, or whose last sample is old.",
            f"sum(1 - ({on(TARGET, select(c.UP, F), 'or', f'0 * {select(foreign.TARGET_UP, F)}')}))",
            unit="short", steps=[(1, RED)], none="nobody asked",
        ),
        number(
            "Failing watchers",
            "Watchers that wait before the next attempt (backoff), or that have been given up (fatal).",
            f"sum({select(c.WATCHER_STATE, W, state='~backoff|fatal')})", unit="short", steps=[(1, RED)],
        ),
        number(
            "Processes missing",
            "Processes that watchers should have ready and have not. Stopped, waiting and reloading watchers do not count.",
            f"sum({signs.missing(W)})", unit="short", steps=[(1, ORANGE)],
        ),
        number(
            "Unwanted exits",
            "Processes that ended in the shown time though nobody told them to, with an error or by a signal.",
            f"{signs.unwanted(W, (), RANGE)}", unit="short", steps=[(0.5, YELLOW), (10, RED)],
        ),
        number(
            "Lost to memory",
            "Processes that the kernel killed for lack of memory, and those replaced because of memory_limit, in the shown time.",
            f"sum({increase(select(c.EXITS, W, outcome='oom'), RANGE)}) "
            f"+ sum({increase(select(c.RESTARTS, W, cause='memory_limit'), RANGE)})",
            unit="short", steps=[(0.5, RED)],
        ),
        number(
            "Processes running", "Processes that run now.",
            f"sum({select(c.WATCHER_PROCESSES, W, state='running')})", unit="short", none="0",
        ),
    ]  # fmt: skip


def _alerts() -> list[PanelBuilder]:
    labels = ("job", "instance", "alertname", "severity", "watcher", "wid")
    firing = by(labels, select(foreign.ALERTS, F, alertstate="firing"), "max")
    since = by(labels, f"time() - {select(foreign.ALERTS_SINCE, F)}", "max")
    return [
        rows(
            "Alerts that fire", "Alerts of the rules in Prometheus. Each has a runbook, which its message links.",
            [Column(title="For", expression=why(f"({on(labels, since, 'and', firing)})", "watcher"), unit="s")],
            labels=["severity", "alertname", "instance", "watcher", "wid"], last=["why"], link=TO_WATCHER, link_on="watcher",
            sort="For", span=20, height=7,
        ),
        number(
            "Alerts of Circus itself", "Alerts that fire now by the [alert:…] sections of the daemons' own configurations.",
            f"sum({select(a.ACTIVE, F)})", unit="short", steps=[(1, RED)], none="0", height=7,
        ),
    ]  # fmt: skip


def _sick() -> PanelBuilder:
    def of_sick(expression: str) -> str:
        return on(NAME, by(NAME, expression, "max"), "and", signs.sick(W))

    return rows(
        "Watchers with a sign of trouble",
        "Each watcher that failed, is short of processes, or lost one that nobody told to end, in the shown time. "
        "A click on its name shows it; the command in the last column tells what led to its present state.",
        [
            Column(title="State", expression=why(of_sick(states.code(W)), "watcher"), meanings=states.MEANINGS),
            Column(title="Unwanted exits", expression=of_sick(signs.unwanted(W, window=RANGE)), whole=True),
            Column(title="Missing", expression=of_sick(signs.missing(W)), unit="short", steps=[(1, ORANGE)]),
            Column(title="Failures in a row", expression=of_sick(select(c.CONSECUTIVE_FAILURES, W)), steps=[(1, ORANGE)]),
            Column(title="Pause before next start", expression=of_sick(select(c.BACKOFF, W)), unit="s"),
            Column(title="Last exit", expression=of_sick(f"time() - {select(c.LAST_EXIT_TIME, W)}"), unit="s"),
            Column(title="Exit code", expression=of_sick(select(c.LAST_EXIT_CODE, W)), unit="none"),
            Column(title="Signal", expression=of_sick(select(c.LAST_EXIT_SIGNAL, W)), unit="none", meanings=SIGNALS),
        ],
        labels=["instance", "watcher"], last=["why"], link=TO_WATCHER, link_on="watcher", sort="Unwanted exits",
    )  # fmt: skip


def _restless() -> PanelBuilder:
    shown = on(NAME, states.code(W), "and", signs.restless(W))
    return timeline(
        "Watchers that changed",
        "States of the watchers that were not in one quiet state all the time. Since when, and what else changed then.",
        Query(shown, "{{instance}} {{watcher}}"), states.MEANINGS, height=9,
        link=address(WATCHER, "instance", "watcher", source="__field.labels"),
    )  # fmt: skip


def _most(expression: str, ranking: str) -> Query:
    """Those ten watchers that come first over all of the shown time: the same ones at each moment."""
    label = ("instance", "watcher")
    return Query(on(label, expression, "and", f"topk({FEW}, {by(label, ranking)})"), "{{instance}} {{watcher}}")


def _ends() -> list[PanelBuilder]:
    ended = select(c.EXITS, W, initiator="!supervisor", outcome="!success")
    return [
        graph(
            "Unwanted exits", f"The {FEW} watchers that lose most processes that nobody told to end.",
            _most(f"({signs.unwanted(W, ('instance', 'watcher'))} > 0)", at_end(increase(ended, RANGE))),
            unit="short", bars=True, stacked=True,
        ),
        graph(
            "Restarts by cause",
            "Processes started in the place of another: after a crash, by a reload or a command, because of their age or memory.",
            Query(f"{by(('cause',), increase(select(c.RESTARTS, W)))} > 0", "{{cause}}"),
            unit="short", bars=True, stacked=True, colors={"crash": RED, "memory_limit": ORANGE, "manual": GREY},
        ),
    ]  # fmt: skip


def _takers() -> list[PanelBuilder]:
    cpu = by(("instance", "watcher"), rate(select(c.WATCHER_CPU, W)))
    resident = f"max_over_time({select(c.PROCESS_RESIDENT, W)}[{RANGE}])"
    return [
        graph(
            "CPU", f"The {FEW} watchers that used most CPU, their ended processes included. 1 is one core.",
            _most(cpu, at_end(increase(select(c.WATCHER_CPU, W), RANGE))), unit="short", stacked=True,
        ),
        graph(
            "Memory", f"The {FEW} watchers with most memory in RAM. Pages that processes share are counted for each.",
            _most(signs.resident(W, ("instance", "watcher")), at_end(resident)), unit="bytes", stacked=True,
        ),
    ]  # fmt: skip


def _heaviest() -> PanelBuilder:
    chosen = f"topk({signs.FEW}, {signs.resident(W)})"

    def of_chosen(expression: str) -> str:
        return signs.among(W, expression, ranking=signs.resident(W))

    cpu = by(SLOT, rate(select(c.PROCESS_CPU, W)))
    return rows(
        "Heaviest processes",
        f"The {signs.FEW} processes with most memory in RAM. Growth is the slope over the last half hour; one that grows "
        "steadily and is far from its limit is a leak to come.",
        [
            Column(title="Memory", expression=why(signs.with_pid(W, chosen), "watcher", "wid"), unit="bytes"),
            Column(title="Growth in an hour", expression=of_chosen(signs.growth(W)), unit="bytes"),
            Column(
                title="Of limit", expression=of_chosen(signs.share_of_limit(W)), unit="percentunit",
                steps=[(limits.MEMORY, RED)],
            ),
            Column(title="CPU", expression=of_chosen(cpu), unit="short", steps=[(limits.CPU, ORANGE)]),
            Column(
                title="Descriptors", expression=of_chosen(signs.descriptors(W)), unit="percentunit",
                steps=[(limits.DESCRIPTORS, RED)],
            ),
            Column(title="Age", expression=of_chosen(signs.age(W)), unit="s"),
        ],
        labels=["instance", "watcher", "wid", "pid"], last=["why"], link=TO_PROCESS, link_on="wid", sort="Memory",
    )  # fmt: skip


def _daemons() -> PanelBuilder:
    def of_daemon(expression: str) -> str:
        return by(TARGET, expression, "max")

    answers = {0: ("no", RED), 1: ("yes", "transparent")}
    return rows(
        "Daemons",
        "Each daemon: whether it answers, since when it runs, and whether it has applied what its configuration says.",
        [
            Column(title="Answers", expression=of_daemon(select(c.UP, F)), meanings=answers),
            Column(title="Up for", expression=of_daemon(f"time() - {select(c.START_TIME, F)}"), unit="s"),
            Column(title="Configuration applied", expression=of_daemon(select(c.CONFIG_OK, F)), meanings=answers),
            Column(title="Watchers", expression=by(TARGET, select(c.WATCHER_DESIRED, W), "count")),
            Column(title="Processes", expression=of_daemon(select(c.SAMPLE_PROCESSES, F))),
            Column(title="Age of sample", expression=of_daemon(f"time() - {select(c.SAMPLE_TIME, F)}"), unit="s"),
            Column(
                title="Version", expression=by((*TARGET, "version"), select(c.BUILD_INFO, F), "max"), hidden=True,
            ),
        ],
        labels=["instance", "version"], link=address(INTERNALS, "instance"), link_on="instance", sort="Processes", height=7,
    )  # fmt: skip
