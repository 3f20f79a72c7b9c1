"""Plugins of a configuration, in the real circusd: started with their options, heard, commanding, stopped."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

PLUGIN = """
import json
from circus.plugins import CircusPlugin

class Writer(CircusPlugin):
    name = "writer"

    def handle_init(self):
        self.write(what="init", config=self.config, check_delay=self.check_delay)

    def handle_recv(self, data):
        watcher, action, body = self.split_data(data)
        if (watcher, action) == ("web", "reap"):
            self.write(what="reap", answer=self.call("incr", name="web", waiting=True)["numprocesses"])

    def handle_stop(self):
        self.write(what="stop", watchers=self.call("list")["watchers"])

    def write(self, **told):
        with open(self.config["file"], "a") as notes:
            notes.write(json.dumps(told) + "\\n")
"""
Start = Callable[..., Daemon]


class Plugged:
    """A daemon with a watcher `web` and the plugin, and what the plugin wrote down."""

    def __init__(self, circusd: Start, directory: pathlib.Path) -> None:
        self._circusd, self._directory = circusd, directory
        directory.joinpath("our_plugins.py").write_text(PLUGIN)

    def start(self, options: str = "") -> Daemon:
        ini = f"""
        [watcher:web]
        cmd = sleep 1000
        [plugin:writer]
        use = our_plugins.Writer
        file = {self._directory}/notes
        odd = a:::b:c "d" 'e' $HOME %
        """
        text = textwrap.dedent(ini) + options
        return self._circusd(text, env={"PYTHONPATH": str(self._directory)}, options={"check_delay": 2.5})

    def notes(self, what: str) -> list[dict[str, Any]]:
        file = self._directory / "notes"
        lines = file.read_text().splitlines() if file.exists() else []
        return [told for told in map(json.loads, lines) if told["what"] == what]

    def wait_notes(self, what: str, count: int = 1) -> list[dict[str, Any]]:
        return wait_until(
            lambda: found if len(found := self.notes(what)) >= count else [], what=lambda: self.notes(what)
        )


@pytest.fixture
def plugged(circusd: Start, tmp_path: pathlib.Path) -> Plugged:
    return Plugged(circusd, tmp_path)


def test_a_plugin_gets_its_options_and_the_check_delay_of_circusd(plugged: Plugged) -> None:
    daemon = plugged.start()
    (told,) = plugged.wait_notes("init")
    assert told["config"]["odd"] == "a:::b:c \"d\" 'e' $HOME %"
    assert told["check_delay"] == 2.5
    assert "plugin:writer" in daemon.ok("list")["watchers"]


def test_nothing_of_the_options_is_on_the_command_line(plugged: Plugged) -> None:
    daemon = plugged.start()
    plugged.wait_notes("init")
    (pid,) = daemon.pids("plugin:writer")
    assert b"odd" not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_plugin_that_hears_of_a_death_can_command_at_once(plugged: Plugged) -> None:
    daemon = plugged.start()
    plugged.wait_notes("init")

    def killed() -> list[dict[str, Any]]:
        # Until its subscription has arrived the plugin cannot hear a death; nobody can see from outside when it has.
        for pid in daemon.pids("web"):
            os.kill(pid, signal.SIGKILL)
        return plugged.notes("reap")

    assert wait_until(killed, pause=0.1)[0]["answer"] == 2
    daemon.wait_status("web", "active")


def test_a_plugin_that_died_comes_back_with_its_options(plugged: Plugged) -> None:
    daemon = plugged.start()
    plugged.wait_notes("init")
    (pid,) = daemon.pids("plugin:writer")
    os.kill(pid, signal.SIGKILL)
    first, second = plugged.wait_notes("init", 2)
    assert first == second


def test_a_stopped_plugin_runs_handle_stop_and_can_still_ask(plugged: Plugged) -> None:
    daemon = plugged.start()
    plugged.wait_notes("init")
    daemon.ok("stop", name="plugin:writer", waiting=True)
    assert plugged.wait_notes("stop")[0]["watchers"] == ["plugin:writer", "web"]


def test_the_plugins_stop_with_the_daemon_while_it_still_answers(plugged: Plugged) -> None:
    daemon = plugged.start()
    plugged.wait_notes("init")
    assert daemon.stop() == []
    assert plugged.wait_notes("stop")


def test_an_inactive_plugin_is_not_started(plugged: Plugged) -> None:
    daemon = plugged.start("active = false\n")
    daemon.wait_status("web", "active")
    assert not daemon.call("list", name="plugin:writer").get("pids")
    assert not plugged.notes("init")
