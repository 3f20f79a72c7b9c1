"""circus-plugin as a real process, started the way circusd starts it, between a real ROUTER and a real XPUB."""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from circus import __version__
from circus.plugins import get_plugin_cmd
from circus.runtime.argv import CommandBuilder
from circus.spec.plugins import PluginSpec, plugin_watcher
from tests.helpers.waiting import DEADLINE, Late

HERE = "tests.workers.plugins"


class Stand:
    """What circusd is to a plugin: a control endpoint and a channel of events."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.endpoint, self.pubsub = f"ipc://{directory}/control", f"ipc://{directory}/events"
        self.router = self.context.socket(zmq.ROUTER)
        self.router.bind(self.endpoint)
        self.events = self.context.socket(zmq.XPUB)
        self.events.setsockopt(zmq.SNDHWM, 0)
        self.events.bind(self.pubsub)
        self.started: list[subprocess.Popen[str]] = []

    def run(self, *words: str, stdin: str = "", env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env or {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.started.append(process)
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
        process.stdin = None
        return process

    def plugin(self, cls: str, options: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """A plugin of the class, with the command, environment and input that circusd gives it."""
        section = PluginSpec(name="plugin:test", use=f"{HERE}.{cls}", options=options or {})
        spec = plugin_watcher(section, self.endpoint, self.pubsub, 2.5)
        command = CommandBuilder(spec, dict(os.environ)).build(1, {})
        return self.run(*command.argv, stdin=(spec.stdin_data or b"").decode(), env=command.env)

    def request(self) -> tuple[bytes, dict[str, Any]]:
        """The next request of a plugin, with its sender."""
        if not self.router.poll(DEADLINE * 1000):
            raise Late("no request came from the plugin")
        sender, body = self.router.recv_multipart()
        return sender, json.loads(body)

    def report(self, what: str) -> dict[str, Any]:
        """The next report, which has to be this one."""
        _, request = self.request()
        assert request["msg_type"] == "cast"
        assert request["properties"]["what"] == what, request
        told: dict[str, Any] = request["properties"]
        return told

    def subscribed(self) -> bytes:
        """The prefix that the plugin asks for; from then on events reach it."""
        if not self.events.poll(DEADLINE * 1000):
            raise Late("nobody subscribed")
        return self.events.recv()[1:]

    def publish(self, topic: str, body: object = None) -> None:
        self.events.send_multipart([topic.encode(), json.dumps(body).encode()])

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.context.destroy(0)


@pytest.fixture
def stand() -> Iterator[Stand]:
    with tempfile.TemporaryDirectory(prefix="circus-") as directory:
        made = Stand(pathlib.Path(directory))
        yield made
        made.close()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=DEADLINE)
    return process.returncode, out, err


def test_a_plugin_gets_its_options_and_the_check_delay_unharmed(stand: Stand) -> None:
    options = {"url": "redis://:p w@h:1/0:::x:'\"$HOME", "empty": "", "ünicode": "☃ \\ \n%"}
    stand.plugin("Reporter", options)
    told = stand.report("ticking")
    assert (told["config"], told["check_delay"]) == (options | {"name": "plugin:test"}, 2.5)


def test_a_plugin_hears_the_events_of_watchers_whatever_their_names(stand: Stand) -> None:
    stand.plugin("Reporter")
    stand.report("ticking")
    assert stand.subscribed() == b"watcher."
    stand.publish("lifecycle.web.process.spawned")
    stand.publish("watcher.dot.ted_name.spawn", {"process_pid": 42})
    told = stand.report("event")
    assert (told["watcher"], told["action"], told["body"]) == ("dot.ted_name", "spawn", {"process_pid": 42})


def test_a_call_gives_the_reply_to_itself(stand: Stand) -> None:
    stand.plugin("Reporter")
    stand.report("ticking")
    stand.subscribed()
    stand.publish("watcher.web.ask")
    sender, request = stand.request()
    assert request["command"] == "list"
    stand.router.send_multipart([sender, json.dumps({"id": "of somebody else", "watchers": []}).encode()])
    reply = {"status": "ok", "watchers": ["web"], "id": request["id"]}
    stand.router.send_multipart([sender, json.dumps(reply).encode()])
    assert stand.report("event")["answer"] == reply


def test_a_call_that_is_not_answered_ends(stand: Stand) -> None:
    stand.plugin("Impatient")
    stand.report("ticking")
    stand.subscribed()
    stand.publish("watcher.web.ask")
    stand.request()
    assert stand.report("failed")["error"].startswith("CallError: Timed out")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_runs_handle_stop_and_what_it_casts_arrives(stand: Stand, signum: int) -> None:
    process = stand.plugin("Reporter")
    stand.report("ticking")
    process.send_signal(signum)
    assert stand.report("stopped")["begun"] == 1
    status, _, err = ended(process)
    assert status == 0
    assert err.rstrip().endswith("Stopping")


def test_a_plugin_that_leaves_runs_handle_stop(stand: Stand) -> None:
    process = stand.plugin("Reporter")
    stand.report("ticking")
    stand.subscribed()
    stand.publish("watcher.web.leave")
    stand.report("stopped")
    assert ended(process)[0] == 0


def test_tasks_of_a_plugin_end_with_it(stand: Stand) -> None:
    process = stand.plugin("Tasks")
    stand.report("ticking")
    process.terminate()
    stand.report("stopped")
    status, _, err = ended(process)
    assert status == 0
    assert "destroyed" not in err


def test_an_event_that_cannot_be_handled_costs_only_itself(stand: Stand) -> None:
    process = stand.plugin("Reporter")
    stand.report("ticking")
    stand.subscribed()
    stand.publish("watcher.web.break")
    stand.publish("watcher.web.spawn")
    assert stand.report("event")["action"] == "spawn"
    process.terminate()
    stand.report("stopped")
    assert "this event cannot be handled" in ended(process)[2]


def test_events_are_heard_in_order_however_fast_they_come(stand: Stand) -> None:
    stand.plugin("Reporter")
    stand.report("ticking")
    stand.subscribed()
    for number in range(500):
        stand.publish("watcher.web.spawn", number)
    assert [stand.report("event")["body"] for _ in range(500)] == list(range(500))


def test_an_inactive_plugin_ends_at_once_and_well(stand: Stand) -> None:
    status, _, err = ended(stand.plugin("Reporter", {"active": "False"}))
    assert status == 0
    assert "The plugin is not active: not started" in err


@pytest.mark.parametrize(
    ("cls", "told"),
    [
        ("Absent", "The plugin cannot be loaded: cannot find 'tests.workers.plugins.Absent'"),
        ("Broken", "no such option"),
        ("Unstarted", "nothing to initialize"),
    ],
)
def test_a_plugin_that_cannot_be_run_says_why(stand: Stand, cls: str, told: str) -> None:
    status, _, err = ended(stand.plugin(cls))
    assert status == 1
    assert told in err


def test_options_that_are_not_json_say_so(stand: Stand) -> None:
    words = ["-m", "circus.plugins", "--config", "-", f"{HERE}.Reporter"]
    status, _, err = ended(stand.run(sys.executable, *words, stdin="[1]"))
    assert status == 1
    assert "not a JSON object" in err


def test_the_options_of_circus_0_19_on_the_command_line_are_read(stand: Stand) -> None:
    words = ["--endpoint", stand.endpoint, "--pubsub", stand.pubsub, "--config", "url:http://h:80/:::a: b :::junk"]
    stand.run(sys.executable, "-m", "circus.plugins", *words, f"{HERE}.Reporter")
    told = stand.report("ticking")
    assert (told["config"], told["check_delay"]) == ({"url": "http://h:80/", "a": "b"}, 5.0)


def test_get_plugin_cmd_gives_a_line_for_a_shell(stand: Stand) -> None:
    config = {"use": f"{HERE}.Reporter", "quoted": 'it\'s "$HOME" ::: x'}
    line = get_plugin_cmd(config, stand.endpoint, stand.pubsub, 1.0, None)
    stand.run("/bin/sh", "-c", f"exec {line}")
    assert stand.report("ticking")["config"] == {"quoted": config["quoted"]}
    assert "use" in config
    assert shlex.split(line)[0] == sys.executable


def test_the_log_tells_what_circus_0_19_told(stand: Stand) -> None:
    process = stand.plugin("Reporter")
    stand.report("ticking")
    process.terminate()
    _, _, err = ended(process)
    lines = [line.split("] ", 2)[-1] for line in err.splitlines()]
    assert lines == [
        "Loading the plugin...",
        f"Endpoint: {stand.endpoint!r}",
        f"Pub/sub: {stand.pubsub!r}",
        "Starting",
        "Stopping",
    ]


def test_version_and_usage(stand: Stand) -> None:
    assert ended(stand.run(sys.executable, "-m", "circus.plugins", "--version"))[:2] == (0, f"{__version__}\n")
    status, out, _ = ended(stand.run(sys.executable, "-m", "circus.plugins"))
    assert status == 0
    assert out.startswith("usage: circus-plugin")


def test_a_plugin_hears_a_daemon_that_comes_later(stand: Stand) -> None:
    stand.events.unbind(stand.pubsub)
    stand.plugin("Reporter")
    stand.report("ticking")
    stand.events.bind(stand.pubsub)
    stand.subscribed()
    stand.publish("watcher.web.start")
    assert stand.report("event")["action"] == "start"


def test_a_plugin_that_may_not_ask_says_so_in_one_line_and_asks_again(stand: Stand) -> None:
    words = ["--endpoint", stand.endpoint, "--pubsub", stand.pubsub, "--config", '{"loop_rate": "0.05"}']
    plugin = "circus.plugins.command_reloader.CommandReloader"
    process = stand.run(sys.executable, "-m", "circus.plugins", *words, plugin)
    for last in (False, True):
        sender, request = stand.request()
        if last:
            process.terminate()  # it hears that when its question is answered
        refusal = {"status": "error", "reason": "status needs the role read", "id": request["id"]}
        stand.router.send_multipart([sender, json.dumps(refusal).encode()])
    err = ended(process)[2]
    assert err.count("CommandReloader.look_after failed: circusd says: status needs the role read") == 2
    assert "Traceback" not in err
