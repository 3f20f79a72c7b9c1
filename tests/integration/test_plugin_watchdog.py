"""WatchDog in the real circusd: who falls silent is killed and replaced, who beats or need not is left alone."""

from __future__ import annotations

import pathlib
import re
import socket
import sys
import textwrap

from tests.conftest import CircusD
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

WORKER = pathlib.Path(__file__).parents[1] / "workers" / "heartbeat.py"


def started(circusd: CircusD, tmp_path: pathlib.Path, watchers: str, options: str = "") -> Daemon:
    """A daemon whose plugin listens on a port of its choice, which the workers read from a file."""
    section = "\n[plugin:dog]\nuse = circus.plugins.watchdog.WatchDog\nport = 0\nloop_rate = 0.3\nmax_count = 3\n"
    daemon = circusd(textwrap.dedent(watchers) + section + options)
    found = wait_until(lambda: re.search(r"listening UDP on 127.0.0.1:(\d+)", daemon.log_text()), what=daemon.log_text)
    tmp_path.joinpath("port.part").write_text(found[1])
    tmp_path.joinpath("port.part").rename(tmp_path / "port")
    return daemon


def beating(tmp_path: pathlib.Path, *words: object) -> str:
    return " ".join([sys.executable, str(WORKER), str(tmp_path / "port"), *map(str, words)])


def test_a_worker_that_falls_silent_is_killed_and_replaced(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    ini = f"""
        [watcher:Well One]
        cmd = {beating(tmp_path)}
        [watcher:ill]
        cmd = {beating(tmp_path, 5)}
        numprocesses = 2
    """
    daemon = started(circusd, tmp_path, ini)
    well, ill = daemon.wait_pids("well one", 1), daemon.wait_pids("ill", 2)
    # All the silent ones of a round, and those that took their place too when they fall silent.
    second = daemon.wait_pids("ill", 2, without=ill)
    daemon.wait_pids("ill", 2, without=[*ill, *second])
    assert daemon.pids("well one") == well
    exits = daemon.telemetry("ill")["counters"]["exits"]
    assert sum(row["n"] for row in exits if row["initiator"] == "supervisor") >= 4


def test_the_plugin_itself_is_left_alone(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    daemon = started(circusd, tmp_path, "[watcher:ill]\ncmd = sleep 1000\n")
    dog, ill = daemon.wait_pids("plugin:dog", 1), daemon.wait_pids("ill", 1)
    daemon.wait_pids("ill", 1, without=ill)
    assert daemon.pids("plugin:dog") == dog


def test_only_watchers_of_the_pattern_are_watched(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    ini = "[watcher:web-1]\ncmd = sleep 1000\n[watcher:Db]\ncmd = sleep 1000\n"
    daemon = started(circusd, tmp_path, ini, "watchers_regex = web-.*\n")
    web, db = daemon.wait_pids("web-1", 1), daemon.wait_pids("db", 1)
    second = daemon.wait_pids("web-1", 1, without=web)
    daemon.wait_pids("web-1", 1, without=[*web, *second])
    assert daemon.pids("db") == db


def test_the_kill_is_done_as_the_options_say(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    deaf = f"{sys.executable} {WORKER.parent / 'ignore_term.py'} SIGTERM SIGINT"
    options = "watchers_stop_signal = int\nwatchers_graceful_timeout = 0.2\n"
    daemon = started(circusd, tmp_path, f"[watcher:ill]\ncmd = {deaf}\ngraceful_timeout = 5\n", options)
    ill = daemon.wait_pids("ill", 1)
    daemon.wait_pids("ill", 1, without=ill)
    assert "SIGINT" in daemon.log_text()
    (escalated,) = daemon.ok("events", watcher="ill", record="process.escalated")["records"][:1]
    assert 0.2 <= escalated["data"]["waited_seconds"] < 5


def test_datagrams_that_are_no_heartbeats_do_no_harm(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    daemon = started(circusd, tmp_path, f"[watcher:well]\ncmd = {beating(tmp_path)}\n")
    dog = daemon.wait_pids("plugin:dog", 1)
    well = daemon.wait_pids("well", 1)
    port = int((tmp_path / "port").read_text())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for datagram in (b"", b"\xff\xfe;", b"1;2", b"no separator", b"x" * 1400, b";"):
            stranger.sendto(datagram, ("127.0.0.1", port))
    wait_until(lambda: "datagrams were no heartbeats" in daemon.log_text(), what=daemon.log_text)
    assert daemon.pids("well") == well
    assert daemon.pids("plugin:dog") == dog
    assert "Traceback" not in daemon.log_text()


def test_a_port_that_is_taken_is_told_and_nobody_is_killed(circusd: CircusD) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        section = f"[plugin:dog]\nuse = circus.plugins.watchdog.WatchDog\nport = {port}\nloop_rate = 0.01\n"
        daemon = circusd("[watcher:web]\ncmd = sleep 1000\n" + section)
        web = daemon.wait_pids("web", 1)
        wait_until(lambda: f"cannot listen on 127.0.0.1:{port} (udp)" in daemon.log_text(), what=daemon.log_text)
        assert "Traceback" not in daemon.log_text()
        assert daemon.pids("web") == web
    # Once the port is free, the backoff brings the plugin to it.
    wait_until(lambda: "Watchdog listening" in daemon.log_text(), what=daemon.log_text)
