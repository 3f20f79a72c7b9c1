"""The supervisor itself: whether its loop, its samples, its channels and its exporter keep up.

Owns the panels of one dashboard.
"""

from __future__ import annotations

from circus_exporters import catalogue as c
from circus_exporters import catalogue_alerts as a
from circus_exporters.metric import Metric
from dashboards.grafana import foreign, limits, marks
from dashboards.grafana.frame import INTERNALS, Frame, Section, address
from dashboards.grafana.panels import (
    GREEN,
    ORANGE,
    RED,
    YELLOW,
    Column,
    PanelBuilder,
    Query,
    density,
    graph,
    number,
    rows,
)
from dashboards.grafana.promql import RANGE, TARGET, Part, Scope, by, increase, quantile, rate, select

F = Scope.FLEET
ONE = "{{instance}}"


def frame() -> Frame:
    """The dashboard."""
    return Frame(
        uid=INTERNALS,
        title="Circus / Supervisor internals",
        description="Whether circusd and its exporter keep up: loop, commands, samples, channels, page, traces.",
        scope=F,
        sections=[
            Section(title="Now", panels=_now()),
            Section(title="Loop and commands", panels=_loop()),
            Section(title="Samples", panels=_samples()),
            Section(title="Channels", panels=_channels()),
            Section(title="What circusd uses", panels=_usage()),
            Section(title="Sockets of Circus", panels=_sockets()),
            Section(title="Exporter", panels=[*_page(), *_delivery()]),
            Section(title="Alerts of Circus itself", panels=_alerts()),
        ],
        marks=[marks.daemon_started(), marks.configured()],
        since="now-3h",
    )


def _now() -> list[PanelBuilder]:
    lost = "+".join(
        f" sum({increase(select(metric, F), RANGE)}) "
        for metric in (c.EVENTS_DROPPED, c.STATS_GAPS, c.EVENTS_LOST, c.SAMPLES_SKIPPED)
    )
    return [
        number(
            "Answer", "Daemons that answer their exporter and whose last sample is fresh.",
            f"sum({select(c.UP, F)})", unit="short",
        ),
        number(
            "Loop late by", "99th percentile of how late the loop ran a timer, over the shown time. Late loops react late to deaths.",
            f"histogram_quantile(0.99, {by(('le',), increase(select(c.LOOP_LAG, F, 'bucket'), RANGE))})",
            unit="s", steps=[(limits.LOOP / 2, YELLOW), (limits.LOOP, RED)],
        ),
        number(
            "Age of the oldest sample", "Beyond ten intervals the series of processes are left out.",
            f"max(time() - {select(c.SAMPLE_TIME, F)})", unit="s", steps=[(10, YELLOW), (30, RED)],
        ),
        number(
            "Commands in flight", "Commands that are queued or run now.",
            f"sum({select(c.COMMANDS_IN_FLIGHT, F)})", unit="short",
        ),
        number(
            "Lost", "Messages dropped or never received, records lost for good, passes left out, in the shown time.",
            lost.strip(), unit="short", steps=[(0.5, ORANGE)],
        ),
        number(
            "Defects", "Events that the state machines of circusd did not expect. Each is a defect of Circus: please report it.",
            f"sum({select(c.ILLEGAL_TRANSITIONS, F)})", unit="short", steps=[(1, RED)],
        ),
    ]  # fmt: skip


def _loop() -> list[PanelBuilder]:
    def slow(metric: Metric, q: float) -> Query:
        return Query(quantile(q, metric, F, ("instance",)), f"p{q * 100:g} {ONE}")

    errors = by(("instance", "command", "error"), increase(select(c.COMMAND_ERRORS, F)))
    return [
        density(
            "How late the loop is", "How late circusd ran a timer that should run regularly.",
            by(("le",), increase(select(c.LOOP_LAG, F, "bucket"))), unit="s", traces=False,
        ),
        graph(
            "How late the loop is, by daemon", "What holds the loop up delays everything: deaths are noticed late, commands wait.",
            slow(c.LOOP_LAG, 0.99), slow(c.LOOP_LAG, 0.5), unit="s", limit=limits.LOOP,
        ),
        graph(
            "Commands", "Requests a second on the control endpoint. The exporter asks telemetry at each scrape.",
            Query(f"{by(('command',), rate(select(c.COMMANDS, F)))} > 0", "{{command}}"), unit="reqps", stacked=True,
        ),
        graph(
            "Errors of commands", "Requests that were answered with an error, and what was wrong.",
            Query(f"{errors} > 0", "{{instance}} {{command}}: {{error}}"), unit="short", bars=True, stacked=True,
        ),
        graph(
            "Time for commands", "95th percentile of queue and execution. The dots of commands that change something lead to traces.",
            Query(quantile(0.95, c.COMMAND_DURATION, F, ("command",)), "{{command}}", exemplar=True), unit="s",
        ),
        graph(
            "Commands in flight", "Commands that are queued or run.",
            Query(by(("instance",), select(c.COMMANDS_IN_FLIGHT, F)), ONE), unit="short",
        ),
    ]  # fmt: skip


def _samples() -> list[PanelBuilder]:
    parts: tuple[Part, Part] = ("sum", "count")
    total, count = (by(TARGET, rate(select(c.SAMPLE_DURATION, F, part))) for part in parts)
    return [
        graph(
            "Time for one pass", "Mean time of a pass over all processes, and the interval between two of them.",
            Query(f"{total} / {count}", f"pass {ONE}"),
            Query(by(TARGET, select(c.SAMPLE_INTERVAL, F), "max"), f"interval {ONE}"), unit="s", dashed="^interval ",
        ),
        graph(
            "Age of the last sample", "Seconds since the exporter got one. What Prometheus shows of processes is as old.",
            Query(f"time() - {by(TARGET, select(c.SAMPLE_TIME, F), 'max')}", ONE), unit="s",
        ),
        graph(
            "Processes sampled", "Processes in the last sample.",
            Query(by(TARGET, select(c.SAMPLE_PROCESSES, F), "max"), ONE), unit="short",
        ),
        graph(
            "Passes left out, processes not read",
            "Passes that did not take place because the one before was still running, and processes that could not be read.",
            Query(by(TARGET, increase(select(c.SAMPLES_SKIPPED, F))), f"left out {ONE}"),
            Query(by((*TARGET, "reason"), increase(select(c.SAMPLE_ERRORS, F))), f"{{{{reason}}}} {ONE}"),
            unit="short", bars=True,
        ),
    ]  # fmt: skip


def _channels() -> list[PanelBuilder]:
    gaps = [
        (c.STATS_GAPS, "samples missed"), (c.EVENT_GAPS, "records asked for again"), (c.EVENTS_LOST, "records lost"),
    ]  # fmt: skip
    return [
        graph(
            "Messages published", "Messages a second on the channel of events, by the beginning of their topic.",
            Query(by(("kind",), rate(select(c.EVENTS_PUBLISHED, F))), "{{kind}}"), unit="short", stacked=True,
        ),
        graph(
            "Messages dropped", "Messages that circusd could not deliver, and why: a subscriber that does not read, mostly.",
            Query(by(("instance", "sink", "reason"), increase(select(c.EVENTS_DROPPED, F))), "{{instance}} {{sink}}: {{reason}}"),
            unit="short", bars=True,
        ),
        graph(
            "Gaps that the exporter saw", "What did not reach the exporter. Records are asked for again; lost ones are missing in traces.",
            *(Query(by(("instance",), increase(select(metric, F))), f"{name} {ONE}") for metric, name in gaps),
            unit="short", bars=True,
        ),
        graph(
            "Subscriptions", "Subscriptions at the channels of circusd. Nothing is sampled for nobody.",
            Query(by(("instance", "socket"), select(c.SUBSCRIBERS, F)), "{{instance}} {{socket}}"), unit="short",
        ),
    ]  # fmt: skip


def _usage() -> list[PanelBuilder]:
    fds = f"{select(c.DAEMON_OPEN_FDS, F)} / {select(c.DAEMON_MAX_FDS, F)}"
    return [
        graph(
            "CPU", "CPU time a second of circusd. 1 is one core.",
            Query(by(("instance", "mode"), rate(select(c.DAEMON_CPU, F))), "{{instance}} {{mode}}"), unit="short", stacked=True,
            span=6,
        ),
        graph(
            "Memory", "Memory in RAM of circusd.", Query(by(("instance",), select(c.DAEMON_RESIDENT, F)), ONE), unit="bytes", span=6,
        ),
        graph(
            "Open descriptors", "Open file descriptors as a share of those that circusd may open. Without any it cannot start processes.",
            Query(by(("instance",), fds, "max"), ONE), unit="percentunit", limit=limits.DESCRIPTORS, span=6,
        ),
        graph(
            "Strangers cleared away", "Processes that workers left behind and circusd has cleared away when they ended.",
            Query(by(("instance",), increase(select(c.STRANGERS, F))), ONE), unit="short", bars=True, span=6,
        ),
        graph(
            "Upgrades", "How often circusd was replaced by its new program, under its workers.",
            Query(by(("instance",), increase(select(c.UPGRADES, F))), ONE), unit="short", bars=True, span=6,
        ),
    ]  # fmt: skip


def _sockets() -> list[PanelBuilder]:
    queue, most = select(c.ACCEPT_QUEUE, F), select(c.ACCEPT_LIMIT, F)
    return [
        graph(
            "Waiting connections", "Connections that wait to be accepted: workers are too few, too slow, or stuck.",
            Query(by(("instance", "socket"), queue), "{{instance}} {{socket}}"), unit="short",
        ),
        graph(
            "Waiting connections, share of the queue", "At 1 the kernel refuses connections.",
            Query(by(("instance", "socket"), f"{queue} / {most}", "max"), "{{instance}} {{socket}}"),
            unit="percentunit", limit=0.8,
        ),
    ]  # fmt: skip


def _page() -> list[PanelBuilder]:
    def told(expression: str) -> str:
        return by(TARGET, expression, "max")

    detail = by((*TARGET, "level"), f"{select(c.PROCESS_DETAIL, F)} == 1", "max")
    answers = {0: ("no", RED), 1: ("yes", GREEN)}
    return [
        rows(
            "Exporters", "What each exporter tells. Detail: how much of processes; it falls by itself when there are very many.",
            [
                Column(title="Series", expression=told(select(c.SERIES, F))),
                Column(title="Of max_series", expression=told(f"{select(c.SERIES, F)} / {select(c.SERIES_LIMIT, F)}"), unit="percentunit", steps=[(0.9, ORANGE)]),
                Column(title="Left out", expression=by(TARGET, select(c.LEFT_OUT_PARTS, F)), steps=[(1, ORANGE)]),
                Column(title="Current values", expression=by(TARGET, select(c.COLLECTOR_SUCCESS, F), "min"), meanings=answers),
                Column(title="Sections that fail", expression=told(select(c.SECTIONS_FAILED, F)), steps=[(1, RED)]),
                Column(title="Web configuration in force", expression=told(select(c.WEB_CONFIG_OK, F)), meanings=answers),
                Column(title="Detail", expression=detail, hidden=True),
            ],
            labels=["instance", "level"], link=address(INTERNALS, "instance"), link_on="instance", sort="Series", height=6,
        ),
        graph(
            "Time for a scrape", "What the parts of a scrape take.",
            Query(by(("instance", "collector"), select(c.COLLECTOR_DURATION, F), "max"), "{{instance}} {{collector}}"), unit="s",
        ),
        graph(
            "Memory of the exporter", "Memory in RAM of the process that serves the page.",
            Query(by(("instance",), select(foreign.EXPORTER_RESIDENT, F), "max"), ONE), unit="bytes",
        ),
    ]  # fmt: skip


def _delivery() -> list[PanelBuilder]:
    return [
        graph(
            "Spans", "Spans a second that the collector has taken, and those that it never had.",
            Query(by(("instance",), rate(select(c.SPANS_EXPORTED, F))), f"delivered {ONE}"),
            Query(by(("instance", "reason"), rate(select(c.SPANS_DROPPED, F))), f"dropped: {{{{reason}}}} {ONE}"),
            unit="short", span=8,
        ),
        graph(
            "Spans that wait", "Spans that are to be delivered. A queue that grows: the collector is away or slow.",
            Query(by(("instance",), select(c.SPANS_WAITING, F)), ONE), unit="short", span=8,
        ),
        graph(
            "Deliveries of metrics", "Requests with metrics to the collector.",
            Query(by(("instance", "outcome"), increase(select(c.METRIC_EXPORTS, F))), "{{instance}} {{outcome}}"),
            unit="short", bars=True, span=8,
        ),
    ]  # fmt: skip


def _alerts() -> list[PanelBuilder]:
    sink = ("instance", "sink")
    return [
        graph(
            "Alerts that fire", "By severity, silenced ones included.",
            Query(by(("instance", "severity"), select(a.ACTIVE, F)), "{{instance}} {{severity}}"), unit="short", span=6,
        ),
        graph(
            "Deliveries", "Beginnings and ends of alerts that were taken, tried again and given up, by notifier.",
            Query(by(sink, increase(select(a.DELIVERIES, F))), "taken {{instance}} {{sink}}"),
            Query(by(sink, increase(select(a.RETRIES, F))), "tried again {{instance}} {{sink}}"),
            Query(
                f"{by((*sink, 'reason'), increase(select(a.FAILED, F)))} > 0", "given up {{instance}} {{sink}}: {{reason}}",
            ),
            unit="short", bars=True, span=6,
        ),
        graph(
            "Waiting to be told", "Beginnings and ends that a notifier is to be told. A queue that grows: it is away or slow.",
            Query(by(sink, select(a.QUEUE, F)), "{{instance}} {{sink}}"), unit="short", span=6,
        ),
        graph(
            "Not told", "Alerts that nobody was told, and why: told before, silenced, or the watcher was just starting.",
            Query(by(("instance", "reason"), increase(select(a.SUPPRESSED, F))), "{{instance}} {{reason}}"),
            unit="short", bars=True, span=6,
        ),
    ]  # fmt: skip
