"""One slot of a watcher, process after process: which one it is now, and how it behaves.

Owns the panels of one dashboard.
"""

from __future__ import annotations

from circus_exporters import catalogue as c
from circus_exporters.metric import Metric
from dashboards.grafana import limits, marks, signs
from dashboards.grafana.frame import PROCESS, WATCHER, Frame, Section, address
from dashboards.grafana.panels import ORANGE, RED, YELLOW, Column, PanelBuilder, Query, graph, number, rows
from dashboards.grafana.promql import PROCESS as SLOT
from dashboards.grafana.promql import RANGE, Scope, by, on, rate, select, why
from dashboards.grafana.promql import WATCHER as NAME

P, W = Scope.PROCESS, Scope.WATCHER
LEGEND = "{{instance}} {{watcher}} {{wid}}"


def frame() -> Frame:
    """The dashboard."""
    return Frame(
        uid=PROCESS,
        title="Circus / Process",
        description="A slot of a watcher: each process that filled it, its CPU, memory, descriptors, storage. "
        f"Where more are chosen, the {signs.FEW} with most memory are shown.",
        scope=P,
        sections=[
            Section(title="Now", panels=[*_now(), _who()]),
            Section(title="CPU", panels=_cpu()),
            Section(title="Memory", panels=_memory()),
            Section(title="Descriptors, threads, storage", panels=_rest()),
        ],
        marks=[marks.replaced(), marks.reloaded(P), marks.configured()],
        since="now-3h",
    )


def _now() -> list[PanelBuilder]:
    room = f"({on(NAME, signs.resident(P), '-', f'group_left () {signs.limit(W)}')}) * -1"
    slope = f"(({signs.slope(P)}) > 1024)"  # less than 4 MB an hour is not worth a forecast
    return [
        number(
            "Replaced", "How many times the slot got a new process in the shown time.",
            f"sum(changes({select(c.PROCESS_START_TIME, P)}[{RANGE}]))", unit="short", steps=[(1, YELLOW)], span=6,
        ),
        number(
            "Age", "How long the youngest of the chosen processes has been running.", f"min({signs.age(P)})", unit="s", span=6,
        ),
        number(
            "Growth in an hour", "The fastest growth of memory in RAM, by the slope over the last half hour, of processes that lived all the time.",
            f"max({signs.growth(P)})", unit="bytes", span=6,
        ),
        number(
            "Limit reached in",
            "When the first process will have reached its memory limit, if it goes on growing as in the last half hour.",
            f"min({on(SLOT, room, '/', slope)})", unit="s", none="not in sight", span=6,
        ),
    ]  # fmt: skip


def _of(expression: str) -> str:
    return signs.among(P, expression)


def _who() -> PanelBuilder:
    resident = why(signs.with_pid(P, f"({_of(signs.resident(P))})"), "watcher", "wid")
    return rows(
        "Which process",
        "The process that fills the slot now. The command tells how the one before it ended; a click on the name shows the watcher.",
        [
            Column(title="Memory", expression=resident, unit="bytes"),
            Column(title="Age", expression=_of(signs.age(P)), unit="s"),
            Column(title="CPU", expression=_of(by(SLOT, rate(select(c.PROCESS_CPU, P)))), steps=[(limits.CPU, ORANGE)]),
            Column(
                title="Descriptors", expression=_of(signs.descriptors(P)), unit="percentunit", steps=[(limits.DESCRIPTORS, RED)],
            ),
        ],
        labels=["instance", "watcher", "wid", "pid"], last=["why"], link=address(WATCHER, "instance", "watcher"),
        link_on="watcher", sort="Memory", height=6,
    )  # fmt: skip


def _cpu() -> list[PanelBuilder]:
    switches = _of(by((*SLOT, "kind"), rate(select(c.PROCESS_SWITCHES, P))))
    return [
        graph(
            "CPU", "CPU time a second, in the program and in the kernel. 1 is one core.",
            Query(_of(by((*SLOT, "mode"), rate(select(c.PROCESS_CPU, P)))), f"{LEGEND} {{{{mode}}}}"), unit="short", stacked=True,
            span=8,
        ),
        graph(
            "Waiting for a CPU", "Share of the time in which the first thread could have run and had no CPU.",
            Query(_of(by(SLOT, rate(select(c.PROCESS_CPU_WAIT, P)))), LEGEND), unit="percentunit", span=8,
        ),
        graph(
            "Context switches",
            "How often a second the first thread left a CPU: by itself to wait, or because its time was over.",
            Query(switches, f"{LEGEND} {{{{kind}}}}"), unit="short", span=8,
        ),
    ]  # fmt: skip


def _memory() -> list[PanelBuilder]:
    def kind(metric: Metric, name: str) -> Query:
        return Query(_of(by(SLOT, select(metric, P), "max")), f"{name} {LEGEND}")

    return [
        graph(
            "Memory in RAM", "What the process has in RAM now, the most that it ever had, and the limit of its watcher.",
            kind(c.PROCESS_RESIDENT, "resident"), kind(c.PROCESS_PEAK, "peak"),
            Query(signs.limit(W), "limit {{instance}} {{watcher}}"), unit="bytes", dashed="^limit ",
        ),
        graph(
            "Whose memory it is",
            "What it shares, what is its own (unique), its fair share (proportional), and what is in swap. "
            "All but shared need metrics_memory.",
            kind(c.PROCESS_SHARED, "shared"), kind(c.PROCESS_UNIQUE, "unique"),
            kind(c.PROCESS_PROPORTIONAL, "proportional"), kind(c.PROCESS_SWAPPED, "swapped"), unit="bytes",
        ),
        graph(
            "Address space", "Virtual memory. It counts only where the machine limits it; a steady rise may be a leak of mappings.",
            kind(c.PROCESS_VIRTUAL, "virtual"), unit="bytes",
        ),
        graph(
            "Page faults", "Page faults a second. Major ones wait for storage: the machine is short of memory.",
            Query(_of(by((*SLOT, "kind"), rate(select(c.PROCESS_FAULTS, P)))), f"{LEGEND} {{{{kind}}}}"), unit="short",
        ),
    ]  # fmt: skip


def _rest() -> list[PanelBuilder]:
    def value(metric: Metric) -> str:
        return _of(by(SLOT, select(metric, P), "max"))

    return [
        graph(
            "Open descriptors", "Open file descriptors. A steady rise is a leak.",
            Query(value(c.PROCESS_OPEN_FDS), LEGEND), unit="short", span=8,
        ),
        graph("Threads", "Threads of the process. A steady rise is a leak.", Query(value(c.PROCESS_THREADS), LEGEND), unit="short", span=8),
        graph(
            "Storage", "Bytes a second that really went to or came from storage.",
            Query(_of(by(SLOT, rate(select(c.PROCESS_READ, P)))), f"read {LEGEND}"),
            Query(_of(by(SLOT, rate(select(c.PROCESS_WRITE, P)))), f"written {LEGEND}"), unit="Bps", span=8,
        ),
    ]  # fmt: skip
