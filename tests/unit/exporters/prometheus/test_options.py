"""The options of [exporter:prometheus]."""

from __future__ import annotations

import dataclasses

import pytest

from circus.exc import ConfigError
from circus.spec.fields import EXPORTERS
from circus_exporters.prometheus.options import PrometheusOptions, read_options


def test_defaults_are_loopback_and_our_port() -> None:
    assert read_options({}) == PrometheusOptions(host="127.0.0.1", port=9464, processes="auto")


def test_the_defaults_are_those_of_the_rows() -> None:
    assert dataclasses.asdict(PrometheusOptions()) == {row.name: row.ini for row in EXPORTERS["prometheus"].values()}


def test_values_are_read() -> None:
    found = read_options({"host": "::1", "port": " 0 ", "processes": "full"})
    assert found == PrometheusOptions(host="::1", port=0, processes="full")


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("port", "http"), ("port", "-1"), ("port", "65536"), ("port", ""), ("port", "94.64"),
        ("host", ""), ("host", "127.0.0.1:9464"), ("host", "http://x"), ("host", "a b"),
        ("processes", "some"), ("max_series", "1999"), ("max_series", "many"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_place_and_expectation(option: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_options({option: text}, where="/etc/circus.ini")
    told = str(caught.value)
    assert told.startswith(f"/etc/circus.ini: [exporter:prometheus] {option} = {text!r}: expected ")


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read_options({"port": "x", "hots": "y", "colour": "z"})
    assert [mistake.option for mistake in caught.value.mistakes] == ["port", "hots", "colour"]


def test_an_unknown_option_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean host"):
        read_options({"hots": "y"})
    with pytest.raises(ConfigError, match="there are host, port, processes, max_series, web_config"):
        read_options({"colour": "z"})
