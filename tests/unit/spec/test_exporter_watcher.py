"""The watcher that runs the exporters."""

from __future__ import annotations

import json

from circus.keys import Keys
from circus.spec.exporters import ExporterSpec, exporter_watcher
from circus.spec.watcher import WatcherSpec
from circus_exporters.cli import read_document


def made() -> WatcherSpec:
    section = ExporterSpec(name="prometheus", options={"port": "9464", "password": "hunter2"})
    return exporter_watcher(
        [section], "ipc:///c", "ipc:///e", "ipc:///s", python="/opt/my python", config_file="/etc/circus.ini"
    )


def test_sections_and_addresses_go_over_standard_input() -> None:
    data = made().stdin_data
    assert data is not None
    assert json.loads(data) == {
        "endpoint": "ipc:///c", "pubsub_endpoint": "ipc:///e", "stats_endpoint": "ipc:///s",
        "exporters": {"prometheus": {"port": "9464", "password": "hunter2"}}, "config_file": "/etc/circus.ini",
        "alerts": {}, "notify": {}, "keys": None,
    }  # fmt: skip


def test_alerts_and_notifiers_go_the_same_way() -> None:
    alert, way = ExporterSpec(name="down", options={"for": "1m"}), ExporterSpec(name="ops", options={"secret": "x"})
    data = exporter_watcher([], "ipc:///c", "ipc:///e", "ipc:///s", alerts=[alert], notify=[way]).stdin_data
    document = read_document(data or b"")
    assert (document.alerts, document.notify) == ({"down": {"for": "1m"}}, {"ops": {"secret": "x"}})


def test_keys_go_the_same_way_and_are_read_again() -> None:
    keys = Keys("server", "public", "secret")
    data = exporter_watcher([], "tcp://1:1", "tcp://1:2", "tcp://1:3", keys=keys).stdin_data
    assert read_document(data or b"").keys == keys


def test_the_command_line_tells_nothing_of_them() -> None:
    assert made().cmd == "'/opt/my python'"
    assert made().args == ("-P", "-m", "circus_exporters.cli", "--stdin")


def test_it_is_one_process_that_is_always_brought_back() -> None:
    watcher = made()
    assert (watcher.name, watcher.role, watcher.singleton) == ("circus-exporter", "exporter", True)
    assert (watcher.max_retry, watcher.graceful_timeout, watcher.copy_env) == (-1, 6.0, True)
