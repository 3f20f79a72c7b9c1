"""What the sections enable."""

from __future__ import annotations

import pytest

from circus.exc import ConfigError
from circus_exporters.app import read_sections


def test_no_section_is_prometheus_with_its_defaults() -> None:
    sections = read_sections({})
    assert sections.prometheus is not None
    assert sections.prometheus.port == 9464
    assert sections.otlp is None


def test_a_section_is_read() -> None:
    sections = read_sections({"prometheus": {"port": "0"}})
    assert sections.prometheus is not None
    assert sections.prometheus.port == 0


def test_a_section_for_pushing_opens_no_page() -> None:
    sections = read_sections({"otlp": {"endpoint": "http://collector:4318"}})
    assert sections.prometheus is None
    assert sections.otlp is not None
    assert sections.otlp.traces is not None
    assert sections.otlp.traces.url == "http://collector:4318/v1/traces"


def test_mistakes_of_all_sections_are_told_together() -> None:
    with pytest.raises(ConfigError) as caught:
        read_sections({"promtheus": {}, "prometheus": {"port": "x"}}, where="/etc/circus.ini")
    assert str(caught.value).splitlines() == [
        "/etc/circus.ini: [exporter:promtheus]: no such exporter; there is prometheus, otlp",
        "/etc/circus.ini: [exporter:prometheus] port = 'x': expected a whole number from 0 to 65535",
    ]
