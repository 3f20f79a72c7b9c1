"""Alerts about circusd itself and its exporter.

Owns what it means that the daemon is gone, blind, late or misconfigured. It refuses to know watchers. Invariant: one cause
is one alert; what follows from a daemon that does not answer is told by SupervisorDown alone.
"""

from __future__ import annotations

from circus_exporters import catalogue as c
from circus_exporters import catalogue_alerts
from dashboards.alerts.base import TARGET, alert, timing
from dashboards.alerts.model import Alert, Group
from dashboards.alerts.promql import others, select, without
from dashboards.alerts.settings import Settings


def supervisor(settings: Settings) -> Group:
    """All alerts of this kind."""
    rules = (
        *_presence(settings),
        *_samples(settings),
        *_loop(settings),
        *_deliveries(settings),
    )
    return Group(name="circus.supervisor", interval=settings.section("rules").duration("interval"), rules=rules)


def _presence(settings: Settings) -> tuple[Alert, ...]:
    # Stale samples make circus_up 0 too, but then the daemon still answers and its build_info is there.
    unscraped = f"up{{{settings.section('rules').text('targets')}}} == 0"
    silent = f"({select(c.UP)} == 0 unless on ({TARGET}) {select(c.BUILD_INFO)})"
    down, absent = settings.section("SupervisorDown"), settings.section("SupervisorAbsent")
    refused = settings.section("SupervisorConfigReloadFailed")
    return (
        alert(
            settings,
            "SupervisorDown",
            f"{unscraped}\nor\n{silent}",
            "circusd on {{ $labels.instance }} does not answer.",
            f"""Neither circusd nor what it last said can be had on {{{{ $labels.instance }}}} for {down.duration("for")}.
            The processes that it started may still run, but nobody replaces those that die.""",
            **timing(down, "for"),
        ),
        alert(
            settings,
            "SupervisorAbsent",
            f"absent({select(c.BUILD_INFO)})\nunless on ()\n({unscraped} or {select(c.UP)} == 0)",
            "No circusd is scraped at all.",
            f"""Prometheus has had no series {c.BUILD_INFO.name} for {absent.duration("for")}, and no target that is down
            explains it: no target is configured or discovered, or something else answers at its address.""",
            **timing(absent, "for"),
        ),
        alert(
            settings,
            "SupervisorConfigReloadFailed",
            f"{select(c.CONFIG_OK)} == 0",
            "The configuration on {{ $labels.instance }} is not in force as written.",
            """circusd on {{ $labels.instance }} was asked to apply its configuration and refused all or a part of it. What
            ran before goes on.""",
            **timing(refused, "for"),
        ),
    )


def _samples(settings: Settings) -> tuple[Alert, ...]:
    stale, failing = settings.section("SupervisorStatsStale"), settings.section("SupervisorCollectorFailing")
    overrun = settings.section("SupervisorSamplingOverrun")
    window, above = settings.section("rules").duration("rate_window"), overrun.number("above")
    duration, interval = c.SAMPLE_DURATION, select(c.SAMPLE_INTERVAL)
    took = f"rate({select(duration, 'sum', over=window)}) / rate({select(duration, 'count', over=window)})"
    return (
        # The exporter judges by its own clock, so it does not matter whether that agrees with the clock of Prometheus.
        alert(
            settings,
            "SupervisorStatsStale",
            f"""
            (time() - {select(c.SAMPLE_TIME)})
            and on ({TARGET}) {select(c.COLLECTOR_SUCCESS, collector="process")} == 0
            """,
            "circusd on {{ $labels.instance }} answers, but sends no samples.",
            """The last sample from {{ $labels.instance }} is {{ $value | humanizeDuration }} old. What its processes use is
            not known, and alerts about processes are blind.""",
            **timing(stale, "for"),
        ),
        alert(
            settings,
            "SupervisorCollectorFailing",
            f"{select(c.COLLECTOR_SUCCESS)} == 0 and on ({TARGET}) {select(c.UP)} == 1",
            "A part of the metrics of {{ $labels.instance }} is missing.",
            f"""The exporter on {{{{ $labels.instance }}}} reaches circusd, but its collector {{{{ $labels.collector }}}} has had
            nothing current for {failing.duration("for")}.""",
            **timing(failing, "for"),
        ),
        alert(
            settings,
            "SupervisorSamplingOverrun",
            f"{took}\n> {above} * {interval}",
            "Sampling on {{ $labels.instance }} takes most of its interval.",
            f"""circusd on {{{{ $labels.instance }}}} needs {{{{ $value | humanizeDuration }}}} for one pass over its processes,
            more than {above:.0%} of the sampling interval.""",
            **timing(overrun, "for"),
        ),
    )


def _loop(settings: Settings) -> tuple[Alert, ...]:
    blocked = settings.section("SupervisorLoopBlocked")
    window, quantile = settings.section("rules").duration("rate_window"), blocked.number("quantile")
    lag = select(c.LOOP_LAG, "bucket", over=window)
    return (
        alert(
            settings,
            "SupervisorLoopBlocked",
            f"histogram_quantile({quantile}, rate({lag})) > {blocked.number('above')}",
            "The loop of circusd on {{ $labels.instance }} is late.",
            f"""{quantile:.0%} of the timers of circusd on {{{{ $labels.instance }}}} run up to {{{{ $value | humanizeDuration }}}}
            late, the others later. Deaths are noticed and commands answered as late as that.""",
            **timing(blocked, "for"),
        ),
    )


def _deliveries(settings: Settings) -> tuple[Alert, ...]:
    dropped = settings.section("SupervisorEventsDropped").duration("window")
    export = settings.section("SupervisorTelemetryExportFailing")
    given_up = others(c.SPANS_DROPPED, "reason", "left")  # an exporter that is stopped takes what waits with it
    window, failures = export.duration("window"), export.number("failures")
    spans = f"sum by ({TARGET}) (increase({select(c.SPANS_DROPPED, reason=given_up, over=window)}))"
    telling, given_up_alerts = settings.section("SupervisorAlertDeliveryFailing"), catalogue_alerts.FAILED
    untold = select(given_up_alerts, over=telling.duration("window"))
    metrics = select(c.METRIC_EXPORTS, outcome="failure", over=window)
    return (
        # Lines of output are left out beyond a rate by design; messages that a subscriber was too slow for are not.
        alert(
            settings,
            "SupervisorEventsDropped",
            f"increase({select(c.EVENTS_DROPPED, reason='hwm', over=dropped)}) > 0",
            "A subscriber of circusd on {{ $labels.instance }} misses messages.",
            f"""circusd on {{{{ $labels.instance }}}} had to drop {{{{ $value | humanize }}}} messages of the kind
            {{{{ $labels.sink }}}} within {dropped}, because a subscriber did not take them.""",
        ),
        alert(
            settings,
            "SupervisorAlertDeliveryFailing",
            f"sum {without(given_up_alerts, 'reason')} (increase({untold})) > 0",
            "Alerts of circusd on {{ $labels.instance }} do not reach {{ $labels.sink }}.",
            f"""Within {telling.duration("window")} the notifier {{{{ $labels.sink }}}} on {{{{ $labels.instance }}}} has given up
            {{{{ $value | humanize }}}} messages about alerts of [alert:NAME] sections.""",
            **timing(telling, "for"),
        ),
        alert(
            settings,
            "SupervisorTelemetryExportFailing",
            f"{spans} > 0\nor\nsum by ({TARGET}) (increase({metrics})) >= {failures}",
            "Traces or metrics from {{ $labels.instance }} do not reach their collector.",
            f"""Within {window} {{{{ $value | humanize }}}} spans or requests with metrics from {{{{ $labels.instance }}}} were given
            up by the exporter.""",
            **timing(export, "for"),
        ),
    )
