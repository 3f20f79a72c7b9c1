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
        return [told for told in self.all_notes() if told["what"] == what]

    def all_notes(self) -> list[dict[str, Any]]:
        file = self._directory / "notes"
        whole = file.read_text().rpartition("\n")[0] if file.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]

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


def test_options_reach_the_plugin_whatever_they_hold(plugged: Plugged) -> None:
    ini = """
        quotes = "a" 'b' `c` \\ \\n
        separators = :::x:::y:z::: ,;= [section]
        blanks = a   b	c
        lines = first
            second "line"
            # no comment
        unicode = ☃ žluťoučký 字 \U0001f40d
        shell = $(rm -rf x) ${HOME} && `id` > /dev/null | cat
        percent = %(x)s %% 100%
        empty = ""
        json = {"a": [1, null, "b"]}
    """
    large = "é" * 100_000
    plugged.start(textwrap.dedent(ini) + f"large = {large}\n")
    (told,) = plugged.wait_notes("init")
    config = told["config"]
    assert config["quotes"] == "\"a\" 'b' `c` \\ \\n"
    assert config["separators"] == ":::x:::y:z::: ,;= [section]"
    assert config["blanks"] == "a   b\tc"
    assert config["lines"].split("\n")[:2] == ["first", 'second "line"']
    assert config["unicode"] == "☃ žluťoučký 字 \U0001f40d"
    assert config["shell"] == "$(rm -rf x) ${HOME} && `id` > /dev/null | cat"
    assert config["percent"] == "%(x)s %% 100%"
    assert config["empty"] == ""
    assert config["json"] == '{"a": [1, null, "b"]}'
    assert config["large"] == large
    assert config["name"] == "plugin:writer"


# As people wrote them for 0.19: tornado's timers, the calls of its loop, the helpers of circus.util.
OLD_STYLE = """
import json, os, time
from datetime import timedelta
from tornado import ioloop
from circus import logger
from circus.plugins import CircusPlugin
from circus.plugins.statsd import BaseObserver
from circus.util import AsyncPeriodicCallback, to_bool, to_str

class Old(CircusPlugin):
    name = 'old'

    def __init__(self, endpoint, pubsub_endpoint, check_delay, ssh_server, **config):
        super(Old, self).__init__(endpoint, pubsub_endpoint, check_delay, ssh_server=ssh_server)
        self.file = config.get('file')
        self.loud = to_bool(config.get('loud', '0'))
        self.heard = set()

    def handle_init(self):
        self.period = ioloop.PeriodicCallback(lambda: self.note('tornado'), 20)
        self.period.start()
        self.other = AsyncPeriodicCallback(lambda: self.note('async'), 20)
        self.other.start()
        self.loop.add_callback(self.note, 'callback')
        self.loop.add_timeout(time.time() + 0.01, self.note, 'timeout')
        self.loop.add_timeout(timedelta(seconds=0.01), lambda: self.note('timedelta'))
        self.loop.call_later(0.01, self.note, 'later')
        self.ours, self.theirs = os.pipe()
        self.loop.add_handler(self.ours, self.ready, ioloop.IOLoop.READ)
        os.write(self.theirs, b'x')

    def ready(self, fd, events):
        self.loop.remove_handler(fd)
        self.note('handler')

    def handle_recv(self, data):
        topic, message = data
        watcher_name, action, message = self.split_data(data)
        message_dict = self.load_message(message)
        if action == 'reap':
            answer = self.call('numprocesses', name=watcher_name)
            self.note('reap %s %d %s' % (watcher_name, answer['numprocesses'], 'process_pid' in message_dict))

    def handle_stop(self):
        self.period.stop()
        self.other.stop()
        self.note('stop')

    def note(self, what):
        if what not in self.heard:
            self.heard.add(what)
            with open(self.file, 'a') as notes:
                notes.write(json.dumps({'what': what}) + '\\n')

class Observing(BaseObserver):
    default_app_name = 'mine'

    def __init__(self, *args, **config):
        super(Observing, self).__init__(*args, **config)
        self.file = config.get('file')

    def look_after(self):
        with open(self.file, 'a') as notes:
            notes.write(json.dumps({'what': 'looked', 'prefix': self.prefix, 'rate': self.loop_rate}) + '\\n')
"""


def test_plugins_written_for_0_19_run_unchanged(plugged: Plugged, tmp_path: pathlib.Path) -> None:
    tmp_path.joinpath("old_plugins.py").write_text(OLD_STYLE)
    sections = f"""
        [plugin:old]
        use = old_plugins.Old
        file = {tmp_path}/notes
        [plugin:observing]
        use = old_plugins.Observing
        file = {tmp_path}/notes
        loop_rate = 0.05
    """
    daemon = plugged.start(textwrap.dedent(sections))
    for what in ("tornado", "async", "callback", "timeout", "timedelta", "later", "handler"):
        plugged.wait_notes(what)
    looked = plugged.wait_notes("looked")[0]
    assert (looked["prefix"], looked["rate"]) == ("circus.mine.watcher", 0.05)

    def killed() -> list[dict[str, Any]]:
        for pid in daemon.pids("web"):
            os.kill(pid, signal.SIGKILL)
        return [note for note in plugged.all_notes() if note["what"].startswith("reap web ")]

    assert wait_until(killed, pause=0.1)[0]["what"].endswith("True")
    daemon.ok("stop", name="plugin:old", waiting=True)
    plugged.wait_notes("stop")
