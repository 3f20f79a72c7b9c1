"""What tells that something is wrong, as expressions that several dashboards share.

Owns what counts as wrong. It refuses to know panels. Invariant: what an operator asked for (a stop, a reload, a socket
that is waited for) is no sign.
"""

from __future__ import annotations

from typing import Final

from circus_exporters import catalogue as c
from dashboards.grafana.promql import PROCESS, RANGE, RATE, WATCHER, Scope, at_end, by, increase, on, select

HOUR: Final = 3600
FEW: Final = 20  # a watcher may have thousands of processes, and a graph has room for some
TREND: Final = "30m"  # long beside a request that takes much memory for a moment, short beside a leak


def unwanted(scope: Scope, labels: tuple[str, ...] = WATCHER, window: str = RATE) -> str:
    """Processes that ended though nobody told them to, but for those that exited with 0."""
    ends = select(c.EXITS, scope, initiator="!supervisor", outcome="!success")
    return by(labels, increase(ends, window))


def missing(scope: Scope) -> str:
    """Processes that a watcher should have ready and has not, where it is not on its way by command."""
    excused = select(c.WATCHER_STATE, scope, state="~stopped|stopping|waiting|reloading")
    short = f"clamp_min({select(c.WATCHER_DESIRED, scope)} - {select(c.WATCHER_READY, scope)}, 0)"
    return f"({on(WATCHER, short, 'unless', f'({excused} == 1)')})"


def failing(scope: Scope) -> str:
    """Watchers whose processes keep dying, or that have been given up."""
    return f"({select(c.WATCHER_STATE, scope, state='~backoff|fatal')} == 1)"


def sick(scope: Scope) -> str:
    """Every watcher with a sign of trouble in the range that is shown."""
    signs = [
        f"{select(c.CONSECUTIVE_FAILURES, scope)} > 0",
        f"{unwanted(scope, window=RANGE)} > 0.5",
        f"{missing(scope)} > 0",
        failing(scope),
    ]
    return by(WATCHER, " or ".join(signs), "count")


def restless(scope: Scope) -> str:
    """Every watcher that was not in one quiet state for the whole range."""
    states = select(c.WATCHER_STATE, scope, state="active")
    trouble = select(c.WATCHER_STATE, scope, state="~starting|reloading|stopping|backoff|fatal")
    changed, troubled = at_end(f"changes({states}[{RANGE}])"), at_end(f"max_over_time({trouble}[{RANGE}])")
    return by(WATCHER, f"{changed} > 0 or {troubled} > 0", "count")


def resident(scope: Scope, labels: tuple[str, ...] = PROCESS) -> str:
    """Memory in RAM."""
    return by(labels, select(c.PROCESS_RESIDENT, scope))


def among(scope: Scope, expression: str, few: int = FEW, ranking: str = "") -> str:
    """Of series of processes those of a few that come first over all of the shown time: by memory, or by `ranking`."""
    order = ranking or by(PROCESS, at_end(f"max_over_time({select(c.PROCESS_RESIDENT, scope)}[{RANGE}])"))
    return on(PROCESS, expression, "and", f"topk({few}, {order})")


def age(scope: Scope) -> str:
    """How long each process has been running, in seconds."""
    return f"time() - {by(PROCESS, select(c.PROCESS_START_TIME, scope), 'max')}"


def slope(scope: Scope) -> str:
    """Bytes a second by which the memory of each living process grows, where it filled its slot all the time.

    Across a replacement the slope would say that a leak has been cured.
    """
    start = select(c.PROCESS_START_TIME, scope)
    steady = on(PROCESS, f"(changes({start}[{TREND}]) == 0)", "and", start)
    return on(PROCESS, by(PROCESS, f"deriv({select(c.PROCESS_RESIDENT, scope)}[{TREND}])"), "and", steady)


def growth(scope: Scope) -> str:
    """The same in bytes an hour."""
    return f"({slope(scope)}) * {HOUR}"


def limit(scope: Scope) -> str:
    """The memory limit of each watcher whose limit is of memory in RAM."""
    return by(WATCHER, select(c.MEMORY_LIMIT, scope, measure="rss"), "max")


def share_of_limit(scope: Scope) -> str:
    """Memory in RAM as a share of the limit."""
    return on(WATCHER, resident(scope), "/", f"group_left () {limit(scope)}")


def descriptors(scope: Scope) -> str:
    """Open file descriptors as a share of those that the process may open."""
    return by(PROCESS, f"{select(c.PROCESS_OPEN_FDS, scope)} / {select(c.PROCESS_MAX_FDS, scope)}", "max")


def with_pid(scope: Scope, expression: str) -> str:
    """The same series of processes with the label `pid`."""
    return on(PROCESS, expression, "*", f"group_left (pid) {select(c.PROCESS_INFO, scope)}")
