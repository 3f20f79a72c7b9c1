"""What a scrape says of daemon, watchers and exporter."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from circus.wire import events
from circus.wire.snapshot import Exits, SocketSnapshot, WatcherSnapshot
from circus_exporters.catalogue import METRICS
from circus_exporters.prometheus.collector import FleetCollector
from circus_exporters.prometheus.http import OF_EXPORTER
from circus_exporters.prometheus.render import FamilyWriter, Heads
from circus_exporters.state import Alerting, Deliveries, FleetState
from circus_exporters.watchers import configured_labels, signal_number
from tests.fakes import fleet

COLLECTORS = {"arbiter": (True, 0.002), "process": (True, 0.001)}
BY_NAME = {metric.name: metric for metric in METRICS}


def page(state: FleetState, *, openmetrics: bool = False, now: float = 100.0, heads: Heads | None = None) -> str:
    writer = FamilyWriter(heads or Heads(), openmetrics=openmetrics)
    collector = FleetCollector(state, writer)
    collector.collect()
    collector.tell_of_exporter(now, COLLECTORS, web_config=True)
    collector.tell_of_page(others=7, limit=1000, detail="full", left_out={})
    return "".join(writer.pieces()) + ("# EOF\n" if openmetrics else "")


def values(text: str, name: str) -> dict[frozenset[tuple[str, str]], float]:
    return {
        frozenset(sample.labels.items()): sample.value
        for family in parse_text(text)
        for sample in family.samples
        if sample.name == name
    }


def value(text: str, name: str, **labels: str) -> float | None:
    return values(text, name).get(frozenset(labels.items()))


def attached(*watchers: WatcherSnapshot, **changes: Any) -> FleetState:
    state = FleetState()
    state.attach(fleet.telemetry(*watchers, **changes), 100.0)
    state.fold_daemon(fleet.daemon_sample(seq=1), 100.0)
    for watcher in watchers:
        state.fold_sample(fleet.sample(watcher.name, watcher.desired), 100.0)
    return state


def rich() -> FleetState:
    """A fleet in which every metric of the catalogue has a series."""
    counters = fleet.counters(
        hook_failures={"before_start": 2}, stream_bytes={"stdout": 100}, stream_lines={"stdout": 3},
        stream_drops={"stdout": 1},
    )  # fmt: skip
    killed = fleet.last_exit(exit_code=None, signal="SIGKILL", outcome="signal")
    web = fleet.watcher("web", 2, counters=counters, last_exit=fleet.last_exit(), reload_started=fleet.STARTED)
    web.labels = {"team": "payments"}
    web.memory_limit_bytes, web.memory_limit_of = 512_000_000, "tree"
    web.histograms.hook_seconds = {"before_start": fleet.histogram(0.5)}
    state = attached(
        web,
        fleet.watcher("api", 1, last_exit=killed),
        sockets=[SocketSnapshot(name="http", fd=9, address="127.0.0.1:80", accept_queue=3, accept_limit=128)],
        arbiter={"events_dropped": {"pubsub": 4}},
    )
    state.deliveries = Deliveries()
    state.alerting = alerting()
    return state


def alerting() -> Alerting:
    """What is counted of alerts, with one notifier."""
    failed = {"ops": {"refused": 1}}
    return Alerting(active={"critical": 1}, delivered={"ops": 4}, retried={"ops": 2}, failed=failed, waiting={"ops": 3})


def test_every_metric_of_the_catalogue_is_shown_with_its_labels() -> None:
    found: dict[str, set[frozenset[str]]] = {}
    for family in parse_text(page(rich())):
        for sample in family.samples:
            name = sample.name
            if family.type == "histogram":
                name = name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
            found.setdefault(name, set()).add(frozenset(sample.labels.keys() - {"le"}))
    expected = {metric.name: {frozenset(metric.labels)} for metric in METRICS if metric.group != "process"}
    expected["circus_watcher_labels_info"] = {frozenset({"watcher", "label_team"})}
    assert found == expected


def test_both_formats_say_the_same() -> None:
    state = rich()
    read = [
        {
            (sample.name, frozenset(sample.labels.items()), sample.value)
            for family in families
            for sample in family.samples
        }
        for families in (parse_text(page(state)), parse_openmetrics(page(state, openmetrics=True)))
    ]
    assert read[0] == read[1]


def test_types_and_units_are_those_of_the_catalogue() -> None:
    for family in parse_openmetrics(page(rich(), openmetrics=True)):
        metric = next(metric for metric in METRICS if metric.family == family.name)
        assert (family.type, family.unit, family.documentation) == (metric.type, metric.unit, metric.help)


def test_without_a_daemon_only_the_exporter_speaks() -> None:
    state = FleetState()
    state.deliveries, state.alerting = Deliveries(), alerting()
    text = page(state)
    assert value(text, "circus_up") == 0
    assert {family.name for family in parse_text(text)} == {metric.family for metric in METRICS if metric.source == "X"}


def test_a_daemon_that_ended_is_down_and_its_numbers_are_gone() -> None:
    state = rich()
    assert value(page(state), "circus_up") == 1
    state.detach()
    text = page(state)
    assert value(text, "circus_up") == 0
    assert values(text, "circus_watcher_restarts_total") == {}
    assert values(text, "circus_build_info") == {}


def test_what_became_of_alerts_is_told_by_notifier() -> None:
    text = page(rich())
    assert value(text, "circus_alerts_active", severity="critical") == 1
    assert value(text, "circus_alerts_active", severity="info") == 0
    assert value(text, "circus_alert_deliveries_total", sink="ops") == 4
    assert value(text, "circus_alert_delivery_failures_total", sink="ops", reason="refused") == 1
    assert value(text, "circus_alert_delivery_failures_total", sink="ops", reason="overflow") == 0
    assert value(text, "circus_alert_queue_length", sink="ops") == 3


def test_a_limit_of_memory_is_told_where_there_is_one() -> None:
    name = "circus_watcher_memory_limit_bytes"
    assert values(page(rich()), name) == {frozenset({("watcher", "web"), ("measure", "tree")}): 512_000_000}


@pytest.mark.parametrize(("ok", "refused", "expected"), [(True, None, 1), (True, fleet.STARTED, 0), (False, None, 0)])
def test_a_configuration_that_was_refused_or_in_part_left_out_is_no_success(
    ok: bool, refused: float | None, expected: int
) -> None:
    config = msgspec.structs.replace(fleet.telemetry().config, ok=ok, refused_time=refused)
    assert value(page(attached(config=config)), "circus_config_last_reload_successful") == expected


def test_a_watcher_is_in_one_state() -> None:
    text = page(attached(fleet.watcher("web", 2, state="backoff")))
    states = values(text, "circus_watcher_state")
    assert {dict(labels)["state"] for labels in states} == set(events.WATCHER_STATES)
    assert [dict(labels)["state"] for labels, found in states.items() if found] == ["backoff"]


def test_counters_are_born_at_zero_for_all_known_labels() -> None:
    bare = fleet.counters(starts={}, restarts={}, exits=[], signal_exits={}, spawn_failures={})
    text = page(attached(fleet.watcher("web", 1, counters=bare)))
    for name in (
        "circus_watcher_process_starts_total", "circus_watcher_restarts_total", "circus_watcher_process_exits_total",
        "circus_watcher_signal_exits_total", "circus_watcher_spawn_failures_total",
    ):  # fmt: skip
        expected = 1
        for known in BY_NAME[name].closed.values():
            expected *= len(known)
        assert list(values(text, name).values()) == [0] * expected
    assert value(text, "circus_sample_errors_total", reason="denied") == 0


def test_counters_are_those_of_the_snapshot() -> None:
    counters = fleet.counters(
        starts={"boot": 2, "crash": 5}, restarts={"crash": 5}, exits=[Exits("process", "error", 5)],
        signal_exits={"SIGSEGV": 1, "SIGUSR1": 2}, spawn_failures={"exec": 3}, reloads=4, reload_failures=1, leftovers=5,
    )  # fmt: skip
    text = page(attached(fleet.watcher("web", 2, counters=counters)))
    assert value(text, "circus_watcher_process_starts_total", watcher="web", cause="crash") == 5
    assert value(text, "circus_watcher_restarts_total", watcher="web", cause="crash") == 5
    assert value(text, "circus_watcher_process_exits_total", watcher="web", initiator="process", outcome="error") == 5
    assert value(text, "circus_watcher_signal_exits_total", watcher="web", signal="SIGUSR1") == 2
    assert value(text, "circus_watcher_spawn_failures_total", watcher="web", stage="exec") == 3
    assert value(text, "circus_watcher_reloads_total", watcher="web") == 4
    assert value(text, "circus_watcher_reload_failures_total", watcher="web") == 1
    assert value(text, "circus_watcher_leftovers_total", watcher="web") == 5


def test_an_exit_code_and_a_signal_exclude_each_other() -> None:
    text = page(rich())
    assert value(text, "circus_watcher_last_exit_code", watcher="web") == 3
    assert value(text, "circus_watcher_last_exit_signal", watcher="web") is None
    assert value(text, "circus_watcher_last_exit_code", watcher="api") is None
    assert value(text, "circus_watcher_last_exit_signal", watcher="api") == 9


def test_what_never_happened_is_absent() -> None:
    text = page(attached(fleet.watcher("web", 1)))
    assert values(text, "circus_watcher_last_exit_timestamp_seconds") == {}
    assert values(text, "circus_watcher_reload_start_timestamp_seconds") == {}


def test_histogram_buckets_add_up() -> None:
    watcher = fleet.watcher("web", 1)
    watcher.histograms.start_seconds = fleet.histogram(0.004, 0.02, 0.02, 99.0)
    text = page(attached(watcher))
    name = "circus_watcher_start_duration_seconds"
    assert value(text, f"{name}_bucket", watcher="web", le="0.005") == 1
    assert value(text, f"{name}_bucket", watcher="web", le="0.05") == 3
    assert value(text, f"{name}_bucket", watcher="web", le="+Inf") == 4
    assert value(text, f"{name}_count", watcher="web") == 4
    assert value(text, f"{name}_sum", watcher="web") == 0.004 + 0.02 + 0.02 + 99.0


def test_cpu_of_a_watcher_is_absent_while_unknown() -> None:
    state = FleetState()
    state.attach(fleet.telemetry(fleet.watcher("web", 2)), 100.0)
    assert values(page(state), "circus_watcher_cpu_seconds_total") == {}


def test_drops_are_told_by_sink_and_reason() -> None:
    text = page(attached(arbiter={"events_dropped": {"lifecycle": 4, "log": 1}}))
    assert value(text, "circus_events_dropped_total", sink="lifecycle", reason="hwm") == 4
    assert value(text, "circus_events_dropped_total", sink="log", reason="limit") == 1


def test_topics_of_somebody_else_do_not_become_labels() -> None:
    counts = {"lifecycle": 3, "mine": 1, "yours": 2}
    text = page(attached(arbiter={"events_published": counts, "events_dropped": counts}))
    assert value(text, "circus_events_published_total", kind="other") == 3
    assert value(text, "circus_events_published_total", kind="lifecycle") == 3
    assert value(text, "circus_events_dropped_total", sink="other", reason="hwm") == 3
    assert "mine" not in text


def test_subscriptions_are_counted_and_never_become_labels() -> None:
    state = attached()
    state.fold_daemon(
        fleet.daemon_sample(seq=2, subscribers={"sample.": 2, "stat.web.1": 1}, drops={"stats": 7}), 100.0
    )
    text = page(state)
    assert values(text, "circus_subscribers") == {
        frozenset({("socket", "stats")}): 3, frozenset({("socket", "events")}): 1,
    }  # fmt: skip
    assert value(text, "circus_events_dropped_total", sink="stats", reason="hwm") == 7


def test_errors_of_commands_are_told_apart() -> None:
    kinds = {"list": {"message": 0, "command": 0}, "stop": {"message": 1, "command": 0}}
    text = page(attached(arbiter={"command_error_kinds": kinds}))
    assert value(text, "circus_command_errors_total", command="list", error="message") == 0
    assert value(text, "circus_command_errors_total", command="stop", error="message") == 1
    assert value(text, "circus_command_errors_total", command="stop", error="command") == 0


def test_a_socket_whose_queue_the_system_does_not_tell_has_no_series() -> None:
    unix = SocketSnapshot(name="app", fd=9, address="/run/app.sock", accept_queue=None, accept_limit=None)
    assert values(page(attached(sockets=[unix])), "circus_socket_accept_queue_length") == {}


def test_a_removed_watcher_leaves_nothing_in_the_next_scrape() -> None:
    state, heads = rich(), Heads()
    page(state, heads=heads)
    state.fold_telemetry(fleet.telemetry(fleet.watcher("api", 1)))
    assert 'watcher="web"' not in page(state, heads=heads)
    assert 'watcher="api"' in page(state, heads=heads)


def test_histograms_follow_a_change_of_their_bounds() -> None:
    state, heads = attached(fleet.watcher("web", 1)), Heads()
    page(state, heads=heads)
    watcher = fleet.watcher("web", 1)
    watcher.histograms.stop_seconds = fleet.histogram(2.0, bounds=[1.0, 4.0])
    state.fold_telemetry(fleet.telemetry(watcher))
    name = "circus_watcher_stop_duration_seconds_bucket"
    assert {dict(labels)["le"] for labels in values(page(state, heads=heads), name)} == {"1.0", "4.0", "+Inf"}


def test_signals_are_numbered_as_this_system_numbers_them() -> None:
    assert signal_number("SIGKILL") == 9
    assert signal_number("SIGNOSUCH") is None
    assert signal_number(None) is None


def test_labels_of_a_watcher_are_one_info_series() -> None:
    text = page(attached(fleet.watcher("web", labels={"team": "payments", "tier": 'g"o\\ld'}), fleet.watcher("api")))
    assert list(values(text, "circus_watcher_labels_info")) == [
        frozenset({("watcher", "web"), ("label_team", "payments"), ("label_tier", 'g"o\\ld')})
    ]


def test_names_of_labels_become_what_prometheus_takes_and_stay_apart() -> None:
    assert configured_labels({"a.b": "1", "a-b": "2", "watcher": "3", "Größe": "4"}) == [
        ("label_Gr__e", "4"), ("label_a_b", "2"), ("label_a_b_2", "1"), ("label_watcher", "3"),
    ]  # fmt: skip


def crowd() -> FleetState:
    socket = SocketSnapshot(name="http", fd=9, address="127.0.0.1:80", accept_queue=3, accept_limit=128)
    return attached(*(fleet.watcher(f"w{number}") for number in range(5)), sockets=[socket])


def collected(room: float) -> tuple[int, dict[str, int], set[str]]:
    """(series, what was left out, the watchers that are told of)."""
    writer = FamilyWriter(Heads(), openmetrics=False)
    left_out = FleetCollector(crowd(), writer).collect(room)
    text = "".join(writer.pieces())
    shown = {dict(labels)["watcher"] for labels in values(text, "circus_watcher_processes_desired")}
    return writer.count(), left_out, shown


def test_what_does_not_fit_is_left_out_in_order() -> None:
    everything, nothing_left_out, all_watchers = collected(math.inf)
    assert (nothing_left_out, len(all_watchers)) == ({}, 5)
    assert collected(everything) == (everything, {}, all_watchers)
    bare, left_out, shown = collected(everything - 1)
    assert (left_out, shown) == ({"watcher_histograms": 5}, all_watchers)
    assert bare < everything
    assert collected(bare) == (bare, {"watcher_histograms": 5}, all_watchers)
    assert collected(bare - 1)[1] == {"watcher_histograms": 5, "sockets": 1}
    fewer, left_out, shown = collected(bare - 3)
    assert (left_out["watchers"], shown) == (1, {"w0", "w1", "w2", "w3"})
    assert fewer <= bare - 3


@pytest.mark.parametrize("room", [0, 200, 500, 700])
def test_the_daemon_is_told_of_in_any_case_and_nothing_exceeds_the_room_beside_it(room: int) -> None:
    alone = FamilyWriter(Heads(), openmetrics=False)
    FleetCollector(attached(), alone).collect()
    count, _, _ = collected(room)
    assert count <= max(room, alone.count())


def test_what_the_exporter_says_of_itself_fits_into_what_is_kept_free_for_it() -> None:
    lines = [line for line in page(FleetState()).splitlines() if not line.startswith("#")]
    assert len(lines) <= OF_EXPORTER


def test_the_page_counts_itself() -> None:
    text = page(rich())
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert value(text, "circus_exporter_series") == len(lines) + 7
    assert value(text, "circus_exporter_series_limit") == 1000
    assert value(text, "circus_exporter_left_out", part="watchers") == 0
    assert value(text, "circus_exporter_process_detail", level="full") == 1
    assert value(text, "circus_exporter_process_detail", level="off") == 0
