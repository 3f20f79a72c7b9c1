"""circus-exporter as a process: its options, its end, and what it does when its daemon goes and comes."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import CircusD
from tests.helpers import proc
from tests.helpers.daemon import Daemon, script
from tests.helpers.metrics import Page, scrape
from tests.helpers.ports import reserved_port, wait_listening
from tests.helpers.waiting import DEADLINE, wait_until

SLEEPER = "[watcher:sleeper]\ncmd = sleep 1000\n"


class Exporter:
    """A circus-exporter that a test starts by hand, with what it wrote to standard error."""

    def __init__(self, log: pathlib.Path, *words: str) -> None:
        self._log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen([script("circus-exporter"), *words], stdin=subprocess.DEVNULL, stderr=file)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def page(self) -> Page:
        port = wait_listening(self.process.pid)
        return wait_until(lambda: scrape(port), what=lambda: self.log)

    def wait_up(self, expected: float) -> None:
        wait_until(lambda: self.page().value("circus_up") == expected, what=lambda: self.log)


@pytest.fixture
def exporter(tmp_path: pathlib.Path) -> Iterator[Callable[..., Exporter]]:
    made: list[Exporter] = []

    def start(*words: str) -> Exporter:
        made.append(Exporter(tmp_path / f"exporter-{len(made)}.log", *words))
        return made[-1]

    yield start
    for each in made:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()


def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [script("circus-exporter"), *words], input=stdin, capture_output=True, text=True, timeout=DEADLINE
    )


# By hand


def test_it_follows_a_daemon_that_it_is_pointed_at(circusd: CircusD, exporter: Callable[..., Exporter]) -> None:
    daemon = circusd(SLEEPER)
    by_hand = exporter("--endpoint", daemon.endpoint, "--port", "0")
    by_hand.wait_up(1)
    (pid,) = daemon.wait_pids("sleeper", 1)
    wait_until(lambda: by_hand.page().value("circus_process_info", watcher="sleeper", wid="1", pid=str(pid)) == 1)


def test_it_finds_daemon_and_options_in_a_configuration(circusd: CircusD, exporter: Callable[..., Exporter]) -> None:
    daemon = circusd(SLEEPER)
    with reserved_port() as port:
        text = daemon.ini.read_text()
        daemon.ini.write_text(f"{text}\n[exporter:prometheus]\nport = {port}\nprocesses = off\n")
        by_hand = exporter("--config", str(daemon.ini))
        page = wait_until(lambda: scrape(port), what=lambda: by_hand.log)
        assert page.total("circus_watcher_processes", watcher="sleeper") == 1
        assert "circus_process_resident" not in page.text


def test_it_finds_the_only_daemon_by_itself(
    circusd: CircusD, exporter: Callable[..., Exporter], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    del tmp_path  # its path may be too long for a unix socket
    daemon = circusd(SLEEPER)
    monkeypatch.setenv("CIRCUSCTL_ENDPOINT", daemon.endpoint)
    exporter("--port", "0").wait_up(1)


def test_it_follows_the_next_daemon_at_the_same_address(circusd: CircusD, exporter: Callable[..., Exporter]) -> None:
    daemon = circusd(SLEEPER)
    by_hand = exporter("--endpoint", daemon.endpoint, "--port", "0")
    by_hand.wait_up(1)
    first = by_hand.page().value("circus_start_time_seconds")
    survivors = daemon.kill()
    by_hand.wait_up(0)
    assert by_hand.page().value("circus_start_time_seconds") is None
    for pid in survivors:
        proc.end(pid)
    daemon.start()
    by_hand.wait_up(1)
    assert by_hand.page().value("circus_start_time_seconds") != first


def test_counts_of_two_daemons_are_never_mixed(circusd: CircusD, exporter: Callable[..., Exporter]) -> None:
    """Before the end of one its counts, then nothing, then those of the next from 0: a reset, and never a fall."""
    daemon = circusd(SLEEPER)
    by_hand = exporter("--endpoint", daemon.endpoint, "--port", "0")
    by_hand.wait_up(1)
    for _ in range(3):
        (victim,) = daemon.wait_pids("sleeper", 1)
        os.kill(victim, signal.SIGKILL)
        daemon.wait_pids("sleeper", 1, without=[victim])
    seen: list[tuple[float | None, ...]] = []

    def told() -> tuple[float | None, ...]:
        page = by_hand.page()
        one = (
            page.value("circus_watcher_restarts_total", watcher="sleeper", cause="crash"),
            page.value("circus_watcher_process_starts_total", watcher="sleeper", cause="boot"),
            page.value("circus_watcher_process_lifetime_seconds_count", watcher="sleeper"),
        )
        if not seen or seen[-1] != one:
            seen.append(one)
        return one

    wait_until(lambda: told() == (3, 1, 3), what=lambda: str(seen))
    survivors = daemon.kill()
    wait_until(lambda: told() == (None, None, None), what=lambda: str(seen))
    for pid in survivors:
        proc.end(pid)
    daemon.spawn()
    wait_until(lambda: told() == (0, 1, 0), what=lambda: str(seen))
    daemon.wait_answering()
    assert seen in ([(3, 1, 3), (None, None, None), (0, 1, 0)], [(3, 1, 3), (None, None, None), (0, 0, 0), (0, 1, 0)])


def test_it_serves_for_a_while_without_a_daemon_and_leaves(
    exporter: Callable[..., Exporter], tmp_path: pathlib.Path
) -> None:
    nobody = f"ipc://{os.path.relpath(tmp_path)}/nobody"[:100]
    by_hand = exporter("--endpoint", nobody, "--port", "0", "--linger", "5")
    assert by_hand.page().value("circus_up") == 0
    assert by_hand.process.wait(DEADLINE) == 1
    assert "leaving" in by_hand.log.splitlines()[-1]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_success(circusd: CircusD, exporter: Callable[..., Exporter], signum: int) -> None:
    daemon = circusd(SLEEPER)
    by_hand = exporter("--endpoint", daemon.endpoint, "--port", "0")
    by_hand.wait_up(1)
    by_hand.process.send_signal(signum)
    assert by_hand.process.wait(DEADLINE) == 0
    assert "Traceback" not in by_hand.log


def test_a_signal_ends_it_while_it_waits_for_its_port(exporter: Callable[..., Exporter]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        waiting = exporter("--endpoint", "tcp://127.0.0.1:1", "--port", str(holder.getsockname()[1]))
        wait_until(lambda: "is in use" in waiting.log)
        waiting.process.terminate()
        assert waiting.process.wait(DEADLINE) == 0


# What is wrong with the options


def test_a_wrong_option_is_told_in_one_line() -> None:
    done = run("--endpoint", "tcp://127.0.0.1:1", "--port", "http")
    assert done.returncode == 1
    assert done.stderr == (
        "command line: [exporter:prometheus] port = 'http': expected a whole number from 0 to 65535\n"
    )


def test_a_wrong_document_is_told_in_one_line() -> None:
    done = run("--stdin", stdin='{"endpoint": ')
    assert done.returncode == 1
    assert done.stderr.startswith("standard input: expected the document that circusd gives its exporter")
    assert done.stderr.count("\n") == 1


def test_wrong_sections_are_told_with_their_file() -> None:
    sections = {"prometheus": {"port": "http", "hots": "x"}, "statsd": {}}
    document = {"endpoint": "tcp://127.0.0.1:1", "pubsub_endpoint": "", "stats_endpoint": "",
                "exporters": sections, "config_file": "/etc/circus.ini"}  # fmt: skip
    done = run("--stdin", stdin=json.dumps(document))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "/etc/circus.ini: [exporter:statsd]: no such exporter; there is prometheus, otlp",
        "/etc/circus.ini: [exporter:prometheus] port = 'http': expected a whole number from 0 to 65535",
        "/etc/circus.ini: [exporter:prometheus] hots = 'x': no such option; did you mean host?",
    ]


def test_a_missing_configuration_is_told_without_a_traceback(tmp_path: pathlib.Path) -> None:
    done = run("--config", str(tmp_path / "nowhere.ini"))
    assert done.returncode == 1
    assert "nowhere.ini" in done.stderr
    assert "Traceback" not in done.stderr


# As a child of the daemon


def child(daemon: Daemon) -> int:
    return daemon.wait_pids("circus-exporter", 1)[0]


def test_the_daemon_stops_its_exporter_quickly(circusd: CircusD) -> None:
    daemon = circusd(f"{SLEEPER}[exporter:prometheus]\nport = 0\n")
    wait_listening(child(daemon))
    daemon.ok("stop", name="circus-exporter", waiting=True)
    (ended,) = daemon.telemetry("circus-exporter")["slots"] or [{"last_exit": None}]
    told = ended["last_exit"] or daemon.telemetry("circus-exporter")["last_exit"]
    assert (told["initiator"], told["outcome"], told["exit_code"]) == ("supervisor", "success", 0)


def test_it_shows_how_the_others_come_up(circusd: CircusD) -> None:
    slow = "[watcher:slow]\ncmd = sleep 1000\nnumprocesses = 3\nwarmup_delay = 1000\npriority = 5\n"
    with reserved_port() as port:
        daemon = circusd(f"{slow}\n[watcher:next]\ncmd = sleep 1000\n\n[exporter:prometheus]\nport = {port}\n")
        page = wait_until(lambda: scrape(port), what=daemon.log_text)
        assert page.value("circus_watcher_state", watcher="slow", state="starting") == 1
        assert page.value("circus_watcher_state", watcher="next", state="stopped") == 1


def test_a_section_with_a_mistake_is_left_out_with_one_line_and_the_rest_runs(circusd: CircusD) -> None:
    daemon = circusd(f"{SLEEPER}[exporter:prometheus]\nprot = 1\n[exporter:promtheus]\n")
    daemon.wait_pids("sleeper", 1)
    assert daemon.ok("list")["watchers"] == ["sleeper"]
    assert daemon.log_text().count("[exporter:prometheus] prot = '1': no such option; did you mean port?") == 1
    assert daemon.log_text().count("[exporter:promtheus]: no such exporter; there is prometheus, otlp") == 1


def test_a_reload_that_would_break_the_exporter_is_refused_and_metrics_tell_it(circusd: CircusD) -> None:
    daemon = circusd(f"{SLEEPER}memory_limit = 1G\n[exporter:prometheus]\nport = 0\nprocesses = full\n")
    exporter, text = child(daemon), daemon.ini.read_text()
    page = wait_until(lambda: scrape(wait_listening(exporter)), what=daemon.log_text)
    assert page.value("circus_config_last_reload_successful") == 1
    assert page.value("circus_watcher_memory_limit_bytes", watcher="sleeper", measure="rss") == 2**30
    daemon.ini.write_text(text.replace("processes = full", "processes = everything"))
    reply = daemon.call("reloadconfig", waiting=True)
    assert reply["status"] == "error"
    assert "expected auto, full, cpu_mem or off" in reply["reason"]
    assert child(daemon) == exporter
    page = wait_until(lambda: scrape(wait_listening(exporter)))
    assert page.value("circus_config_last_reload_successful") == 0
    daemon.ini.write_text(text.replace("processes = full", "processes = off"))
    daemon.ok("reloadconfig", waiting=True)
    (after,) = daemon.wait_pids("circus-exporter", 1, without=[exporter])
    page = wait_until(lambda: scrape(wait_listening(after)), what=daemon.log_text)
    assert page.value("circus_config_last_reload_successful") == 1
    assert page.value("circus_exporter_process_detail", level="off") == 1


def test_errors_of_commands_are_told_apart(circusd: CircusD) -> None:
    daemon = circusd(f"{SLEEPER}[exporter:prometheus]\nport = 0\n")
    port = wait_listening(child(daemon))
    assert daemon.call("incr", name="nobody")["status"] == "error"
    assert daemon.call("nonsense")["status"] == "error"
    page = wait_until(lambda: scrape(port), what=daemon.log_text)
    assert page.value("circus_command_errors_total", command="incr", error="message") == 1
    assert page.value("circus_command_errors_total", command="incr", error="command") == 0
    assert page.value("circus_command_errors_total", command="unknown", error="unknown") == 1


def test_nothing_of_the_section_shows_on_the_command_line(circusd: CircusD) -> None:
    daemon = circusd(f"{SLEEPER}[exporter:prometheus]\nport = 0\nprocesses = cpu_mem\n")
    assert "cpu_mem" not in proc.describe(child(daemon))


def test_an_exporter_killed_with_9_loses_no_count(circusd: CircusD) -> None:
    daemon = circusd(f"{SLEEPER}[exporter:prometheus]\nport = 0\n")
    for _ in range(3):
        (victim,) = daemon.wait_pids("sleeper", 1)
        os.kill(victim, signal.SIGKILL)
        daemon.wait_pids("sleeper", 1, without=[victim])
    pages = []
    for _ in range(2):
        pid = child(daemon)
        port = wait_listening(pid)
        pages.append(wait_until(lambda port=port: (page := scrape(port)) and page.value("circus_up") and page))
        os.kill(pid, signal.SIGKILL)
        daemon.wait_pids("circus-exporter", 1, without=[pid])
    for page in pages:
        assert page.value("circus_watcher_restarts_total", watcher="sleeper", cause="crash") == 3
        assert page.total("circus_watcher_process_exits_total", watcher="sleeper") == 3
        assert page.total("circus_watcher_process_exits_total", watcher="sleeper", initiator="external") == 3


def test_when_the_daemon_dies_its_exporter_tells_it_and_makes_room_for_the_next(circusd: CircusD) -> None:
    with reserved_port() as port:
        daemon = circusd(f"{SLEEPER}[exporter:prometheus]\nport = {port}\n")
        wait_until(lambda: (page := scrape(port)) and page.value("circus_up") == 1, what=daemon.log_text)
        orphan = child(daemon)
        survivors = daemon.kill()
        try:
            assert orphan in survivors
            wait_until(lambda: (page := scrape(port)) and page.value("circus_up") == 0, what=daemon.log_text)
            daemon.start()
            wait_until(lambda: not proc.alive(orphan), what=daemon.log_text)
            wait_until(lambda: (page := scrape(port)) and page.value("circus_up") == 1, what=daemon.log_text)
        finally:
            for pid in survivors:
                proc.end(pid)


def test_an_exporter_whose_port_is_taken_waits_quietly(circusd: CircusD) -> None:
    with reserved_port() as port:
        holder = socket.create_server(("127.0.0.1", port))
        daemon = circusd(f"{SLEEPER}[exporter:prometheus]\nport = {port}\n")
        wait_until(lambda: "is in use" in daemon.log_text())
        waiting = child(daemon)
        holder.close()
        wait_until(lambda: (page := scrape(port)) and page.value("circus_up") == 1, what=daemon.log_text)
        assert child(daemon) == waiting
        assert daemon.log_text().count("is in use") == 1
