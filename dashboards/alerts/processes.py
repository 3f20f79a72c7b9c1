"""Alerts about single processes: how they died, and what they use.

Owns the limits of memory, CPU and descriptors. It refuses to know whether a watcher is up. Invariant: a process is named
by watcher and slot, and what is said of its past is said only where the same process has filled the slot all the time.
"""

from __future__ import annotations

from circus_exporters import catalogue as c
from circus_exporters.metric import Metric
from dashboards.alerts.base import SLOT_CPU, WATCHER, alert, process_records, timing
from dashboards.alerts.model import Alert, Group, Rule
from dashboards.alerts.promql import select, without
from dashboards.alerts.settings import Settings

WATCHER_NAME = "{{ $labels.watcher }} on {{ $labels.instance }}"
NAME = "{{ $labels.watcher }}:{{ $labels.wid }} on {{ $labels.instance }}"
# What a limit of the whole tree is compared with is the process alone: less than the truth, so never a false alarm.
OF_RESIDENT = ("rss", "tree")
OF_UNIQUE = ("uss",)


def processes(settings: Settings) -> Group:
    """The recorded series, then the alerts that read them."""
    rules: tuple[Rule, ...] = (
        *process_records(settings),
        *_deaths(settings),
        _above_limit(settings),
        _leak(settings),
        _runaway(settings),
        *_shares(settings),
    )
    return Group(name="circus.processes", interval=settings.section("rules").duration("interval"), rules=rules)


def _deaths(settings: Settings) -> tuple[Alert, ...]:
    crashed = settings.section("ProcessKilledBySignal").duration("window")
    oom = settings.section("ProcessOOMKilled").duration("window")
    signals = select(c.SIGNAL_EXITS, signal=c.SIGNAL_EXITS.closed["signal"], over=crashed)
    by_itself = select(c.EXITS, initiator="process", outcome="signal", over=crashed)
    killed = select(c.EXITS, outcome="oom", over=oom)
    return (
        # A SIGABRT that is the stop signal, or was sent by a command, is an end that we asked for.
        alert(
            settings,
            "ProcessKilledBySignal",
            f"""
            increase({signals}) > 0
            and on ({WATCHER}) increase({by_itself}) > 0
            """,
            f"A process of {WATCHER_NAME} died of {{{{ $labels.signal }}}}.",
            f"""{{{{ $value | humanize }}}} processes of {WATCHER_NAME} died of {{{{ $labels.signal }}}} within {crashed}: the program has
            done something that the system does not allow, or has given up by itself.""",
        ),
        alert(
            settings,
            "ProcessOOMKilled",
            f"sum {without(c.EXITS, 'initiator', 'outcome')} (increase({killed})) > 0",
            f"A process of {WATCHER_NAME} was killed because memory had run out.",
            f"""The kernel killed {{{{ $value | humanize }}}} processes of {WATCHER_NAME} within {oom}, because the machine or the
            container was out of memory.""",
        ),
    )


def _above_limit(settings: Settings) -> Alert:
    section = settings.section("ProcessMemoryAboveLimit")
    share = section.number("above")

    def above(metric: Metric, measures: tuple[str, ...]) -> str:
        limit = select(c.MEMORY_LIMIT, measure=measures)
        return f"{select(metric)} > ignoring (wid, measure) group_left () ({share} * {limit})"

    return alert(
        settings,
        "ProcessMemoryAboveLimit",
        f"{above(c.PROCESS_RESIDENT, OF_RESIDENT)}\nor\n{above(c.PROCESS_UNIQUE, OF_UNIQUE)}",
        f"{NAME} is near its memory limit.",
        f"""{NAME} has {{{{ $value | humanize1024 }}}}B of memory, more than {share:.0%} of its memory_limit. At the limit circusd
        replaces it.""",
        **timing(section, "for"),
    )


def _leak(settings: Settings) -> Alert:
    section = settings.section("ProcessMemoryLeak")
    window, ahead = section.duration("window"), section.duration("ahead")
    resident, started = select(c.PROCESS_RESIDENT, over=window), select(c.PROCESS_START_TIME)
    limit = select(c.MEMORY_LIMIT, measure=OF_RESIDENT)
    return alert(
        settings,
        "ProcessMemoryLeak",
        f"""
        predict_linear({resident}, {section.seconds("ahead"):g})
        > ignoring (wid, measure) group_left () {limit}
        and deriv({resident}) > 0
        and time() - {started} > {section.seconds("least_age"):g}
        and changes({select(c.PROCESS_START_TIME, over=window)}) == 0
        """,
        f"{NAME} grows towards its memory limit.",
        f"""If it goes on as in the last {window}, {NAME} has {{{{ $value | humanize1024 }}}}B of memory in {ahead}. That is more
        than its memory_limit, at which circusd replaces it.""",
        **timing(section, "for"),
    )


def _runaway(settings: Settings) -> Alert:
    section = settings.section("ProcessMemoryRunaway")
    window, rise = section.duration("window"), section.duration("rise_window")
    least_age = section.seconds("window") + section.seconds("rise_window")
    resident, started = select(c.PROCESS_RESIDENT), select(c.PROCESS_START_TIME)
    before = f"avg_over_time({select(c.PROCESS_RESIDENT, over=window)} offset {rise})"
    return alert(
        settings,
        "ProcessMemoryRunaway",
        f"""
        {resident} > {section.number("times")} * {before}
        and delta({select(c.PROCESS_RESIDENT, over=rise)}) > {section.number("least_rise"):.0f}
        and time() - {started} > {least_age:g}
        """,
        f"The memory of {NAME} grows fast.",
        f"""{NAME} has {{{{ $value | humanize1024 }}}}B of memory, more than {section.number("times"):g} times what it had
        {rise} ago.""",
        **timing(section, "for"),
    )


def _shares(settings: Settings) -> tuple[Alert, ...]:
    hog, fds = settings.section("ProcessCPUHog"), settings.section("ProcessFdExhaustion")
    return (
        alert(
            settings,
            "ProcessCPUHog",
            f"{SLOT_CPU} > {hog.number('above')}",
            f"{NAME} uses a whole CPU.",
            f"""{NAME} has used {{{{ $value | humanizePercentage }}}} of a CPU on average, and for {hog.duration("for")} never
            noticeably less.""",
            **timing(hog, "for"),
        ),
        alert(
            settings,
            "ProcessFdExhaustion",
            f"{select(c.PROCESS_OPEN_FDS)} / {select(c.PROCESS_MAX_FDS)} > {fds.number('above')}",
            f"{NAME} runs out of file descriptors.",
            f"{NAME} uses {{{{ $value | humanizePercentage }}}} of the file descriptors that it may open.",
            **timing(fds, "for"),
        ),
    )
