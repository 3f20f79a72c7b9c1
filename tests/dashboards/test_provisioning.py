"""The shipped configurations of Prometheus and Alertmanager: the tools take them, and they do what they are for."""

from __future__ import annotations

import contextlib
import http.server
import json
import pathlib
import re
import threading
from collections.abc import Callable, Iterator

import pytest
import yaml

from dashboards.alerts.settings import Settings
from tests.conftest import CircusD
from tests.helpers import provisioning
from tests.helpers.alertmanager import Alertmanager, Webhook
from tests.helpers.daemon import REPOSITORY, Daemon
from tests.helpers.metrics import scrape
from tests.helpers.ports import reserved_port
from tests.helpers.prometheus import Prometheus
from tests.helpers.rules import ALERTS, promtool, run_tool
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.real

PROMETHEUS = sorted((provisioning.PROVISIONING / "prometheus").glob("*.yml"))
ALERTMANAGER = provisioning.PROVISIONING / "alertmanager" / "alertmanager.yml"
PATIENCE = 60.0
INI = """
[exporter:prometheus]
port = {port}

[watcher:web]
cmd = sleep 1000

[watcher:gone]
cmd = /nonexistent/program
"""


@pytest.fixture
def exporters(circusd: CircusD) -> Iterator[Callable[[], tuple[Daemon, str]]]:
    """Starts a daemon with an exporter: (daemon, the address of the exporter)."""
    with contextlib.ExitStack() as stack:

        def make() -> tuple[Daemon, str]:
            port = stack.enter_context(reserved_port())
            daemon = circusd(INI.format(port=port))
            wait_until(lambda: scrape(port), what=daemon.log_text)
            return daemon, f"127.0.0.1:{port}"

        yield make


@pytest.mark.parametrize("path", PROMETHEUS, ids=lambda path: path.stem)
def test_promtool_takes_the_configuration_and_finds_the_rules(path: pathlib.Path) -> None:
    done = promtool("check", "config", path)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = {path.name for path in (REPOSITORY / "dashboards/out/prometheus").glob("*.yml")}
    assert {name for name in rules if name not in done.stdout} == set()


@pytest.mark.parametrize("path", PROMETHEUS, ids=lambda path: path.stem)
def test_its_job_is_the_one_that_the_rules_look_for(path: pathlib.Path) -> None:
    (job,) = yaml.safe_load(path.read_text())["scrape_configs"]
    assert Settings.load().section("rules").text("targets") == f'job="{job["job_name"]}"'


def test_amtool_takes_the_configuration() -> None:
    done = run_tool("amtool", "prometheus-alertmanager", "check-config", ALERTMANAGER)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_keeps_alerts_back_names_alerts_that_exist() -> None:
    rules = yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]
    matchers = [text for rule in rules for side in ("source_matchers", "target_matchers") for text in rule[side]]
    patterns = re.findall(r'alertname!?=~?"([^"]+)"', " ".join(matchers))
    assert len(patterns) == len(matchers)
    assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in ALERTS)] == []


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "on-call"), ("warning", "team"), ("info", "team")])
def test_each_severity_finds_its_receiver(severity: str, receiver: str) -> None:
    done = run_tool(
        "amtool", "prometheus-alertmanager",
        "config", "routes", "test", f"--config.file={ALERTMANAGER}", f"severity={severity}", "alertname=WatcherDown",
    )  # fmt: skip
    assert done.stdout.strip() == receiver


def test_hosts_are_found_in_files_as_they_come_and_go(
    exporters: Callable[[], tuple[Daemon, str]], tmp_path: pathlib.Path
) -> None:
    (_, first), (_, second) = exporters(), exporters()
    shipped = yaml.safe_load((provisioning.PROVISIONING / "prometheus/targets/example.yml").read_text())
    assert all(set(entry) == {"targets", "labels"} for entry in shipped)
    targets = tmp_path / "prometheus" / "targets"
    targets.mkdir(parents=True)

    def write(name: str, address: str, env: str) -> None:
        half = tmp_path / name
        half.write_text(yaml.safe_dump([{"targets": [address], "labels": {"env": env}}]))
        half.rename(targets / f"{name}.yml")

    write("one", first, "production")
    with Prometheus(tmp_path / "prometheus", config=provisioning.prometheus("many-hosts-by-files")) as server:
        wait_until(lambda: server.value('circus_up{env="production"}'), PATIENCE, server.targets)
        write("two", second, "staging")
        wait_until(lambda: server.value('circus_up{env="staging"}'), PATIENCE, server.targets)
        (targets / "one.yml").unlink()
        wait_until(lambda: len(server.targets()) == 1, PATIENCE, server.targets)


class _Inventory(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_hosts_are_found_by_http(exporters: Callable[[], tuple[Daemon, str]], tmp_path: pathlib.Path) -> None:
    _, address = exporters()
    shipped = json.loads((provisioning.PROVISIONING / "prometheus/targets.json").read_text())
    answer = [{**shipped[0], "targets": [address]}]
    (tmp_path / "targets.json").write_text(json.dumps(answer))
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *given: _Inventory(*given, directory=str(tmp_path))
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/targets.json"
        discovery = {"http_sd_configs": [{"url": url, "refresh_interval": "1s"}]}
        text = provisioning.prometheus("many-hosts-by-http", discovery=discovery)
        with Prometheus(tmp_path / "prometheus", config=text) as prometheus:
            wait_until(lambda: prometheus.value('circus_up{env="production"}'), PATIENCE, prometheus.targets)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_two_alertmanagers_tell_once_and_one_of_them_is_enough(
    exporters: Callable[[], tuple[Daemon, str]], tmp_path: pathlib.Path
) -> None:
    daemon, address = exporters()
    rules = provisioning.write_rules(Settings.load().faster(60).changed(rules={"interval": "1s"}), tmp_path / "rules")
    (tmp_path / "prometheus" / "targets").mkdir(parents=True)
    entry = [{"targets": [address], "labels": {"env": "production"}}]
    (tmp_path / "prometheus" / "targets" / "all.yml").write_text(yaml.safe_dump(entry))
    with Webhook() as webhook, reserved_port() as one, reserved_port() as two:
        config = provisioning.alertmanager(webhook.url)
        first = Alertmanager(tmp_path / "am1", config=config, cluster=f"127.0.0.1:{one}", peers=[f"127.0.0.1:{two}"])
        second = Alertmanager(tmp_path / "am2", config=config, cluster=f"127.0.0.1:{two}", peers=[f"127.0.0.1:{one}"])
        with first, second:
            wait_until(lambda: first.members() == second.members() == 2, PATIENCE, first.members)
            text = provisioning.prometheus(
                "many-hosts-by-files", rules=rules, alertmanagers=[first.address, second.address]
            )
            with Prometheus(tmp_path / "prometheus", config=text) as prometheus:
                gone = ("WatcherDown", "gone")
                wait_until(lambda: gone in webhook.names("firing"), PATIENCE, prometheus.firing)
                wait_until(lambda: len(first.alerts()) == len(second.alerts()) > 0, PATIENCE, second.alerts)
                # The one whose turn it is tells at once; the other looks three seconds later whether that was done.
                for each in (first, second):
                    wait_until(lambda each=each: each.looked() >= len(webhook.told), PATIENCE, each.looked)
                first.kill()
                daemon.ok("stop", name="gone", waiting=True)
                wait_until(lambda: gone in webhook.names("resolved"), PATIENCE, second.alerts)
        told = [alert for _, alert in webhook.told if alert["labels"]["alertname"] == "WatcherDown"]
        assert [alert["status"] for alert in told] == ["firing", "resolved"]
        assert {alert["labels"]["env"] for alert in told} == {"production"}
