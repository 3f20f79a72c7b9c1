"""The text of process series: what is written, in both formats, as the client library's own parsers read it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from circus.wire.samples import Exemplar
from circus_exporters import catalogue
from circus_exporters.catalogue import METRICS
from circus_exporters.prometheus.render import Detail, FamilyWriter, Heads, ProcessWriter, series_of_process
from tests.fakes import fleet

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def series(text: str, *, openmetrics: bool = False) -> Series:
    families = parse_openmetrics(text + "# EOF\n") if openmetrics else parse_text(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def of(found: Series, name: str) -> dict[frozenset[tuple[str, str]], float]:
    return {labels: value for (sample, labels), value in found.items() if sample == name}


def slot(watcher: str, wid: int, **more: str) -> frozenset[tuple[str, str]]:
    return frozenset({"watcher": watcher, "wid": str(wid), **more}.items())


def test_each_process_has_its_series_with_its_values() -> None:
    found = series("".join(ProcessWriter().write([fleet.sample("web", 2)], "full", openmetrics=False)))
    assert of(found, "circus_process_threads") == {slot("web", 1): 4, slot("web", 2): 4}
    assert of(found, "circus_process_resident_memory_bytes")[slot("web", 2)] == 29_184_000 + 2 * 4096
    assert of(found, "circus_process_cpu_seconds_total")[slot("web", 1, mode="user")] == 13.25
    assert of(found, "circus_process_page_faults_total")[slot("web", 1, kind="major")] == 3
    assert of(found, "circus_process_info") == {slot("web", 1, pid="1001"): 1, slot("web", 2, pid="1002"): 1}


def test_both_formats_say_the_same() -> None:
    samples = [fleet.sample("web", 2), fleet.sample("api", 1)]
    writer = ProcessWriter()
    text = series("".join(writer.write(samples, "full", openmetrics=False)))
    openmetrics = series("".join(writer.write(samples, "full", openmetrics=True)), openmetrics=True)
    assert text == openmetrics


def test_full_detail_has_every_process_metric_of_the_catalogue() -> None:
    rich = fleet.sample(processes=1)
    of_process = rich.processes[0]
    of_process.proportional_bytes = of_process.unique_bytes = of_process.swapped_bytes = 4096
    found = series("".join(ProcessWriter().write([rich], "full", openmetrics=False)))
    assert {name for name, _ in found} == {metric.name for metric in METRICS if metric.group == "process"}


def test_cpu_and_memory_detail_is_five_series_a_process() -> None:
    found = series("".join(ProcessWriter().write([fleet.sample("web", 3)], "cpu_mem", openmetrics=False)))
    assert len(found) == 15
    assert {name for name, _ in found} == {
        metric.name for metric in METRICS if metric.group == "process" and metric.detail == "cpu_mem"
    }


def test_detail_off_writes_nothing() -> None:
    assert ProcessWriter().write([fleet.sample("web", 3)], "off", openmetrics=False) == []


def test_no_process_is_no_family() -> None:
    assert ProcessWriter().write([fleet.sample("web", 0)], "full", openmetrics=False) == []


def test_an_unknown_value_is_no_series() -> None:
    sample = fleet.sample("web", 2)
    sample.processes[0].open_fds = None
    found = series("".join(ProcessWriter().write([sample], "full", openmetrics=False)))
    assert of(found, "circus_process_open_fds") == {slot("web", 2): 17}
    assert of(found, "circus_process_proportional_memory_bytes") == {}


@pytest.mark.parametrize("name", ['we"b', "we\\b", "we\nb", "wéb ☃", "", "a,b={}"])
def test_names_of_any_text_survive(name: str) -> None:
    for openmetrics in (False, True):
        text = "".join(ProcessWriter().write([fleet.sample(name, 1)], "full", openmetrics=openmetrics))
        assert slot(name, 1) in of(series(text, openmetrics=openmetrics), "circus_process_threads")


def test_the_next_process_of_a_slot_changes_only_the_pid_and_values() -> None:
    writer = ProcessWriter()
    writer.write([fleet.sample("web", 1)], "full", openmetrics=False)
    after = fleet.sample("web", [fleet.process(1, pid=4711, threads=9)])
    found = series("".join(writer.write([after], "full", openmetrics=False)))
    assert of(found, "circus_process_info") == {slot("web", 1, pid="4711"): 1}
    assert of(found, "circus_process_threads") == {slot("web", 1): 9}


def test_two_processes_that_claim_a_slot_make_one_series() -> None:
    both = fleet.sample("web", [fleet.process(1, pid=11), fleet.process(1, pid=12)])
    found = series("".join(ProcessWriter().write([both], "full", openmetrics=True)), openmetrics=True)
    assert of(found, "circus_process_info") == {slot("web", 1, pid="12"): 1}


@pytest.mark.parametrize("detail", ["full", "cpu_mem", "off"])
def test_the_writer_knows_how_many_series_it_made_and_how_many_a_process_may_have(detail: Detail) -> None:
    writer = ProcessWriter()
    found = series("".join(writer.write([fleet.sample("web", 3)], detail, openmetrics=False)))
    assert writer.series == len(found)
    rich = fleet.process(unique_bytes=1, proportional_bytes=2, swapped_bytes=3)
    writer.write([fleet.sample("web", [rich])], detail, openmetrics=False)
    assert writer.series == series_of_process(detail)


def families(write: Callable[[FamilyWriter], None], *, openmetrics: bool = False) -> str:
    writer = FamilyWriter(Heads(), openmetrics=openmetrics)
    write(writer)
    return "".join(writer.pieces())


def traced(writer: FamilyWriter) -> None:
    histogram = fleet.histogram(0.02, 0.03, 99.0)
    histogram.exemplars = [
        Exemplar(bucket=2, value=0.03, time=1795465307.5, trace="ab" * 16),
        Exemplar(bucket=10, value=99.0, time=1795465308.25, trace="cd" * 16),
    ]
    writer.add_histogram(catalogue.START_DURATION, histogram, "web")


def test_buckets_have_exemplars_in_openmetrics() -> None:
    (family,) = parse_openmetrics(families(traced, openmetrics=True) + "# EOF\n")
    told = {
        sample.labels["le"]: (sample.exemplar.labels, sample.exemplar.value, float(sample.exemplar.timestamp))
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert told == {
        "0.05": ({"trace_id": "ab" * 16}, 0.03, 1795465307.5),
        "+Inf": ({"trace_id": "cd" * 16}, 99.0, 1795465308.25),
    }


def test_text_has_no_exemplars() -> None:
    assert "trace_id" not in families(traced)
    assert series(families(traced)) == series(families(traced, openmetrics=True), openmetrics=True)


def test_families_come_in_the_order_of_the_catalogue() -> None:
    def backwards(writer: FamilyWriter) -> None:
        writer.add(catalogue.EVENT_GAPS, 1)
        writer.add(catalogue.UP, 1)

    assert families(backwards).index("circus_up") < families(backwards).index("circus_exporter_event_gap")


def test_what_was_added_can_be_taken_back() -> None:
    writer = FamilyWriter(Heads(), openmetrics=False)
    writer.add(catalogue.WATCHER_DESIRED, 1, "web")
    marks = writer.marks()
    writer.add(catalogue.WATCHER_DESIRED, 2, "api")
    writer.add(catalogue.WATCHER_READY, 2, "api")
    assert writer.count() == 3
    writer.undo(marks)
    assert writer.count() == 1
    assert series("".join(writer.pieces())) == {
        ("circus_watcher_processes_desired", frozenset({("watcher", "web")})): 1,
    }  # fmt: skip
