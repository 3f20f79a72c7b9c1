"""One watcher, or a few: how it lives (starts, ends, durations, hooks) and what it uses.

Owns the panels of one dashboard.
"""

from __future__ import annotations

from circus_exporters import catalogue as c
from circus_exporters.metric import Metric
from dashboards.grafana import foreign, limits, marks, signs, states
from dashboards.grafana.frame import PROCESS, WATCHER, Frame, Section, address
from dashboards.grafana.panels import (
    GREEN,
    GREY,
    ORANGE,
    RED,
    SIGNALS,
    YELLOW,
    Column,
    PanelBuilder,
    Query,
    density,
    graph,
    number,
    rows,
    timeline,
)
from dashboards.grafana.promql import PROCESS as SLOT
from dashboards.grafana.promql import RANGE, Scope, at_end, by, increase, on, quantile, rate, select, why
from dashboards.grafana.promql import WATCHER as NAME
from dashboards.grafana.signs import FEW, among

W = Scope.WATCHER
SLOT_LEGEND = "{{instance}} {{watcher}} {{wid}}"
NAME_LEGEND = "{{instance}} {{watcher}}"
DAY = 86400
MANY = 100


def frame() -> Frame:
    """The dashboard."""
    return Frame(
        uid=WATCHER,
        title="Circus / Watcher",
        description="A watcher and its processes: why they end, how long they take to start, what they use.",
        scope=W,
        sections=[
            Section(title="Now", panels=[*_now(), _last_exits()]),
            Section(title="Life", panels=_life()),
            Section(title="Durations", panels=_durations()),
            Section(title="CPU, memory, descriptors", panels=_usage()),
            Section(title="Processes", panels=[_processes()]),
            Section(title="Output and hooks", panels=_output()),
            Section(title="Against the budgets", panels=_budgets()),
            Section(title="What it runs", panels=[_what()]),
        ],
        marks=[marks.crashed(), marks.reload_began(), marks.reloaded(), marks.reload_failed(), marks.configured()],
        since="now-3h",
    )


def _now() -> list[PanelBuilder]:
    return [
        number(
            "State", "The state of each watcher that is chosen.", states.code(W),
            unit="none", meanings=states.MEANINGS, legend="{{watcher}}", span=8,
        ),
        number(
            "Missing", "Processes that should be ready and are not.",
            f"sum({signs.missing(W)})", unit="short", steps=[(1, ORANGE)],
        ),
        number(
            "Unwanted exits", "Processes that ended in the shown time though nobody told them to, with an error or by a signal.",
            f"{signs.unwanted(W, (), RANGE)}", unit="short", steps=[(0.5, YELLOW), (10, RED)],
        ),
        number(
            "Failures in a row", "Of the slot that has most of them; 0 once it runs steadily.",
            f"max({select(c.CONSECUTIVE_FAILURES, W)})", unit="short", steps=[(1, ORANGE)],
        ),
        number(
            "Pause before next start", "The longest pause that a slot makes before it is tried again.",
            f"max({select(c.BACKOFF, W)})", unit="s", steps=[(0.001, ORANGE)],
        ),
    ]  # fmt: skip


def _last_exits() -> PanelBuilder:
    def told(metric: str) -> str:
        return by(NAME, metric, "max")

    return rows(
        "Last exits",
        "How the last process of each watcher ended. No code: a signal ended it. The command tells what led to that end, "
        "and what followed.",
        [
            Column(title="Ago", expression=why(told(f"time() - {select(c.LAST_EXIT_TIME, W)}"), "watcher"), unit="s"),
            Column(title="Exit code", expression=told(select(c.LAST_EXIT_CODE, W)), unit="none"),
            Column(title="Signal", expression=told(select(c.LAST_EXIT_SIGNAL, W)), unit="none", meanings=SIGNALS),
            Column(title="Most memory", expression=told(select(c.LAST_EXIT_PEAK, W)), unit="bytes"),
        ],
        labels=["instance", "watcher"], last=["why"], link=address(WATCHER, "instance", "watcher"),
        link_on="watcher", sort="Ago", height=6,
    )  # fmt: skip


def _life() -> list[PanelBuilder]:
    ends = by(("initiator", "outcome"), increase(select(c.EXITS, W)))
    return [
        timeline("States", "The state that each watcher was in.", Query(states.code(W), NAME_LEGEND), states.MEANINGS, height=6),
        graph(
            "Processes by state", "How many processes there are, and how many there should be.",
            Query(by(("state",), select(c.WATCHER_PROCESSES, W)), "{{state}}"),
            Query(f"sum({select(c.WATCHER_DESIRED, W)})", "desired"),
            unit="short", stacked=True, dashed="^desired$",
            colors={"running": GREEN, "starting": YELLOW, "stopping": ORANGE, "backoff": "dark-red"},
        ),
        graph(
            "Starts by cause", "Processes started, by what made it necessary.",
            Query(f"{by(('cause',), increase(select(c.STARTS, W)))} > 0", "{{cause}}"),
            unit="short", bars=True, stacked=True, colors={"crash": RED, "memory_limit": ORANGE, "manual": GREY},
        ),
        graph(
            "Exits", "Processes that ended: who ended them, and how it went. Those that Circus stopped in time are as wanted.",
            Query(f"{ends} > 0", "{{initiator}}: {{outcome}}"), unit="short", bars=True, stacked=True,
        ),
        graph(
            "Crashes by signal", "Processes that a signal of a fault ended. SIGSEGV and SIGABRT mostly come from native code.",
            Query(f"{by(('watcher', 'signal'), increase(select(c.SIGNAL_EXITS, W)))} > 0", "{{watcher}} {{signal}}"),
            unit="short", bars=True, stacked=True,
        ),
        graph(
            "Failed starts by stage", "Starts that never became a running process, and how far they came.",
            Query(f"{by(('watcher', 'stage'), increase(select(c.SPAWN_FAILURES, W)))} > 0", "{{watcher}} {{stage}}"),
            unit="short", bars=True, stacked=True,
        ),
        graph(
            "Left behind", "Descendants that lived on when their process had ended; with kill_scope = tree they are ended too.",
            Query(by(NAME, increase(select(c.LEFTOVERS, W))), NAME_LEGEND), unit="short", bars=True, stacked=True,
        ),
        graph(
            "Failures in a row and pauses",
            "Failures in a row of the worst slot, and the seconds that it waits before the next attempt.",
            Query(by(NAME, select(c.CONSECUTIVE_FAILURES, W), "max"), f"failures {NAME_LEGEND}"),
            Query(by(NAME, select(c.BACKOFF, W), "max"), f"seconds {NAME_LEGEND}"),
            unit="short",
        ),
    ]  # fmt: skip


def _durations() -> list[PanelBuilder]:
    def slow(metric: Metric) -> list[Query]:
        return [
            Query(quantile(0.95, metric, W, NAME), f"p95 {NAME_LEGEND}", exemplar=True),
            Query(quantile(0.5, metric, W, NAME), f"p50 {NAME_LEGEND}"),
        ]

    lifetimes = by(("le",), increase(select(c.LIFETIME, W, "bucket")))
    return [
        graph(
            "Time to readiness", "From spawn to ready. The dots are single starts; each leads to its trace.",
            *slow(c.START_DURATION), unit="s",
        ),
        graph(
            "Time to replacement",
            "From an end that nobody asked for to the next process; the delay after repeated failures is in it.",
            *slow(c.RESPAWN_DURATION), unit="s",
        ),
        graph(
            "Time to stop",
            "From the stop signal to the end. Close to graceful_timeout means that processes have to be killed.",
            *slow(c.STOP_DURATION), unit="s",
        ),
        density(
            "Age at the end",
            "How old processes were when they ended. Many that end young crash at their start; one age for all is a limit.",
            lifetimes, unit="s",
        ),
        graph(
            "Time in hooks", "95th percentile of the time that hooks take. A watcher waits for its hooks.",
            Query(
                quantile(0.95, c.HOOK_DURATION, W, ("watcher", "hook")), "{{watcher}} {{hook}}", exemplar=True,
            ),
            unit="s",
        ),
    ]  # fmt: skip


def _usage() -> list[PanelBuilder]:
    cpu, waits = select(c.PROCESS_CPU, W), select(c.PROCESS_CPU_WAIT, W)
    most_cpu, most_waits = (by(SLOT, at_end(increase(each, RANGE))) for each in (cpu, waits))
    most_open = by(SLOT, at_end(f"max_over_time({select(c.PROCESS_OPEN_FDS, W)}[{RANGE}])"))
    return [
        graph(
            "CPU of the watcher", "CPU time a second, its ended processes included. 1 is one core.",
            Query(by(("watcher", "mode"), rate(select(c.WATCHER_CPU, W))), "{{watcher}} {{mode}}"),
            unit="short", stacked=True,
        ),
        graph(
            "CPU by process",
            f"The {FEW} that used most. One core is all that a process with one thread can use: at 1 it is busy all the time.",
            Query(among(W, by(SLOT, rate(cpu)), FEW, most_cpu), SLOT_LEGEND), unit="short",
        ),
        graph(
            "Memory by process", f"Memory in RAM of the {FEW} processes that have most, and the limit at which they are replaced.",
            Query(among(W, signs.resident(W)), SLOT_LEGEND), Query(signs.limit(W), "limit {{instance}} {{watcher}}"),
            unit="bytes", dashed="^limit ",
        ),
        graph(
            "Waiting for a CPU",
            f"Share of the time in which a process could have run and had no CPU, of the {FEW} that waited most: "
            "the machine, or their share of it, is too small.",
            Query(among(W, by(SLOT, rate(waits)), FEW, most_waits), SLOT_LEGEND), unit="percentunit",
        ),
        graph(
            "Open descriptors",
            f"Open file descriptors as a share of those that the process may open, of the {FEW} that have most. At 1 it cannot accept.",
            Query(among(W, signs.descriptors(W), FEW, most_open), SLOT_LEGEND), unit="percentunit", limit=limits.DESCRIPTORS,
        ),
        graph(
            "Storage", "Bytes a second that really went to or came from storage.",
            Query(by(NAME, rate(select(c.PROCESS_READ, W))), f"read {NAME_LEGEND}"),
            Query(by(NAME, rate(select(c.PROCESS_WRITE, W))), f"written {NAME_LEGEND}"),
            unit="Bps",
        ),
    ]  # fmt: skip


def _processes() -> PanelBuilder:
    def of(expression: str) -> str:
        return among(W, expression, MANY)

    return rows(
        "Processes",
        f"The {MANY} processes with most memory. A click on the slot shows it; the command tells how the last one there ended.",
        [
            Column(
                title="Memory", expression=why(signs.with_pid(W, f"({of(signs.resident(W))})"), "watcher", "wid"), unit="bytes",
            ),
            Column(title="Growth in an hour", expression=of(signs.growth(W)), unit="bytes"),
            Column(
                title="Of limit", expression=of(signs.share_of_limit(W)), unit="percentunit", steps=[(limits.MEMORY, RED)],
            ),
            Column(title="CPU", expression=of(by(SLOT, rate(select(c.PROCESS_CPU, W)))), steps=[(limits.CPU, ORANGE)]),
            Column(
                title="Descriptors", expression=of(signs.descriptors(W)), unit="percentunit",
                steps=[(limits.DESCRIPTORS, RED)],
            ),
            Column(title="Threads", expression=of(by(SLOT, select(c.PROCESS_THREADS, W), "max"))),
            Column(title="Age", expression=of(signs.age(W)), unit="s"),
        ],
        labels=["instance", "watcher", "wid", "pid"], last=["why"],
        link=address(PROCESS, "instance", "watcher", "wid"), link_on="wid", sort="Memory",
    )  # fmt: skip


def _output() -> list[PanelBuilder]:
    labels = ("watcher", "stream")
    return [
        graph(
            "Lines of output", "Complete lines a second that processes wrote and Circus read.",
            Query(by(labels, rate(select(c.STREAM_LINES, W))), "{{watcher}} {{stream}}"), unit="short", span=8,
        ),
        graph(
            "Bytes of output", "Bytes a second that processes wrote and Circus read.",
            Query(by(labels, rate(select(c.STREAM_BYTES, W))), "{{watcher}} {{stream}}"), unit="Bps", span=8,
        ),
        graph(
            "Lost lines", "Lines of output a second that could not be written where they should go.",
            Query(by(labels, rate(select(c.STREAM_DROPS, W))), "{{watcher}} {{stream}}"), unit="short", span=8,
        ),
        graph(
            "Failed hooks", "Hooks that raised, timed out or said no. A before_ hook that fails keeps the watcher from what it does.",
            Query(
                f"{by(('watcher', 'hook'), increase(select(c.HOOK_FAILURES, W)))} > 0", "{{watcher}} {{hook}}",
            ),
            unit="short", bars=True, stacked=True, span=24, height=6,
        ),
    ]  # fmt: skip


def _budgets() -> list[PanelBuilder]:
    unplanned = rate(select(c.RESTARTS, W, cause="~crash|memory_limit|watchdog"), RANGE)
    pace = on(NAME, f"{by(NAME, unplanned)} * {DAY}", "/", by(NAME, select(foreign.RESTART_BUDGET, W), "max"))
    return [
        graph(
            "Missing capacity",
            "Share of the wanted processes that do not run, as the alerts about the capacity budget see it. "
            "Needs the rules in Prometheus.",
            Query(by(NAME, select(foreign.CAPACITY_MISSING, W), "max"), NAME_LEGEND), unit="percentunit", most=1,
        ),
        graph(
            "Pace against the restart budget",
            "Restarts that nobody planned, at the pace of the shown time, as a share of those that are agreed on for a day. "
            "Needs the rules in Prometheus.",
            Query(pace, NAME_LEGEND), unit="percentunit", limit=1,
        ),
    ]  # fmt: skip


def _what() -> PanelBuilder:
    labels = ("job", "instance", "watcher", "executable", "user", "stop_signal", "singleton")
    labelled = f"{select(c.WATCHER_LABELS, W)}"
    return rows(
        "What it runs", "The program, the user and the stop signal of each watcher, and its labels.NAME options.",
        [
            Column(title="Processes", expression=on(NAME, by(labels, select(c.WATCHER_INFO, W), "max"), "*", f"group_left () {by(NAME, select(c.WATCHER_DESIRED, W), 'max')}")),
            Column(title="Labels", expression=labelled, hidden=True),
        ],
        labels=["instance", *labels[2:]], link=address(WATCHER, "instance", "watcher"), link_on="watcher",
        sort="Processes", height=6,
    )  # fmt: skip
