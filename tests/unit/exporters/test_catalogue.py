"""The table of metrics keeps to the conventions of Prometheus, and the reference page to the table."""

from __future__ import annotations

import re
from collections.abc import Callable

from circus.spec.fields import EXPORTERS
from circus_exporters.catalogue import METRICS, SOURCES, Metric
from circus_exporters.reference import metrics_page
from tests.helpers.daemon import REPOSITORY

# Labels that a scrape or a deployment sets, and names that mean something to Prometheus itself.
TAKEN_LABELS = {"instance", "job", "host", "arbiter", "cluster", "service", "env", "region", "type", "le", "quantile"}


def those(wrong: Callable[[Metric], object]) -> list[str]:
    """The names of the metrics that have this fault."""
    return [metric.name for metric in METRICS if wrong(metric)]


def test_names_are_snake_case_with_our_prefix() -> None:
    assert those(lambda metric: not re.fullmatch(r"circus(_[a-z0-9]+)+", metric.name)) == []


def test_suffixes_tell_the_type() -> None:
    assert those(lambda metric: metric.name.endswith("_total") != (metric.type == "counter")) == []
    assert those(lambda metric: metric.name.endswith("_info") != (metric.type == "info")) == []
    assert those(lambda metric: metric.name.endswith(("_sum", "_count", "_bucket"))) == []


def test_times_and_sizes_have_a_unit() -> None:
    measured = re.compile(r"duration|time(stamp)?_|memory|bytes|cpu")
    assert those(lambda metric: measured.search(metric.name) and not metric.unit) == []


def test_help_is_a_sentence_that_needs_no_escaping() -> None:
    assert those(lambda metric: not re.fullmatch(r"[A-Z0-9][^\\\n\"]+\.", metric.help)) == []


def test_labels_are_ours_to_set() -> None:
    assert those(lambda metric: TAKEN_LABELS & set(metric.labels)) == []
    assert those(lambda metric: set(metric.closed) - set(metric.labels)) == []


def test_sources_are_listed() -> None:
    assert those(lambda metric: set(metric.source.split("+")) - set(SOURCES)) == []


def test_names_are_unique() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_the_pid_stands_on_one_metric_alone() -> None:
    assert [metric.name for metric in METRICS if "pid" in metric.labels] == ["circus_process_info"]


def test_the_committed_page_is_fresh() -> None:
    committed = (REPOSITORY / "docs/reference/metrics.md").read_text()
    assert committed == metrics_page(), "run: python -m circus_exporters.reference > docs/reference/metrics.md"


def test_every_metric_is_on_the_page() -> None:
    page = metrics_page()
    assert [metric.name for metric in METRICS if f"| `{metric.name}`" not in page] == []


def test_every_option_of_the_section_is_on_the_page() -> None:
    page = metrics_page()
    assert [name for name in EXPORTERS["prometheus"] if f"| `{name}` |" not in page] == []
