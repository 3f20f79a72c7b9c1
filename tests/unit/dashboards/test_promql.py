"""Queries name only what the catalogue has."""

from __future__ import annotations

import pytest

from circus_exporters import catalogue as c
from dashboards.alerts.promql import UnknownName, others, select, without


def test_a_selector_has_the_name_the_labels_and_the_window() -> None:
    text = select(c.EXITS, initiator="process", outcome=("error", "signal"), over="5m")
    assert text == 'circus_watcher_process_exits_total{initiator="process",outcome=~"error|signal"}[5m]'


def test_a_metric_without_wanted_labels_is_its_name() -> None:
    assert select(c.UP) == "circus_up"


def test_a_histogram_is_read_by_its_parts() -> None:
    assert select(c.LOOP_LAG, "bucket", over="5m") == "circus_loop_lag_seconds_bucket[5m]"
    with pytest.raises(UnknownName, match="histogram"):
        select(c.LOOP_LAG)
    with pytest.raises(UnknownName, match="circus_up is a gauge: it has no series circus_up_bucket"):
        select(c.UP, "bucket")


def test_a_label_that_the_metric_does_not_have_is_an_error() -> None:
    with pytest.raises(UnknownName, match="has no label 'wid', only watcher, state"):
        select(c.WATCHER_STATE, wid="1")
    with pytest.raises(UnknownName, match="has no label 'pid'"):
        without(c.WATCHER_STATE, "pid")


def test_a_value_that_a_closed_label_never_has_is_an_error() -> None:
    with pytest.raises(UnknownName, match="state is never 'flapping', but one of starting"):
        select(c.WATCHER_STATE, state=("backoff", "flapping"))


def test_a_value_that_would_need_quoting_is_an_error() -> None:
    with pytest.raises(UnknownName, match="would need quoting"):
        select(c.WATCHER_STATE, watcher='a"b')


def test_the_other_values_of_a_closed_label() -> None:
    assert others(c.SPANS_DROPPED, "reason", "left") == ("queue_full", "refused", "rejected")
    with pytest.raises(UnknownName):
        others(c.SPANS_DROPPED, "reason", "gone")
