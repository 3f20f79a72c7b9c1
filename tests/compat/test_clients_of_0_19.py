"""The clients of circus 0.19.0 itself, as PyPI has them, against our daemon.

They run in an environment of their own, so that nothing of ours can help them.
"""

from __future__ import annotations

import json
import signal
import subprocess
import textwrap
from typing import Any

import pytest

from tests.conftest import CircusD
from tests.helpers import proc, real
from tests.helpers.daemon import Daemon
from tests.helpers.old_circus import clean_environment
from tests.helpers.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.real

INI = """
[circus]
check_delay = 1

[watcher:dummy]
cmd = sleep 1000
numprocesses = 2
graceful_timeout = 2
custom_opt = hello

[watcher:Other One]
cmd = sleep 1000
singleton = True

[watcher:manual]
cmd = sleep 1000
autostart = False

[env]
FOO = bar
"""


@pytest.fixture
def daemon(circusd: CircusD) -> Daemon:
    made = circusd(INI)
    made.wait_pids("dummy", 2)
    made.wait_pids("other one", 1)
    return made


def ctl(daemon: Daemon, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run circusctl 0.19.0."""
    return subprocess.run(
        [real.old_circus("circusctl"), "--endpoint", daemon.endpoint, *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env=clean_environment(),
        cwd=daemon.directory,
    )


def python(daemon: Daemon, program: str, *words: str) -> Any:
    """What a program printed as JSON that ran with circus 0.19.0; `words` are its arguments."""
    done = subprocess.run(
        [real.old_circus("python"), "-c", textwrap.dedent(program), *words],
        capture_output=True,
        text=True,
        timeout=DEADLINE * 2,
        env=clean_environment(),
        cwd=daemon.directory,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# -- circusctl ------------------------------------------------------------------------------------------------------


def test_circusctl_is_really_0_19(daemon: Daemon) -> None:
    assert ctl(daemon, "--version").stdout.split() == ["circusctl", "0.19.0"]


def test_circusctl_lists_watchers(daemon: Daemon) -> None:
    done = ctl(daemon, "list")
    assert done.returncode == 0
    assert {"dummy", "manual", "other one"} <= set(done.stdout.strip().split(","))


def test_circusctl_lists_pids(daemon: Daemon) -> None:
    listed = ctl(daemon, "list", "dummy").stdout.strip().split(",")
    assert sorted(map(int, listed)) == sorted(daemon.pids("dummy"))


def test_circusctl_tells_the_status(daemon: Daemon) -> None:
    lines = ctl(daemon, "status").stdout.splitlines()
    assert {"dummy: active", "Other One: active", "manual: stopped"} <= set(lines)


def test_circusctl_tells_the_status_of_one(daemon: Daemon) -> None:
    assert ctl(daemon, "status", "manual").stdout.strip() == "stopped"


def test_circusctl_starts_a_watcher(daemon: Daemon) -> None:
    assert ctl(daemon, "start", "manual", "--waiting").stdout.strip() == "ok"
    assert daemon.status("manual") == "active"


def test_circusctl_stops_a_watcher(daemon: Daemon) -> None:
    pids = daemon.pids("dummy")
    assert ctl(daemon, "stop", "dummy", "--waiting").stdout.strip() == "ok"
    assert daemon.status("dummy") == "stopped"
    assert not any(proc.alive(pid) for pid in pids)


def test_circusctl_restarts_a_watcher(daemon: Daemon) -> None:
    before = daemon.pids("dummy")
    assert ctl(daemon, "restart", "dummy", "--waiting").stdout.strip() == "ok"
    daemon.wait_pids("dummy", 2, without=before)


def test_circusctl_reloads_a_watcher(daemon: Daemon) -> None:
    before = daemon.pids("dummy")
    assert ctl(daemon, "reload", "dummy", "--waiting").stdout.strip() == "ok"
    daemon.wait_pids("dummy", 2, without=before)


def test_circusctl_adds_processes(daemon: Daemon) -> None:
    assert ctl(daemon, "incr", "dummy", "2", "--waiting").stdout.strip() == "4"
    daemon.wait_pids("dummy", 4)


def test_circusctl_takes_processes_away(daemon: Daemon) -> None:
    assert ctl(daemon, "decr", "dummy", "--waiting").stdout.strip() == "1"
    daemon.wait_pids("dummy", 1)


def test_circusctl_is_told_that_a_singleton_stays_one(daemon: Daemon) -> None:
    told = ctl(daemon, "incr", "other one").stdout.strip()
    assert told == "This watcher is a Singleton - not changing the number of processes"


def test_circusctl_counts_processes(daemon: Daemon) -> None:
    assert ctl(daemon, "numprocesses", "dummy").stdout.strip() == "2"


def test_circusctl_counts_watchers(daemon: Daemon) -> None:
    assert int(ctl(daemon, "numwatchers").stdout) >= 3


def test_circusctl_shows_options(daemon: Daemon) -> None:
    lines = ctl(daemon, "options", "dummy").stdout.splitlines()
    assert {"numprocesses: 2", "cmd: sleep 1000", "graceful_timeout: 2.0", "custom_opt: hello"} <= set(lines)


def test_circusctl_gets_an_option(daemon: Daemon) -> None:
    assert ctl(daemon, "get", "dummy", "numprocesses").stdout.strip() == "numprocesses: 2"


def test_circusctl_shows_global_options(daemon: Daemon) -> None:
    lines = ctl(daemon, "globaloptions").stdout.splitlines()
    assert {f"endpoint: {daemon.endpoint}", "check_delay: 1.0"} <= set(lines)


def test_circusctl_shows_stats_of_each_process(daemon: Daemon) -> None:
    lines = ctl(daemon, "stats", "dummy").stdout.splitlines()
    assert lines[0] == "dummy:"
    assert {int(line.split(":")[0]) for line in lines[1:]} == set(daemon.pids("dummy"))


def test_circusctl_shows_stats_of_the_daemon(daemon: Daemon) -> None:
    lines = ctl(daemon, "dstats").stdout.splitlines()
    assert lines[0] == "Main Process:"
    assert lines[1].split()[0] == str(daemon.pid)


def test_circusctl_lists_sockets_where_there_are_none(daemon: Daemon) -> None:
    done = ctl(daemon, "listsockets")
    assert (done.returncode, done.stdout.strip()) == (0, "")


def test_circusctl_sends_a_signal(daemon: Daemon) -> None:
    before = daemon.pids("dummy")
    assert ctl(daemon, "signal", "dummy", "kill").stdout.strip() == "ok"
    daemon.wait_pids("dummy", 2, without=before)


def test_circusctl_is_told_that_a_watcher_is_unknown(daemon: Daemon) -> None:
    done = ctl(daemon, "stop", "nope")
    assert (done.returncode, done.stderr.strip()) == (3, "error: program nope not found")


def test_circusctl_in_its_interactive_mode(daemon: Daemon) -> None:
    said = ctl(daemon, stdin="status manual\nstart manual --waiting\nstatus manual\n").stdout
    assert "dummy: active" in said
    after = said.partition("(circusctl)")[2]
    assert after.index("stopped") < after.index("active")


def test_circusctl_quits_the_daemon(daemon: Daemon) -> None:
    pids = daemon.pids("dummy")
    assert ctl(daemon, "quit", "--waiting").stdout.strip() == "ok"
    assert daemon.wait() == 0
    assert not any(proc.alive(pid) for pid in pids)


# -- the libraries --------------------------------------------------------------------------------------------------

CLIENT = """
    import json, sys
    from circus.client import CircusClient
    client = CircusClient(endpoint=sys.argv[1], timeout=15)
    print(json.dumps([client.call(message) for message in json.loads(sys.argv[2])]))
    client.stop()
"""


def calls(daemon: Daemon, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """The replies that CircusClient of 0.19.0 got."""
    replies: list[dict[str, Any]] = python(daemon, CLIENT, daemon.endpoint, json.dumps(messages))
    return replies


def test_the_client_lists(daemon: Daemon) -> None:
    (reply,) = calls(daemon, {"command": "list", "properties": {}})
    assert reply["status"] == "ok"
    assert {"dummy", "manual", "other one"} <= set(reply["watchers"])


def test_the_client_stops_and_starts(daemon: Daemon) -> None:
    stopped, started = calls(
        daemon,
        {"command": "stop", "properties": {"name": "dummy", "waiting": True}},
        {"command": "start", "properties": {"name": "dummy", "waiting": True}},
    )
    assert (stopped["status"], stopped["info"]) == ("ok", None)
    assert sorted(started["info"]["started"]) == sorted(daemon.pids("dummy"))
    assert started["info"]["kept"] == []


def test_the_client_adds_a_process(daemon: Daemon) -> None:
    (reply,) = calls(daemon, {"command": "incr", "properties": {"name": "dummy", "waiting": True}})
    assert (reply["status"], reply["numprocesses"]) == ("ok", 3)


def test_the_client_reads_stats(daemon: Daemon) -> None:
    (reply,) = calls(daemon, {"command": "stats", "properties": {"name": "dummy"}})
    assert {int(pid) for pid in reply["info"]} == set(daemon.pids("dummy"))
    fields = {"pid", "cpu", "mem", "mem_info1", "mem_info2", "ctime", "cmdline", "username", "nice", "create_time"}
    fields |= {"age", "children", "started", "wid"}
    assert all(fields <= set(info) for info in reply["info"].values())


def test_the_client_gets_the_error_of_an_unknown_command(daemon: Daemon) -> None:
    (reply,) = calls(daemon, {"command": "nosuch", "properties": {}})
    assert (reply["status"], reply["errno"], reply["reason"]) == ("error", 2, "unknown command: 'nosuch'")


ASYNCHRONOUS = """
    import json, sys
    from circus.client import AsyncCircusClient
    from tornado import gen, ioloop

    @gen.coroutine
    def ask():
        client = AsyncCircusClient(endpoint=sys.argv[1], timeout=15)
        replies = []
        for message in json.loads(sys.argv[2]):
            replies.append((yield client.call(message)))
        replies.append((yield client.send_message("numprocesses", name="dummy")))
        client.stop()
        raise gen.Return(replies)

    print(json.dumps(ioloop.IOLoop.current().run_sync(ask)))
"""


def test_the_asynchronous_client_asks(daemon: Daemon) -> None:
    messages = [
        {"command": "stop", "properties": {"name": "dummy", "waiting": True}},
        {"command": "start", "properties": {"name": "dummy", "waiting": True}},
        {"command": "status", "properties": {"name": "nope"}},
    ]
    stopped, started, unknown, counted = python(daemon, ASYNCHRONOUS, daemon.endpoint, json.dumps(messages))
    assert (stopped["status"], stopped["info"]) == ("ok", None)
    assert sorted(started["info"]["started"]) == sorted(daemon.pids("dummy"))
    assert (unknown["status"], unknown["errno"]) == ("error", 3)
    assert counted["numprocesses"] == 2


PLUGIN = """
from circus.plugins import CircusPlugin


class Keeper(CircusPlugin):
    name = "keeper"

    def __init__(self, *args, **config):
        super(Keeper, self).__init__(*args, **config)
        self.where = config["where"]

    def write(self, *words):
        with open(self.where, "a") as out:
            out.write(" ".join(map(str, words)) + "\\n")

    def handle_init(self):
        self.write("init", self.check_delay)

    def handle_recv(self, data):
        watcher, action, message = self.split_data(data)
        if watcher == "dummy" and action == "stop":
            self.write("asked", self.call("status", name="manual")["status"])
            self.cast("start", name="manual")

    def handle_stop(self):
        self.write("stop")
"""


def test_a_plugin_that_the_old_circus_plugin_runs_works_with_our_daemon(daemon: Daemon) -> None:
    (daemon.directory / "keeper.py").write_text(PLUGIN)
    words = ["--endpoint", daemon.endpoint, "--pubsub", daemon.pubsub_endpoint, "--config", "where:keeper.log"]
    plugin = subprocess.Popen(
        [real.old_circus("circus-plugin"), *words, "keeper.Keeper"],
        env={**clean_environment(), "PYTHONPATH": str(daemon.directory)},
        cwd=daemon.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with plugin:
        log = daemon.directory / "keeper.log"

        def asked() -> bool:
            # Its subscription takes a moment to arrive.
            for command in ("stop", "start"):
                daemon.ok(command, name="dummy", waiting=True)
            return log.exists() and "asked" in log.read_text()

        wait_until(asked)
        daemon.wait_status("manual", "active")
        plugin.send_signal(signal.SIGINT)
        plugin.wait(DEADLINE)
    lines = log.read_text().splitlines()
    assert lines[:2] == ["init 5.0", "asked stopped"]
    assert lines[-1] == "stop"


CONSUMER = """
    import json, sys, threading
    from circus.client import CircusClient
    from circus.consumer import CircusConsumer
    wanted = {"watcher.dummy." + word for word in ("kill", "reap", "stop", "spawn", "start")}
    heard = []
    done = threading.Event()

    def work():
        # A subscription takes a moment to arrive, so stop and start until a round was heard whole.
        client = CircusClient(endpoint=sys.argv[1], timeout=15)
        while not done.is_set():
            for command in ("stop", "start"):
                client.send_message(command, name="dummy", waiting=True)
        client.stop()

    worker = threading.Thread(target=work)
    worker.start()
    # Leaving this loop closes the consumer.
    for topic, message in CircusConsumer(["watcher."], endpoint=sys.argv[2], timeout=1.0):
        heard.append((topic.decode(), json.loads(message)))
        if wanted <= {topic for topic, _ in heard}:
            break
    done.set()
    worker.join()
    print(json.dumps(heard))
"""


def test_the_consumer_reads_events(daemon: Daemon) -> None:
    heard = python(daemon, CONSUMER, daemon.endpoint, daemon.pubsub_endpoint)
    bodies: dict[str, list[dict[str, Any]]] = {}
    for topic, body in heard:
        bodies.setdefault(topic, []).append(body)
    assert set(bodies["watcher.dummy.spawn"][0]) >= {"process_pid", "time"}
    assert set(bodies["watcher.dummy.kill"][0]) >= {"process_pid", "time"}
    assert set(bodies["watcher.dummy.reap"][0]) >= {"process_pid", "time", "exit_code"}
    assert set(bodies["watcher.dummy.stop"][0]) >= {"time"}
    assert set(bodies["watcher.dummy.start"][0]) >= {"time"}


def test_the_consumer_meets_only_the_actions_it_knows(daemon: Daemon) -> None:
    known = {"spawn", "kill", "reap", "start", "stop", "reload", "updated", "add", "remove", "hook_success"}
    heard = python(daemon, CONSUMER, daemon.endpoint, daemon.pubsub_endpoint)
    assert {topic.rpartition(".")[2] for topic, _ in heard} <= known


STATS = """
    import json, sys
    from circus.stats.client import StatsClient
    heard = {}
    for watcher, subtopic, stat in StatsClient(endpoint=sys.argv[1]):
        heard.setdefault(watcher, {})[str(subtopic)] = stat
        if {"dummy", "circus"} <= set(heard) and all(len(heard[name]) > 1 for name in ("dummy", "circus")):
            break
    print(json.dumps(heard))
"""


def test_the_stats_client_reads_stats(daemon: Daemon) -> None:
    heard = python(daemon, STATS, daemon.stats_endpoint)
    processes = {subtopic: stat for subtopic, stat in heard["dummy"].items() if subtopic != "None"}
    assert {int(pid) for pid in processes} <= set(daemon.pids("dummy"))
    fields = {"mem_info1", "mem_info2", "cpu", "mem", "ctime", "pid", "username", "nice", "create_time", "age"}
    fields |= {"cmdline", "children", "subtopic", "name"}
    assert all(fields <= set(stat) for stat in processes.values())
    assert str(daemon.pid) in heard["circus"]


def test_the_old_circus_top_finds_data(daemon: Daemon) -> None:
    """What its screen is made of: the totals of a watcher, as one message without a pid."""
    program = STATS.replace("len(heard[name]) > 1", "'None' in heard[name]")
    total = python(daemon, program, daemon.stats_endpoint)["dummy"]["None"]
    assert set(total) >= {"pid", "cpu", "mem", "age"}
    assert sorted(total["pid"]) == sorted(daemon.pids("dummy"))


def test_an_old_client_waits_for_a_daemon_that_is_not_there_yet(circusd: CircusD) -> None:
    daemon = circusd(INI, start=False)
    asked = subprocess.Popen(
        [real.old_circus("circusctl"), "--timeout", "15", "--endpoint", daemon.endpoint, "numwatchers"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=clean_environment(),
        cwd=daemon.directory.parent,
    )
    with asked:
        wait_until(lambda: proc.stat(asked.pid) is not None)
        daemon.start()
        out, _ = asked.communicate(timeout=DEADLINE)
    assert int(out) >= 3
