"""What is measured: a line for each kind of work, with its goal. Invariant: the page shows exactly these, in this order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """`goal` is for Circus with 1,000 processes, in `unit`, at most (`least`: at least); None where there is none.

    `fold` makes one number of those of all rounds. `grows` when the number is for all processes together, so that it is
    divided by their count where sizes are compared.
    """

    key: str
    what: str
    unit: str
    goal: float | None = None
    least: bool = False
    fold: Callable[[list[float]], float] = median
    grows: bool = False
    hint: str = ""

    def met(self, value: float) -> bool | None:
        if self.goal is None:
            return None
        return value >= self.goal if self.least else value <= self.goal


WORKS: Final = (
    Work(
        key="start",
        what="start {n}",
        unit="s",
        goal=1.0,
        grows=True,
        hint="from the start of the supervisor's program to the last child running",
    ),
    Work(
        key="start_children",
        what="the same, from the first child to the last",
        unit="s",
        grows=True,
        hint="without what the supervisor needs to come up",
    ),
    Work(
        key="replace",
        what="death to replacement, p50, {n} alive",
        unit="ms",
        goal=2.0,
        hint="SIGKILL to one, until the next one's main() runs; one at a time, at random moments",
    ),
    Work(key="replace_worst", what="the same, worst", unit="ms", goal=15.0, fold=max),
    Work(
        key="half",
        what="{half} killed at once, all back",
        unit="s",
        goal=0.6,
        grows=True,
        hint="from the first SIGKILL to the last replacement running",
    ),
    Work(
        key="stop",
        what="stop {n}, daemon gone",
        unit="s",
        goal=0.3,
        grows=True,
        hint="from the signal to the supervisor until it and all children are gone",
    ),
    Work(
        key="idle",
        what="idle CPU, {n}",
        unit="s/min",
        goal=0.03,
        grows=True,
        hint="all threads and processes of the supervisor, by the scheduler's own count",
    ),
    Work(
        key="pss",
        what="memory (PSS), {n}, stats on",
        unit="MB",
        goal=30.0,
        grows=True,
        hint="all processes of the supervisor, as if none but they mapped their files; stats on where it has stats",
    ),
    Work(
        key="stats_cpu",
        what="stats at 1 Hz for {n}: CPU",
        unit="% of a core",
        goal=1.5,
        grows=True,
        hint="one subscriber to the numbers of every process: `sample.` of circus, `stat.` of circus 0.19",
    ),
    Work(
        key="stats_age",
        what="the same: p99 age",
        unit="s",
        goal=1.1,
        hint="how old the numbers of a process are when the next ones arrive",
    ),
    Work(
        key="stat_cpu",
        what="the same as `stat.`, a message for each process: CPU",
        unit="% of a core",
        grows=True,
        hint="for subscribers of circus 0.19, which knows no other form",
    ),
    Work(key="list", what="`list`, {n}", unit="ms", goal=2.0, grows=True, hint="a request on an open connection"),
    Work(
        key="stats",
        what="`stats`, {n}",
        unit="ms",
        goal=20.0,
        grows=True,
        hint="the same; nobody is subscribed, and they are more than a second apart, so each has to look",
    ),
    Work(
        key="status_worst",
        what="worst `status` while {n} restart",
        unit="ms",
        goal=15.0,
        fold=max,
        hint="asked again and again on an open connection; the longest of all waits is that for the decision to stop "
        "so many, which is made at once and takes Circus 4 µs for each",
    ),
    Work(
        key="restart",
        what="restart {n} by the command line",
        unit="s",
        goal=1.2,
        grows=True,
        hint="from the start of the command to the last new child running",
    ),
    Work(
        key="status_line",
        what="status by the command line, {n}",
        unit="ms",
        goal=60.0,
        hint="the whole program, from its start to its end",
    ),
    Work(
        key="log_speed",
        what="100 MB of log lines from one writer",
        unit="MB/s",
        goal=700.0,
        least=True,
        hint="lines of 100 bytes, from the writer's first write until the file holds all",
    ),
    Work(key="log_cpu", what="the same: CPU", unit="s", goal=0.15, hint="of the supervisor, not of the writer"),
    Work(
        key="torn",
        what="50 writers into one file: torn lines of 1 M",
        unit="",
        goal=0.0,
        fold=max,
        hint="lines of 22 to 111 bytes, written in pieces of 4,096; lost ones count too",
    ),
    Work(
        key="failed_4",
        what="failed requests while 4 workers reload under load",
        unit="",
        goal=0.0,
        fold=sum,
        hint="on one listening socket that the supervisor holds; three reloads in each round",
    ),
    Work(key="failed_32", what="the same, 32 workers", unit="", goal=0.0, fold=sum),
)

BY_KEY: Final = {work.key: work for work in WORKS}
