"""What the command line and the document on standard input make of each other."""

from __future__ import annotations

import io
import json
import pathlib
import sys
from types import SimpleNamespace

import pytest

from circus.exc import CircusError, ConfigError
from circus.spec.exporters import ExporterSpec, exporter_watcher
from circus_exporters.cli import document_of, parser, read_document


def arguments(*words: str) -> object:
    return parser().parse_args(words)


def test_the_document_of_circusd_is_understood() -> None:
    section = ExporterSpec(name="prometheus", options={"port": "0"})
    watcher = exporter_watcher([section], "ipc:///c", "ipc:///e", "ipc:///s", config_file="/etc/circus.ini")
    assert watcher.stdin_data is not None
    document = read_document(watcher.stdin_data)
    assert document.endpoint == "ipc:///c"
    assert document.exporters == {"prometheus": {"port": "0"}}
    assert document.config_file == "/etc/circus.ini"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"endpoint": 3}', b"\xff", b'{"secret": "hunter2"}'])
def test_another_document_is_refused_without_repeating_it(text: bytes) -> None:
    with pytest.raises(CircusError, match="standard input: expected the document") as caught:
        read_document(text)
    assert "hunter2" not in str(caught.value)


def test_standard_input_is_read_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps({"endpoint": "ipc:///c", "pubsub_endpoint": "", "stats_endpoint": "", "exporters": {}})
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
    assert document_of(arguments("--stdin")).endpoint == "ipc:///c"  # type: ignore[arg-type]  # a Namespace


def test_an_endpoint_by_hand_needs_no_file() -> None:
    document = document_of(arguments("--endpoint", "tcp://127.0.0.1:5555", "--port", "0"))  # type: ignore[arg-type]
    assert document.endpoint == "tcp://127.0.0.1:5555"
    assert document.exporters == {"prometheus": {"port": "0"}}


def test_the_command_line_wins_over_the_section(tmp_path: object) -> None:
    ini = f"{tmp_path}/circus.ini"
    with open(ini, "w") as file:  # noqa: PTH123 - one line
        file.write("[circus]\nendpoint = ipc:///run/c\n[exporter:prometheus]\nport = 1\nhost = ::1\n")
    document = document_of(arguments("--config", ini, "--port", "2"))  # type: ignore[arg-type]
    assert document.endpoint == "ipc:///run/c"
    assert document.exporters["prometheus"] == {"port": "2", "host": "::1"}


def test_automatic_endpoints_are_resolved_as_the_daemon_does(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRCUS_RUNTIME_DIR", "/r")
    ini = f"{tmp_path}/web.ini"
    with open(ini, "w") as file:  # noqa: PTH123 - one line
        file.write("[circus]\nendpoint = auto\n")
    document = document_of(arguments("--config", ini))  # type: ignore[arg-type]
    assert document.endpoint.startswith("ipc:///r/circus/web-")
    assert document.endpoint.endswith("/control.sock")


def test_a_malformed_endpoint_is_refused() -> None:
    with pytest.raises(CircusError, match="expected tcp://HOST:PORT"):
        document_of(arguments("--endpoint", "localhost:5555"))  # type: ignore[arg-type]


def test_a_section_that_circusd_leaves_out_is_no_reason_to_serve_something_else(tmp_path: pathlib.Path) -> None:
    ini = tmp_path / "circus.ini"
    ini.write_text("[exporter:prometheus]\nweb_conifg = web.yml\n[watcher:a]\nuid = nobody-of-that-name\ncmd = x\n")
    with pytest.raises(ConfigError) as caught:
        document_of(arguments("--config", str(ini)))  # type: ignore[arg-type]
    assert [mistake.option for mistake in caught.value.mistakes] == ["web_conifg"]


def test_a_web_configuration_may_be_given_by_hand() -> None:
    document = document_of(arguments("--endpoint", "ipc:///c", "--web-config", "web.yml"))  # type: ignore[arg-type]
    assert document.exporters == {"prometheus": {"web_config": "web.yml"}}
