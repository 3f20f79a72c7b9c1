"""Negotiation, and the composition of a whole scrape; the server itself is tested with real connections."""

from __future__ import annotations

import time

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from circus_exporters.prometheus.http import PrometheusSite, accepted, wants_openmetrics
from circus_exporters.prometheus.options import PrometheusOptions
from circus_exporters.state import FleetState
from tests.fakes import fleet

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
TEXT_ONLY = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


async def current() -> bool:
    return True


def site(state: FleetState, **options: object) -> PrometheusSite:
    return PrometheusSite(state, PrometheusOptions(**options), current)  # type: ignore[arg-type]  # test data


def attached() -> FleetState:
    state, now = FleetState("here"), time.monotonic()
    state.attach(fleet.telemetry(fleet.watcher("web", 2)), now)
    state.fold_daemon(fleet.daemon_sample(), now)
    state.fold_sample(fleet.sample("web", 2), now)
    return state


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (PROMETHEUS_2_42, True),
        (TEXT_ONLY, False),
        (BROWSER, False),
        ("", False),
        ("*/*", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;q=0", False),
        ("text/plain;q=0.9,application/openmetrics-text;q=0.2", False),
        ("APPLICATION/OpenMetrics-Text; Version=1.0.0", True),
        ("application/openmetrics-text;q=much", False),
    ],
)
def test_openmetrics_is_given_to_who_prefers_it(accept: str, expected: bool) -> None:
    assert wants_openmetrics(accept) is expected


def test_offers_are_read_with_their_quality() -> None:
    assert accepted("gzip;q=0.5, deflate , ,br;q=0") == {"gzip": 0.5, "deflate": 1.0, "br": 0.0}


def test_a_scrape_has_every_part_once() -> None:
    body = site(attached()).scrape(openmetrics=False, arbiter=(True, 0.001)).decode()
    names = [family.name for family in parse_text(body)]
    assert len(names) == len(set(names))
    assert {"circus_up", "circus_watcher_state", "circus_process_threads", "process_cpu_seconds"} <= set(names)
    assert "_created" not in body
    assert "# EOF" not in body


def test_an_openmetrics_scrape_is_valid_and_ends_once() -> None:
    body = site(attached()).scrape(openmetrics=True, arbiter=(True, 0.001)).decode()
    assert body.count("# EOF\n") == 1
    assert body.endswith("# EOF\n")
    assert list(parse_openmetrics(body))


def test_the_detail_of_processes_is_an_option() -> None:
    body = site(attached(), processes="off").scrape(openmetrics=False, arbiter=(True, 0.001)).decode()
    assert "circus_process_" not in body.replace("circus_process_exits", "")
    assert 'circus_watcher_cpu_seconds_total{watcher="web",mode="user"}' in body


def test_a_scrape_without_a_daemon_says_so() -> None:
    body = site(FleetState()).scrape(openmetrics=False, arbiter=(False, 0.0)).decode()
    assert "circus_up 0\n" in body
    assert 'circus_scrape_collector_success{collector="arbiter"} 0\n' in body
    assert 'circus_scrape_collector_success{collector="process"} 0\n' in body
    assert "process_resident_memory_bytes" in body


@pytest.mark.parametrize(
    ("watchers", "processes", "gone"),
    [
        (2, 40, set()),
        (2, 300, {"process_detail"}),
        (2, 1200, {"processes"}),
        (38, 1, {"watcher_histograms"}),
        (60, 2, {"watcher_histograms", "watchers", "processes"}),
    ],
)
@pytest.mark.parametrize("openmetrics", [False, True])
def test_a_page_stays_within_its_limit_and_says_what_it_leaves_out(
    watchers: int, processes: int, gone: set[str], openmetrics: bool
) -> None:
    state, now = FleetState("here"), time.monotonic()
    names = [f"w{number}" for number in range(watchers)]
    state.attach(fleet.telemetry(*(fleet.watcher(name, processes) for name in names)), now)
    state.fold_daemon(fleet.daemon_sample(), now)
    for name in names:
        state.fold_sample(fleet.sample(name, processes), now)
    body = site(state, processes="full", max_series=4000).scrape(openmetrics=openmetrics, arbiter=(True, 0.001))
    lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
    told = {line.split(" ")[0]: float(line.split(" ")[1]) for line in lines}
    assert told["circus_exporter_series"] == len(lines) <= 4000
    found = {
        name.split('"')[1] for name, value in told.items() if name.startswith("circus_exporter_left_out") and value
    }
    assert found == gone
