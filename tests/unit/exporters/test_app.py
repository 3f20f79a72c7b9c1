"""What the sections enable."""

from __future__ import annotations

import pytest

from circus.exc import ConfigError
from circus_exporters.app import read_sections


def test_no_section_is_prometheus_with_its_defaults() -> None:
    assert read_sections({}).port == 9464


def test_a_section_is_read() -> None:
    assert read_sections({"prometheus": {"port": "0"}}).port == 0


def test_mistakes_of_all_sections_are_told_together() -> None:
    with pytest.raises(ConfigError) as caught:
        read_sections({"promtheus": {}, "prometheus": {"port": "x"}}, where="/etc/circus.ini")
    assert str(caught.value).splitlines() == [
        "/etc/circus.ini: [exporter:promtheus]: no such exporter; there is prometheus",
        "/etc/circus.ini: [exporter:prometheus] port = 'x': expected a whole number from 0 to 65535",
    ]
