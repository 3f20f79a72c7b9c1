"""Which watchers a configuration makes, and the room they need."""

import sys

from circus.population import descriptors_of_process, watcher_specs
from circus.spec.arbiter import ArbiterSpec
from circus.spec.exporters import ExporterSpec
from circus.spec.plugins import PluginSpec
from circus.spec.streams import StreamSpec
from circus.spec.watcher import WatcherSpec
from circus.spec.web import web_socket

WHERE = {"endpoint": "ipc:///c", "pubsub_endpoint": "ipc:///p", "stats_endpoint": "ipc:///s"}


def test_the_configured_come_first_then_plugins_then_the_exporter():
    spec = ArbiterSpec(
        watchers=(WatcherSpec(name="web", cmd="x"),),
        plugins=(PluginSpec(name="plugin:p", use="a.B"),),
        exporters=(ExporterSpec(name="prometheus"),),
    )
    made = watcher_specs(spec, **WHERE)
    assert [watcher.name for watcher in made] == ["web", "plugin:p", "circus-exporter"]
    assert [watcher.role for watcher in made] == ["worker", "plugin", "exporter"]


def test_an_alert_alone_runs_the_exporter_and_a_notifier_alone_does_not():
    alert, way = ExporterSpec(name="down"), ExporterSpec(name="ops", options={"type": "exec", "cmd": "x"})
    assert [watcher.name for watcher in watcher_specs(ArbiterSpec(alerts=(alert,), notify=(way,)), **WHERE)] == [
        "circus-exporter"
    ]
    assert watcher_specs(ArbiterSpec(notify=(way,)), **WHERE) == []


def test_without_sections_there_is_neither():
    assert watcher_specs(ArbiterSpec(), **WHERE) == []


def test_secrets_of_an_exporter_are_not_on_its_command_line():
    spec = ArbiterSpec(exporters=(ExporterSpec(name="prometheus", options={"password": "s3cret"}),))
    (made,) = watcher_specs(spec, **WHERE)
    assert "s3cret" not in f"{made.cmd} {made.args}"
    assert b"s3cret" in made.stdin_data
    assert sys.executable in made.cmd


def test_the_web_console_runs_where_it_has_a_socket():
    console = ArbiterSpec(httpd=True, sockets=(web_socket("localhost", 8080),))
    (made,) = watcher_specs(console, **WHERE)
    assert (made.name, made.singleton, made.use_sockets, made.stdout_stream) == ("circushttpd", True, True, None)
    assert made.args[-4:] == ("--endpoint", "ipc:///c", "--fd", "$(circus.sockets.circushttpd)")
    assert watcher_specs(ArbiterSpec(httpd=True), **WHERE) == []
    assert watcher_specs(ArbiterSpec(sockets=console.sockets), **WHERE) == []


def test_a_file_of_its_own_is_one_descriptor_more_for_each_process():
    each, shared = (StreamSpec(options={"filename": name}) for name in ("/log/{wid}", "/log/all"))
    plain = descriptors_of_process(WatcherSpec(name="web"))
    assert descriptors_of_process(WatcherSpec(name="web", stdout_stream=shared)) == plain
    assert descriptors_of_process(WatcherSpec(name="web", stdout_stream=each, stderr_stream=each)) == plain + 2
