"""What all alerts are made with: the settings, the series that are recorded first, and common conditions.

Owns the recorded names that rules share and what counts as quiet. It refuses to know single alerts. Invariant: series
keep all labels of the scrape, so whoever adds `env` or `host` to his targets finds them in the alerts.
"""

from __future__ import annotations

from typing import Final

from circus_exporters import catalogue as c
from dashboards.alerts.model import Alert, Record
from dashboards.alerts.promql import others, select, without
from dashboards.alerts.settings import Section, Settings

TARGET: Final = "job, instance"
"""What identifies a daemon, where two metrics of it are compared that have different labels."""
WATCHER: Final = "job, instance, watcher"

RUNNING: Final = "watcher:circus_watcher_processes_running:sum"
EXPECTED: Final = "watcher:circus_watcher_processes_expected:sum"
MISSING: Final = "watcher:circus_watcher_processes_missing:ratio"
UNPLANNED: Final = "watcher:circus_watcher_unplanned_restarts:rate"
SLOT_CPU: Final = "wid:circus_process_cpu_seconds:rate"
BUDGET: Final = "watcher:circus_watcher_restart_budget:per_day"

# Nobody wants these processes to run now, or somebody is replacing them on purpose.
DOWN_ON_PURPOSE: Final = ("stopping", "stopped", "waiting")
QUIET: Final = (*DOWN_ON_PURPOSE, "reloading")
PLANNED: Final = ("reload", "manual", "max_age", "schedule")
UNPLANNED_CAUSES: Final = others(c.RESTARTS, "cause", *PLANNED)


def in_state(*states: str) -> str:
    """A series for each watcher that is in one of the states, with the labels of the watcher alone."""
    return f"max {without(c.WATCHER_STATE, 'state')} ({select(c.WATCHER_STATE, state=states)}) == 1"


def of_state(state: str) -> str:
    """How many processes of each watcher are in a state."""
    return f"sum {without(c.WATCHER_PROCESSES, 'state')} ({select(c.WATCHER_PROCESSES, state=state)})"


def resized(settings: Settings) -> str:
    """A series for each watcher whose number of processes was changed and whose new ones are still on their way."""
    window = settings.section("rules").duration("after_resize")
    changed = f"changes({select(c.WATCHER_DESIRED, over=window)}) > 0"
    return f"({of_state('starting')} > 0 and {changed})"


def unplanned(window: str) -> str:
    """Unplanned restarts of each watcher within a window."""
    restarts = select(c.RESTARTS, cause=UNPLANNED_CAUSES, over=window)
    return f"sum {without(c.RESTARTS, 'cause')} (increase({restarts}))"


def watcher_records(settings: Settings) -> tuple[Record, ...]:
    """Series of watchers that alerts and dashboards read."""
    slots = f"sum {without(c.WATCHER_PROCESSES, 'state')} ({select(c.WATCHER_PROCESSES)})"
    desired = select(c.WATCHER_DESIRED)
    window = settings.section("rules").duration("rate_window")
    return (
        Record(name=RUNNING, expr=of_state("running"), about="Processes that run."),
        # With respawn = False a process that has ended leaves its slot, and nobody wants it back; otherwise there are
        # as many slots as wanted. Before the first spawns, and after giving up, there are none.
        Record(
            name=EXPECTED,
            expr=f"""
                (
                  ({desired} and {in_state("starting", "fatal")})
                  or {desired} < {slots}
                  or {slots}
                )
                unless {in_state(*QUIET)}
            """,
            about="Processes that should run now; absent while the watcher is stopped, waits for its first connection, "
            "or is being reloaded.",
        ),
        Record(
            name=MISSING,
            expr=f"""
                clamp_min(1 - {RUNNING} / ({EXPECTED} > 0), 0)
                unless {in_state("starting")}
                unless {resized(settings)}
            """,
            about="Share of the processes that should run now and do not; absent also while the watcher or what was added to "
            "it comes up.",
        ),
        Record(
            name=UNPLANNED,
            expr=f"sum {without(c.RESTARTS, 'cause')} "
            f"(rate({select(c.RESTARTS, cause=UNPLANNED_CAUSES, over=window)}))",
            about=f"Restarts a second that nobody planned: {', '.join(UNPLANNED_CAUSES)}.",
        ),
    )


def process_records(settings: Settings) -> tuple[Record, ...]:
    """Series of processes that alerts and dashboards read."""
    window = settings.section("rules").duration("rate_window")
    return (
        Record(
            name=SLOT_CPU,
            expr=f"sum {without(c.PROCESS_CPU, 'mode')} (rate({select(c.PROCESS_CPU, over=window)}))",
            about="CPU seconds a second of the process in a slot.",
        ),
    )


def alert(
    settings: Settings, name: str, expr: str, summary: str, description: str, *, after: str = "", keep: str = ""
) -> Alert:
    """An alert whose severity and runbook come from the settings. `after` and `keep` may be given by another section."""
    section = settings.section(name)
    return Alert(
        name=name,
        severity=section.severity(),
        expr=expr,
        summary=summary,
        description=description,
        runbook=settings.section("rules").text("runbook_url").replace("{alert}", name),
        after=after,
        keep=keep,
    )


def timing(section: Section, *names: str) -> dict[str, str]:
    """The arguments `after` and `keep` of `alert` from entries `for` and `keep` of a section."""
    arguments = {"for": "after", "keep": "keep"}
    return {arguments[name]: section.duration(name) for name in names}
