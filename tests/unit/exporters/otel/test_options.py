"""The section and the variables of OpenTelemetry: which of them counts, and what is told of mistakes."""

from __future__ import annotations

import pytest

from circus.exc import ConfigError
from circus_exporters.otel.options import OtlpOptions, Target, pairs, read_options


def target(options: OtlpOptions) -> Target:
    assert options.traces is not None
    return options.traces


def test_without_anything_it_is_http_to_this_machine() -> None:
    options = read_options({}, {})
    assert (target(options).protocol, target(options).url) == ("http/protobuf", "http://localhost:4318/v1/traces")
    assert options.metrics is not None
    assert options.metrics.url == "http://localhost:4318/v1/metrics"
    assert (options.metrics_interval, options.max_queue, options.batch, options.delay) == (60.0, 20_000, 512, 5.0)


def test_the_section_comes_before_the_variable_of_the_signal_before_that_of_all() -> None:
    of_all = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://all:1/base/"}
    of_one = of_all | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://one:2/as/it/is"}
    assert target(read_options({}, of_all)).url == "http://all:1/base/v1/traces"
    assert target(read_options({}, of_one)).url == "http://one:2/as/it/is"
    assert target(read_options({"endpoint": "http://ini:3"}, of_one)).url == "http://ini:3/v1/traces"


def test_grpc_has_its_own_port_and_no_path() -> None:
    assert target(read_options({}, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})).url == "http://localhost:4317"


def test_the_other_variables() -> None:
    options = read_options(
        {"headers": "x-key=a%20b, X-Other=c"},
        {
            "OTEL_EXPORTER_OTLP_TIMEOUT": "3", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_SERVICE_NAME": "us",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=live", "OTEL_METRIC_EXPORT_INTERVAL": "1500",
            "OTEL_BSP_MAX_QUEUE_SIZE": "10", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25",
        },
    )  # fmt: skip
    assert target(options).headers == (("x-key", "a b"), ("x-other", "c"))
    assert (target(options).timeout, target(options).compression) == (3.0, "gzip")
    assert (options.metrics_interval, options.max_queue, options.sampler, options.ratio) == (
        1.5,
        10,
        "traceidratio",
        0.25,
    )
    assert (options.service_name, options.resource) == ("us", {"deployment.environment.name": "live"})


@pytest.mark.parametrize(
    ("section", "environ"),
    [
        ({"traces": "no"}, {}),
        ({}, {"OTEL_TRACES_EXPORTER": "none"}),
        ({}, {"OTEL_SDK_DISABLED": "true"}),
    ],
)
def test_traces_can_be_off(section: dict[str, str], environ: dict[str, str]) -> None:
    assert read_options(section, environ).traces is None


def test_all_mistakes_are_told_with_where_they_are() -> None:
    with pytest.raises(ConfigError) as caught:
        read_options(
            {"endpoint": "collector:4318", "protocol": "http", "colour": "red", "certificate": "/no/such/file"},
            {"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"},
            where="/etc/circus.ini",
        )
    told = str(caught.value).splitlines()
    assert len(told) == 5
    for start in (
        "/etc/circus.ini: [exporter:otlp] endpoint = 'collector:4318': expected http://HOST:PORT",
        "/etc/circus.ini: [exporter:otlp] protocol = 'http': expected",
        "/etc/circus.ini: [exporter:otlp] colour = 'red': no such option",
        "/etc/circus.ini: [exporter:otlp] certificate = '/no/such/file': expected a file that can be read",
        "configuration: [environment] OTEL_EXPORTER_OTLP_TIMEOUT = 'soon': expected a number of seconds",
    ):
        assert [line for line in told if line.startswith(start)], (start, told)


def test_a_password_in_the_address_is_not_shown() -> None:
    options = read_options({"endpoint": "https://me:secret@collector"}, {})
    assert target(options).shown == "https://collector/v1/traces"


@pytest.mark.parametrize("text", ["a", "=b", "a=b,c"])
def test_pairs_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        pairs(text)
