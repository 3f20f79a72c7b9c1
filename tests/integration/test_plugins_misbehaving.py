"""Plugins that do harm as well as they can, in the real circusd: it answers, its watchers live, its memory stays flat."""

from __future__ import annotations

import os
import pathlib
import signal
import textwrap
from collections.abc import Callable

import pytest

from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]
WELL = "[watcher:web]\ncmd = sleep 1000\nnumprocesses = 2\n[watcher:other]\ncmd = sleep 1000\n"
FLOOD = 50_000
MOST_GROWTH_BYTES = 24 << 20

PLUGINS = f"""
import json, os, signal, time
from circus.plugins import CircusPlugin

class Bad(CircusPlugin):
    def handle_init(self):
        self.loop.call_later(0, self.run)

    def handle_recv(self, data):
        pass

    def done(self):
        with open(self.config["file"], "w") as file:
            file.write("done")

class Busy(Bad):
    # Never comes back to its loop, and ignores that it is to end.
    def run(self):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        self.done()
        while True:
            pass

class Casting(Bad):
    # One kind of cast after the other: questions, changes, nonsense.
    def run(self):
        casts = [("list", {{}}), ("stats", {{}}), ("incr", {{"name": "web", "nb": 0}}), ("restart", {{"name": "other"}}),
                 ("nonsense", {{}}), ("kill", {{"name": "web", "pid": 1}}), ("telemetry", {{}})]
        for number in range({FLOOD}):
            command, properties = casts[number % len(casts)]
            self.cast(command, **properties)
        self.done()

class Mute(Bad):
    # Asks and asks, and never reads an answer.
    def run(self):
        request = json.dumps({{"command": "telemetry", "id": "x", "properties": {{}}}}).encode()
        for _ in range({FLOOD}):
            self.client.send(request)
        self.done()

class Deaf(Bad):
    # Subscribes to everything and never reads it.
    def run(self):
        self.sub_socket.setsockopt(6, b"")
        self.loop.remove_reader(self.sub_socket.getsockopt(14))
        self.done()

class Crashing(Bad):
    def __init__(self, *args, **config):
        raise RuntimeError("not today")

class Leaving(Bad):
    def run(self):
        os._exit(3)

class Killing(Bad):
    # Ends everything that it can name, itself too.
    def run(self):
        for name in self.call("list")["watchers"]:
            self.cast("restart", name=name)

class Raising(Bad):
    def run(self):
        self.done()

    def handle_recv(self, data):
        raise RuntimeError("no event suits me")
"""


def started(circusd: Start, directory: pathlib.Path, cls: str, more: str = "") -> Daemon:
    directory.joinpath("bad_plugins.py").write_text(textwrap.dedent(PLUGINS))
    section = f"[plugin:bad]\nuse = bad_plugins.{cls}\nfile = {directory}/done\ngraceful_timeout = 0.5\n{more}"
    return circusd(WELL + section, env={"PYTHONPATH": str(directory)})


def wait_done(directory: pathlib.Path) -> None:
    wait_until((directory / "done").exists, 60)


def wait_well(daemon: Daemon) -> None:
    """It answers, it replaces what dies, and what is asked of it is done."""
    web = daemon.wait_pids("web", 2)
    os.kill(web[0], signal.SIGKILL)
    second = daemon.wait_pids("web", 2, without=web[:1])
    daemon.ok("restart", name="web", waiting=True)
    daemon.wait_pids("web", 2, without=second)
    assert "Traceback" not in "".join(
        line for line in daemon.log_text().splitlines() if f"circus[{daemon.pid}]" in line
    )


def resident_bytes(pid: int) -> int:
    words = pathlib.Path(f"/proc/{pid}/statm").read_text().split()
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_plugin_that_is_always_busy_is_ended_by_force(circusd: Start, tmp_path: pathlib.Path) -> None:
    daemon = started(circusd, tmp_path, "Busy")
    wait_done(tmp_path)
    with daemon.events("watcher.web.") as events:
        wait_well(daemon)
        events.wait_for_topic("watcher.web.start")
    (busy,) = daemon.pids("plugin:bad")
    daemon.ok("stop", name="plugin:bad", waiting=True)
    assert not proc.alive(busy)


@pytest.mark.parametrize("cls", ["Casting", "Mute"])
def test_a_flood_of_requests_makes_nobody_wait_and_takes_no_memory(
    circusd: Start, tmp_path: pathlib.Path, cls: str
) -> None:
    daemon = started(circusd, tmp_path, cls, "autostart = False\n")
    wait_well(daemon)
    before = resident_bytes(daemon.pid)
    daemon.ok("start", name="plugin:bad")
    answers = 0
    highest = before
    while not (tmp_path / "done").exists():
        daemon.ok("status", name="web")
        answers += 1
        highest = max(highest, resident_bytes(daemon.pid))
    wait_well(daemon)
    daemon.ok("stop", name="plugin:bad", waiting=True)
    highest = max(highest, resident_bytes(daemon.pid))
    assert highest - before < MOST_GROWTH_BYTES, f"{before} bytes became {highest}"


def test_a_plugin_that_reads_no_events_costs_only_itself(circusd: Start, tmp_path: pathlib.Path) -> None:
    daemon = started(circusd, tmp_path, "Deaf")
    wait_done(tmp_path)
    with daemon.events("watcher.web.reload") as events:
        for _ in range(20):
            daemon.ok("reload", name="web", waiting=True)
        events.wait_for_topic("watcher.web.reload", count=20)
    wait_well(daemon)


@pytest.mark.parametrize(("cls", "told"), [("Crashing", "RuntimeError: not today"), ("Leaving", "Starting")])
def test_a_plugin_that_crashes_at_its_start_is_tried_with_pauses(
    circusd: Start, tmp_path: pathlib.Path, cls: str, told: str
) -> None:
    daemon = started(circusd, tmp_path, cls, "backoff = 0.2\nbackoff_max = 0.4\n")
    web = daemon.wait_pids("web", 2)
    wait_until(lambda: daemon.telemetry("plugin:bad")["backoff_seconds"], what=daemon.log_text)
    wait_until(lambda: daemon.telemetry("plugin:bad")["consecutive_failures"] >= 5, what=daemon.log_text)
    assert told in daemon.log_text()
    assert daemon.pids("web") == web
    wait_well(daemon)


def test_a_plugin_whose_module_is_not_there_is_told(circusd: Start, tmp_path: pathlib.Path) -> None:
    daemon = started(circusd, tmp_path, "Absent")
    wait_until(lambda: "cannot find 'bad_plugins.Absent'" in daemon.log_text(), what=daemon.log_text)
    wait_well(daemon)


def test_a_plugin_that_restarts_everything_is_restarted_too(circusd: Start, tmp_path: pathlib.Path) -> None:
    daemon = started(circusd, tmp_path, "Killing", "autostart = False\n")
    web = daemon.wait_pids("web", 2)
    with daemon.events("watcher.plugin:bad.reap") as events:
        daemon.ok("start", name="plugin:bad")
        events.wait_for_topic("watcher.plugin:bad.reap")
    daemon.ok("stop", name="plugin:bad", waiting=True)
    daemon.wait_pids("web", 2, without=web)
    wait_well(daemon)


def test_a_plugin_that_raises_at_every_event_lives(circusd: Start, tmp_path: pathlib.Path) -> None:
    daemon = started(circusd, tmp_path, "Raising")
    wait_done(tmp_path)
    pids = daemon.pids("plugin:bad")

    def heard() -> bool:
        daemon.ok("reload", name="web", waiting=True)
        return "no event suits me" in daemon.log_text()

    wait_until(heard)
    assert daemon.pids("plugin:bad") == pids
