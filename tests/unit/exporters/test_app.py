"""What the sections enable."""

from __future__ import annotations

import pytest

from circus.exc import ConfigError
from circus.spec.exporters import ExporterDocument
from circus_exporters.app import read_each, read_sections


def document(
    exporters: dict[str, dict[str, str]], *, where: str | None = None, **sections: dict[str, dict[str, str]]
) -> ExporterDocument:
    return ExporterDocument(
        endpoint="ipc:///c", pubsub_endpoint="", stats_endpoint="", exporters=exporters, config_file=where, **sections
    )


def test_no_section_is_prometheus_with_its_defaults() -> None:
    sections = read_sections(document({}))
    assert sections.prometheus is not None
    assert sections.prometheus.port == 9464
    assert sections.otlp is None


def test_a_section_is_read() -> None:
    sections = read_sections(document({"prometheus": {"port": "0"}}))
    assert sections.prometheus is not None
    assert sections.prometheus.port == 0


def test_a_section_for_pushing_opens_no_page() -> None:
    sections = read_sections(document({"otlp": {"endpoint": "http://collector:4318"}}))
    assert sections.prometheus is None
    assert sections.otlp is not None
    assert sections.otlp.traces is not None
    assert sections.otlp.traces.url == "http://collector:4318/v1/traces"


def test_mistakes_of_all_sections_are_told_together() -> None:
    with pytest.raises(ConfigError) as caught:
        read_sections(document({"promtheus": {}, "prometheus": {"port": "x"}}, where="/etc/circus.ini"))
    assert str(caught.value).splitlines() == [
        "/etc/circus.ini: [exporter:promtheus]: no such exporter; there is prometheus, otlp",
        "/etc/circus.ini: [exporter:prometheus] port = 'x': expected a whole number from 0 to 65535",
    ]


def test_alerts_alone_open_no_page() -> None:
    sections = read_sections(document({}, alerts={"down": {}}, notify={"ops": {"type": "exec", "cmd": "true"}}))
    assert sections.prometheus is None
    assert sections.alerts is not None
    assert [rule.kind for rule in sections.alerts.rules] == ["down"]
    assert [spec.name for spec in sections.alerts.notifiers] == ["ops"]


def test_one_section_with_a_mistake_leaves_the_others() -> None:
    read, wrong = read_each(
        document(
            {"prometheus": {}, "otlp": {"endpoint": "nowhere"}},
            alerts={"down": {}, "memory": {"above": "much"}},
        )
    )
    assert read.prometheus is not None
    assert read.otlp is None
    assert read.alerts is not None
    assert [rule.name for rule in read.alerts.rules] == ["down"]
    assert list(wrong) == ["exporter:otlp", "alerts"]
    assert "[alert:memory] above = 'much'" in str(wrong["alerts"])
