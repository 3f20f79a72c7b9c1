"""Alerts about watchers: whether what should run runs, and how often it has to be started again.

Owns what counts as down, missing, flapping and stuck. It refuses to know single processes. Invariant: what an operator
stops or reloads, what is replaced on a plan, and what waits for its first connection alarms nobody.
"""

from __future__ import annotations

from circus_exporters import catalogue as c
from dashboards.alerts.base import (
    DOWN_ON_PURPOSE,
    EXPECTED,
    RUNNING,
    TARGET,
    alert,
    in_state,
    resized,
    timing,
    unplanned,
    watcher_records,
)
from dashboards.alerts.model import Alert, Group, Rule
from dashboards.alerts.promql import select, without
from dashboards.alerts.settings import Settings, seconds

NAME = "{{ $labels.watcher }} on {{ $labels.instance }}"


def watchers(settings: Settings) -> Group:
    """The recorded series, then the alerts that read them."""
    rules: tuple[Rule, ...] = (
        *watcher_records(settings),
        *_presence(settings),
        *_restarts(settings),
        *_operations(settings),
        _saturated(settings),
    )
    return Group(name="circus.watchers", interval=settings.section("rules").duration("interval"), rules=rules)


def _presence(settings: Settings) -> tuple[Alert, ...]:
    down, missing = settings.section("WatcherDown"), settings.section("WatcherReplicasMissing")
    # Started by somebody, or with the daemon, and still on its way; a start after a crash is no excuse.
    within = down.duration("start_within")
    stopped = select(c.WATCHER_STATE, state=DOWN_ON_PURPOSE, over=within)
    starting, state = in_state("starting"), without(c.WATCHER_STATE, "state")
    by_command = f"{starting} and max {state} (max_over_time({stopped})) == 1"
    with_daemon = f"{starting} and on ({TARGET}) time() - {select(c.START_TIME)} < {seconds(within):g}"
    return (
        alert(
            settings,
            "WatcherDown",
            f"""
            {RUNNING} == 0
            and {EXPECTED} > 0
            unless ({by_command})
            unless ({with_daemon})
            """,
            f"{NAME} has no running process.",
            f"""No process of {NAME} has run for {down.duration("for")}, and nobody has stopped it: the program cannot be
            started, or dies at once.""",
            **timing(down, "for", "keep"),
        ),
        alert(
            settings,
            "WatcherReplicasMissing",
            f"""
            ({EXPECTED} - {RUNNING}) > 0
            unless {starting}
            unless {resized(settings)}
            """,
            f"{NAME} has fewer processes than it should.",
            f"""{{{{ $value }}}} of the processes of {NAME} have been missing for {missing.duration("for")}, and it is
            neither being stopped nor reloaded.""",
            **timing(missing, "for", "keep"),
        ),
    )


def _restarts(settings: Settings) -> tuple[Alert, ...]:
    flapping, often = settings.section("WatcherFlapping"), settings.section("WatcherRestartRateHigh")
    waiting = select(c.WATCHER_PROCESSES, state="backoff", over=flapping.duration("seen_within"))
    window = often.duration("window")
    return (
        # By state, not by a rate: the longer the delays get, the fewer restarts there are to count.
        alert(
            settings,
            "WatcherFlapping",
            f"""
            max {without(c.WATCHER_PROCESSES, "state")} (max_over_time({waiting})) > 0
            unless {in_state(*DOWN_ON_PURPOSE)}
            """,
            f"{NAME} is in a crash loop.",
            f"""Up to {{{{ $value }}}} processes of {NAME} have kept dying soon after their start, or could not be started, for
            {flapping.duration("for")}; they are started with delays.""",
            **timing(flapping, "for"),
        ),
        alert(
            settings,
            "WatcherRestartRateHigh",
            f"{unplanned(window)} > {often.number('above')}",
            f"{NAME} is restarted often.",
            f"Processes of {NAME} had to be replaced {{{{ $value | humanize }}}} times within {window}, and nobody planned it.",
        ),
    )


def _operations(settings: Settings) -> tuple[Alert, ...]:
    slow, stuck = settings.section("WatcherStopTimeouts"), settings.section("WatcherReloadStuck")
    window, started = slow.duration("window"), select(c.RELOAD_START)
    killed = select(c.EXITS, outcome="stop_timeout", over=window)
    return (
        alert(
            settings,
            "WatcherStopTimeouts",
            f"sum {without(c.EXITS, 'initiator', 'outcome')} (increase({killed})) > {slow.number('above')}",
            f"Processes of {NAME} do not stop when asked.",
            f"""{{{{ $value | humanize }}}} processes of {NAME} had to be killed within {window}, because they did not end within
            graceful_timeout of their stop signal.""",
        ),
        alert(
            settings,
            "WatcherReloadStuck",
            f"time() - {started} > {stuck.seconds('above'):g}",
            f"A reload of {NAME} does not end.",
            f"The reload of {NAME} has run for {{{{ $value | humanizeDuration }}}}.",
            **timing(stuck, "for"),
        ),
    )


def _saturated(settings: Settings) -> Alert:
    section, window = settings.section("WatcherCPUSaturated"), settings.section("rules").duration("rate_window")
    waits = f"sum {without(c.PROCESS_CPU_WAIT, 'wid')} (rate({select(c.PROCESS_CPU_WAIT, over=window)}))"
    gets = f"sum {without(c.PROCESS_CPU, 'wid', 'mode')} (rate({select(c.PROCESS_CPU, over=window)}))"
    return alert(
        settings,
        "WatcherCPUSaturated",
        f"""
        {waits}
        / ({gets} > {section.number("least_cpu")})
        > {section.number("above")}
        """,
        f"{NAME} waits for a CPU.",
        f"""For each second of CPU that {NAME} gets, its processes wait {{{{ $value | humanizeDuration }}}} for one. There is
        more work on this machine than it has CPUs.""",
        **timing(section, "for"),
    )
