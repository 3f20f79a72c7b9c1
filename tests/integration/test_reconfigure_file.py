"""`reloadconfig` and `plan`: a configuration that is read again, and nothing touched that did not change."""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests import workers
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until
from tests.integration.test_supervision_starting import ask, port_of

Start = Callable[..., Daemon]

WEB = "[watcher:web]\ncmd = sleep 1000\n"
SOCKET = "[socket:web]\nhost = 127.0.0.1\nport = 0\n"
ECHO = f"[watcher:web]\ncmd = {workers.python('echo', '$(circus.sockets.web)')}\nuse_sockets = true\n"


def rewrite(daemon: Daemon, ini: str, **circus: object) -> None:
    """Another text for the configuration file; what the test helper put into [circus] stays, options come first."""
    own = daemon.ini.read_text().rpartition("\n[circus]\n")[2]
    given = "".join(f"{name} = {value}\n" for name, value in circus.items())
    daemon.ini.write_text(f"[circus]\n{given}\n{ini}\n[circus]\n{own}")


def reloaded(daemon: Daemon, ini: str, **circus: object) -> dict[tuple[str, str], tuple[str, str]]:
    """Reload with another text: action and effect by subject and name."""
    rewrite(daemon, ini, **circus)
    planned = daemon.ok("plan")
    reply = daemon.ok("reloadconfig", waiting=True)
    assert (reply["changes"], reply["restart"]) == (planned["changes"], planned["restart"])
    assert planned["refused"] == []
    assert daemon.ok("plan")["changes"] == []
    return {(each["subject"], each["name"]): (each["action"], each["effect"]) for each in reply["changes"]}


def test_only_what_changed_is_touched(circusd: Start) -> None:
    same, gone = "[watcher:same]\ncmd = sleep 1001\n", "[watcher:gone]\ncmd = sleep 1002\n"
    daemon = circusd(f"{same}{gone}{WEB}numprocesses = 2\n")
    stays, (goes,), before = daemon.wait_pids("same", 1), daemon.wait_pids("gone", 1), daemon.wait_pids("web", 2)
    with daemon.events("watcher.", "lifecycle.") as events:
        told = reloaded(daemon, f"{same}[watcher:new]\ncmd = sleep 1003\n{WEB}numprocesses = 2\nmax_age = 77\n")
        events.wait_for_topic("lifecycle.-.config.applied")
    assert told == {
        ("watcher", "gone"): ("removed", "nothing"),
        ("watcher", "new"): ("added", "reload"),
        ("watcher", "web"): ("changed", "reload"),
    }
    assert daemon.pids("same") == stays
    assert not proc.alive(goes)
    assert len(daemon.pids("new")) == 1
    assert len(daemon.pids("web")) == 2
    assert not set(daemon.pids("web")) & set(before)
    assert daemon.ok("get", name="web", keys=["max_age"])["options"]["max_age"] == 77
    assert daemon.ok("list")["watchers"] == ["new", "same", "web"]
    topics = events.topics()
    assert not [topic for topic in topics if topic.startswith(("watcher.same", "lifecycle.same"))]
    assert "watcher.gone.remove" not in topics  # these two events are of the commands add and rm, as in 0.19
    assert "watcher.new.add" not in topics
    for record in ("lifecycle.gone.watcher.removed", "lifecycle.new.watcher.added", "lifecycle.web.watcher.changed"):
        assert topics.count(record) == 1
    applied = [message.body for message in events.messages if message.topic == "lifecycle.-.config.applied"]
    assert {(each["name"], each["action"]) for each in applied[0]["data"]["changes"]} == {
        ("gone", "removed"), ("new", "added"), ("web", "changed"),
    }  # fmt: skip


def test_a_number_that_goes_up_and_down_again_is_reached_each_time(circusd: Start) -> None:
    daemon = circusd(f"{WEB}numprocesses = 2\n")
    before = daemon.wait_pids("web", 2)
    assert reloaded(daemon, f"{WEB}numprocesses = 4\n") == {("watcher", "web"): ("changed", "resize")}
    assert daemon.pids("web")[:2] == before
    assert reloaded(daemon, f"{WEB}numprocesses = 2\n") == {("watcher", "web"): ("changed", "resize")}
    assert len(daemon.pids("web")) == 2


def test_numbers_that_are_set_faster_than_they_are_reached_end_with_the_last_one(circusd: Start) -> None:
    daemon = circusd(f"{WEB}numprocesses = 3\nstop_signal = 18\ngraceful_timeout = 0.3\n")  # SIGCONT
    daemon.wait_pids("web", 3)
    for number in (0, 3, 1, 0, 3):
        daemon.ok("set", name="web", options={"numprocesses": number})
    daemon.ok("set", name="web", options={"numprocesses": 3}, waiting=True)
    assert daemon.status("web") == "active"
    assert len(daemon.pids("web")) == 3


def test_a_pipe_in_place_of_the_file_is_refused_and_waited_for_by_nobody(circusd: Start) -> None:
    daemon = circusd(WEB)
    pids = daemon.wait_pids("web", 1)
    daemon.ini.unlink()
    os.mkfifo(daemon.ini)
    reply = daemon.call("reloadconfig", waiting=True)
    assert "cannot be read: a file is expected, not a pipe" in reply["reason"]
    assert daemon.pids("web") == pids


@pytest.mark.parametrize(
    ("more", "effect"),
    [
        ("graceful_timeout = 5\n", "nothing"),
        ("max_age = 1000\n", "reload"),
        ("[env:web]\nA = b\n", "reload"),
        ("rlimit_nofile = 100\n", "reload"),
        ("stdout_stream.class = StdoutStream\n", "reload"),
        ("free = form\n", "nothing"),
        ("hooks.before_spawn = os.getpid\n", "nothing"),
    ],
)
def test_a_key_that_comes_or_goes_is_a_change(circusd: Start, more: str, effect: str) -> None:
    daemon = circusd(WEB)
    before = daemon.wait_pids("web", 1)
    for text in (f"{WEB}{more}", WEB):
        assert reloaded(daemon, text) == {("watcher", "web"): ("changed", effect)}
        after = daemon.pids("web")
        assert (before == after) is (effect == "nothing")
        before = after


def test_nothing_changed_is_nothing_done(circusd: Start) -> None:
    daemon = circusd(f"{SOCKET}{ECHO}[plugin:p]\nuse = circus.plugins.flapping.Flapping\n")
    before = daemon.wait_pids("web", 1)
    reply = daemon.ok("reloadconfig", waiting=True)
    assert list(reply) == ["status", "time", "changes", "restart", "warnings", "id"]
    assert (reply["changes"], reply["restart"]) == ([], [])
    assert daemon.ok("plan")["by_hand"] == []
    assert daemon.pids("web") == before


@pytest.mark.parametrize("waiting", [True, False])
def test_a_file_with_mistakes_changes_nothing_and_is_answered_at_once(circusd: Start, waiting: bool) -> None:
    daemon = circusd(WEB)
    before = daemon.wait_pids("web", 1)
    rewrite(
        daemon,
        f"{WEB}numprocesses = many\n[watcher:other]\ncmd = sleep 1\nsend_hup = perhaps\n[exporter:prometheus]\nprt = 1\n",
    )
    with daemon.events("lifecycle.-.") as events:
        reply = daemon.call("reloadconfig", waiting=waiting)
        (refused,) = events.wait_for_topic("lifecycle.-.config.refused")
    assert (reply["status"], reply["errno"], reply["tb"]) == ("error", 6, None)
    assert "numprocesses = 'many'" in reply["reason"]
    assert "send_hup = 'perhaps'" in reply["reason"]
    assert "did you mean port?" in reply["reason"]
    assert len(refused.body["data"]["errors"]) == 3
    assert daemon.call("plan")["reason"] == reply["reason"]
    assert daemon.pids("web") == before
    daemon.ini.unlink()
    assert "circus.ini" in daemon.call("reloadconfig")["reason"]
    assert daemon.pids("web") == before


def test_a_watcher_that_could_not_be_had_refuses_the_whole(circusd: Start) -> None:
    daemon = circusd(WEB)
    before = daemon.wait_pids("web", 1)
    rewrite(daemon, f"{WEB}max_age = 5\nuid = no-such-user\n[watcher:other]\ncmd = sleep 1\n")
    reply = daemon.call("reloadconfig", waiting=True)
    assert reply["errno"] == 5
    assert "no such user" in reply["reason"]
    assert daemon.ok("plan")["refused"] == [reply["reason"]]
    assert daemon.pids("web") == before
    assert daemon.ok("list")["watchers"] == ["web"]


def test_what_was_left_out_at_the_start_does_not_stand_in_the_way(circusd: Start) -> None:
    left_out = "[watcher:other]\ncmd = sleep 1\nuid = no-such-user\n"
    daemon = circusd(f"{WEB}{left_out}")
    assert reloaded(daemon, f"{WEB}{left_out}priority = 4\n[watcher:third]\ncmd = sleep 3\n") == {
        ("watcher", "third"): ("added", "reload")
    }
    assert reloaded(daemon, f"{WEB}[watcher:other]\ncmd = sleep 1\n[watcher:third]\ncmd = sleep 3\n") == {
        ("watcher", "other"): ("added", "reload")
    }


def test_what_add_brought_stays_until_the_file_has_a_watcher_of_that_name(circusd: Start) -> None:
    daemon = circusd(WEB)
    daemon.ok("add", name="extra", cmd="sleep 500", start=True, waiting=True)
    before = daemon.pids("extra")
    assert reloaded(daemon, f"{WEB}priority = 3\n") == {("watcher", "web"): ("changed", "nothing")}
    assert daemon.pids("extra") == before
    told = reloaded(daemon, f"{WEB}priority = 3\n[watcher:extra]\ncmd = sleep 501\nnumprocesses = 2\n")
    assert told == {("watcher", "extra"): ("changed", "reload")}
    assert len(daemon.pids("extra")) == 2
    assert reloaded(daemon, f"{WEB}priority = 3\n") == {("watcher", "extra"): ("removed", "nothing")}


def test_what_set_changed_stays_until_the_file_changes_that_option(circusd: Start) -> None:
    daemon = circusd(f"{WEB}[env:web]\nA = 1\n")
    daemon.ok("set", name="web", options={"graceful_timeout": 9.0, "stop_signal": 2, "env": {"A": "1", "B": "2"}})
    daemon.ok("incr", name="web", nb=2, waiting=True)
    keys = ["graceful_timeout", "stop_signal", "env", "numprocesses"]
    assert reloaded(daemon, f"{WEB}stop_signal = KILL\n[env:web]\nA = one\n") == {
        ("watcher", "web"): ("changed", "reload")
    }
    assert daemon.ok("get", name="web", keys=keys)["options"] == {
        "graceful_timeout": 9.0, "stop_signal": 9, "env": {"A": "one", "B": "2"}, "numprocesses": 3,
    }  # fmt: skip
    reloaded(daemon, f"{WEB}stop_signal = KILL\nnumprocesses = 2\n[env:web]\nA = one\n")
    assert len(daemon.pids("web")) == 2


def test_a_value_that_was_set_and_does_not_start_stays_in_force_and_is_told_so(circusd: Start) -> None:
    daemon = circusd(WEB)
    before = daemon.wait_pids("web", 1)
    failed = daemon.circusctl("set", "web", "cmd", "/nope", "--waiting")
    assert failed.returncode == 3
    again = failed.stderr.partition("stays in force")[2].partition("`")[2].partition("`")[0]
    assert again == "set web cmd 'sleep 1000'"
    assert daemon.pids("web") == before
    note = "note: web: cmd was set to /nope and is not that of the file (sleep 1000)\n"
    assert daemon.circusctl("plan").stdout == f"nothing would change\n{note}"
    assert daemon.circusctl("reloadconfig", "--waiting").stdout == "ok\n"
    assert daemon.ok("get", name="web", keys=["cmd"])["options"] == {"cmd": "/nope"}
    assert daemon.circusctl(*shlex.split(again), "--waiting").returncode == 0
    assert daemon.circusctl("plan").stdout == "nothing would change\n"
    assert daemon.pids("web") != before


def test_the_file_or_a_restart_of_everything_takes_back_what_was_set(circusd: Start) -> None:
    daemon = circusd(f"{WEB}[watcher:other]\ncmd = sleep 7\n")
    for name in ("web", "other"):
        daemon.ok("set", name=name, options={"graceful_timeout": 9.0, "env": {"A": "1"}}, waiting=True)
    daemon.ok("incr", name="other", waiting=True)
    told = {each["name"]: [option["name"] for option in each["options"]] for each in daemon.ok("plan")["by_hand"]}
    assert told == {"other": ["env.A", "graceful_timeout", "numprocesses"], "web": ["env.A", "graceful_timeout"]}
    assert "env.A was set to *** and is not set in the file" in daemon.circusctl("plan").stdout
    rewrite(daemon, f"{WEB}graceful_timeout = 8\n[watcher:other]\ncmd = sleep 7\n")
    told = {each["name"]: [option["name"] for option in each["options"]] for each in daemon.ok("plan")["by_hand"]}
    assert told == {"other": ["env.A", "graceful_timeout", "numprocesses"], "web": ["env.A"]}
    daemon.ok("restart", waiting=True)
    assert daemon.ok("plan")["by_hand"] == []
    assert daemon.ok("get", name="other", keys=["env", "numprocesses"])["options"] == {"env": {}, "numprocesses": 1}


def test_a_watcher_that_was_removed_by_hand_comes_back(circusd: Start) -> None:
    daemon = circusd(f"{WEB}[watcher:other]\ncmd = sleep 1\n")
    daemon.ok("rm", name="web", waiting=True)
    reply = daemon.ok("reloadconfig", waiting=True)
    assert [(each["name"], each["action"]) for each in reply["changes"]] == [("web", "added")]
    assert len(daemon.pids("web")) == 1


def test_a_name_in_another_case_is_another_watcher(circusd: Start) -> None:
    daemon = circusd(WEB)
    (before,) = daemon.wait_pids("web", 1)
    rewrite(daemon, WEB.replace("web", "Web"))
    reply = daemon.ok("reloadconfig", waiting=True)
    assert {(each["name"], each["action"]) for each in reply["changes"]} == {("web", "removed"), ("Web", "added")}
    assert not proc.alive(before)
    assert daemon.ok("status")["statuses"] == {"Web": "active"}


def test_options_of_circus_are_in_force_or_named(circusd: Start) -> None:
    daemon = circusd(f"{WEB}")
    told = reloaded(daemon, WEB, check_delay=3.5, warmup_delay=0.25, loglevel="debug", journal_size=50)
    assert told == {("circus", "circus"): ("changed", "nothing")}
    assert daemon.ok("globaloptions", option="check_delay")["options"] == {"check_delay": 3.5}
    rewrite(daemon, WEB, check_delay=3.5, warmup_delay=0.25, loglevel="debug", journal_size=50, pidfile="/tmp/x.pid")
    for _ in range(2):  # as long as it is not in force
        assert daemon.ok("reloadconfig", waiting=True)["restart"] == ["pidfile"]
    line = daemon.circusctl("reloadconfig", "--waiting")
    assert line.stdout == "ok\nin force after a restart of circusd: pidfile\n"
    for _ in range(60):
        daemon.ok("set", name="web", options={"priority": 1})
    kept = daemon.ok("events", since=0, limit=1000)
    assert kept["next"] + 1 - kept["first"] == 50
    daemon.call("no such command")
    wait_until(lambda: "[DEBUG]" in daemon.log_text())


def test_samples_come_at_the_new_pace(circusd: Start) -> None:
    daemon = circusd(WEB, options={"sample_interval": 600})
    stats = daemon.stats("sample.web")
    stats.wait_for_topic("sample.web")
    stats.clear()
    reloaded(daemon, WEB, sample_interval=0.05)
    assert stats.wait_for_topic("sample.web", count=3)[-1].body["interval_seconds"] == 0.05


def test_a_plugin_is_replaced_when_its_options_change(circusd: Start) -> None:
    plugin = "[plugin:p]\nuse = circus.plugins.flapping.Flapping\n"
    daemon = circusd(f"{WEB}{plugin}")
    before, web = daemon.wait_pids("plugin:p", 1), daemon.wait_pids("web", 1)
    assert reloaded(daemon, f"{WEB}{plugin}word = hello\n") == {("plugin", "plugin:p"): ("changed", "reload")}
    assert daemon.wait_pids("plugin:p", 1, without=before)
    assert reloaded(daemon, WEB) == {("plugin", "plugin:p"): ("removed", "nothing")}
    assert daemon.ok("list")["watchers"] == ["web"]
    assert daemon.pids("web") == web


# -- sockets -------------------------------------------------------------------------------------------------------


def numbers(daemon: Daemon) -> dict[str, Any]:
    return {each["name"]: each for each in daemon.ok("listsockets")["sockets"]}


def test_a_socket_comes_and_its_watcher_with_it(circusd: Start) -> None:
    daemon = circusd("[watcher:other]\ncmd = sleep 1000\n")
    told = reloaded(daemon, f"[watcher:other]\ncmd = sleep 1000\n{SOCKET}{ECHO}")
    assert told == {("socket", "web"): ("added", "nothing"), ("watcher", "web"): ("added", "reload")}
    assert ask(port_of(daemon))[1] == b"hello"


def test_a_socket_whose_address_changes_goes_over_to_new_workers_and_no_accepted_connection_is_lost(
    circusd: Start, tmp_path: pathlib.Path
) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    unix = f"[socket:web]\npath = {first}\n"
    daemon = circusd(f"{unix}{ECHO}numprocesses = 2\n[watcher:other]\ncmd = sleep 1000\n")
    before, other = daemon.wait_pids("web", 2), daemon.wait_pids("other", 1)
    answers, stop = [], threading.Event()
    reset: list[pathlib.Path] = []

    def connect() -> None:
        while not stop.is_set():
            for path in (first, second):
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(30)
                    try:
                        client.connect(str(path))
                    except OSError:
                        continue  # not yet, or not any more
                    try:
                        client.sendall(b"hello\n")
                        answers.append(client.makefile("rb").readline())
                    except ConnectionError:
                        assert path == first  # it was still in the backlog of the socket that is no more
                        reset.append(path)

    thread = threading.Thread(target=connect)
    thread.start()
    try:
        wait_until(lambda: len(answers) > 20)
        told = reloaded(
            daemon, f"[socket:web]\npath = {second}\n{ECHO}numprocesses = 2\n[watcher:other]\ncmd = sleep 1000\n"
        )
        seen = len(answers)
        wait_until(lambda: len(answers) > seen + 20)
    finally:
        stop.set()
        thread.join()
    assert told == {("socket", "web"): ("changed", "reopen"), ("watcher", "web"): ("changed", "reload")}
    assert all(answer.endswith(b" hello\n") for answer in answers), set(answers)
    assert len(reset) <= 1  # one after the other connects
    assert not set(daemon.pids("web")) & set(before)
    assert daemon.pids("other") == other
    assert not first.exists()


def test_a_backlog_changes_where_it_is(circusd: Start) -> None:
    daemon = circusd(f"{SOCKET}{ECHO}")
    before, was = daemon.wait_pids("web", 1), numbers(daemon)["web"]
    assert reloaded(daemon, f"{SOCKET}backlog = 77\n{ECHO}") == {("socket", "web"): ("changed", "nothing")}
    assert numbers(daemon)["web"] == was | {"backlog": 77}
    assert daemon.pids("web") == before


def test_a_socket_that_somebody_uses_is_not_removed(circusd: Start) -> None:
    daemon = circusd(f"{SOCKET}{ECHO}")
    before, was = daemon.wait_pids("web", 1), numbers(daemon)
    rewrite(daemon, f"{ECHO}numprocesses = 3\n")
    for waiting in (True, False):
        reply = daemon.call("reloadconfig", waiting=waiting)
        assert reply["reason"] == "[socket:web] cannot be removed: the watcher 'web' uses it"
    assert numbers(daemon) == was
    assert daemon.pids("web") == before
    assert reloaded(daemon, WEB)["socket", "web"] == ("removed", "nothing")
    assert numbers(daemon) == {}


def test_a_port_that_is_taken_refuses_the_whole(circusd: Start) -> None:
    daemon = circusd(f"{SOCKET}{ECHO}")
    before, was = daemon.wait_pids("web", 1), numbers(daemon)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        rewrite(daemon, f"{SOCKET}[socket:more]\nhost = 127.0.0.1\nport = {port}\n{ECHO}numprocesses = 3\n")
        reply = daemon.call("reloadconfig", waiting=True)
        assert "Address already in use" in reply["reason"]
    assert numbers(daemon) == was
    assert daemon.pids("web") == before
    assert daemon.ok("reloadconfig", waiting=True)["changes"]
    assert len(daemon.pids("web")) == 3


def test_an_on_demand_watcher_waits_for_its_new_socket(circusd: Start, tmp_path: pathlib.Path) -> None:
    demand = f"{ECHO}on_demand = true\n"
    daemon = circusd(f"[socket:web]\npath = {tmp_path / 'one'}\n{demand}")
    daemon.wait_state("web", "waiting")
    reloaded(daemon, f"[socket:web]\npath = {tmp_path / 'two'}\n{demand}")
    assert daemon.telemetry("web")["state"] == "waiting"
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(tmp_path / "two"))
        client.sendall(b"hello\n")
        assert client.makefile("rb").readline().endswith(b" hello\n")


# -- beside other commands -------------------------------------------------------------------------------------------


def test_a_reload_that_fails_is_told_and_everything_else_is_done(circusd: Start) -> None:
    daemon = circusd(f"{WEB}[watcher:other]\ncmd = sleep 1000\n")
    before, other = daemon.wait_pids("web", 1), daemon.wait_pids("other", 1)
    rewrite(daemon, f"{WEB.replace('sleep', '/no/such/program')}[watcher:other]\ncmd = sleep 1001\n")
    reply = daemon.call("reloadconfig", waiting=True)
    assert reply["errno"] == 6
    assert reply["reason"].startswith("reload of 'web' failed: a new process did not start: ")
    assert "/no/such/program" in reply["reason"]
    assert daemon.pids("web") == before
    assert daemon.pids("other") != other


def test_a_watcher_that_was_given_up_is_tried_again_and_one_that_was_stopped_stays_so(circusd: Start) -> None:
    other = "[watcher:other]\ncmd = sleep 1000\n"
    daemon = circusd(f"{WEB.replace('sleep', '/no/such/program')}max_retry = 1\n{other}")
    daemon.wait_state("web", "fatal")
    daemon.ok("stop", name="other", waiting=True)
    reloaded(daemon, f"{WEB}max_retry = 1\n{other.replace('1000', '1001')}")
    assert daemon.ok("status")["statuses"] == {"other": "stopped", "web": "active"}


def test_quit_overtakes_it(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('ignore_term')}\ngraceful_timeout = 60\n")
    wait_until(lambda: "ready" in daemon.log_text())
    (stubborn,) = daemon.pids("web")
    rewrite(daemon, WEB)
    with daemon.caller() as first, daemon.caller() as second:
        first.send("reloadconfig", waiting=True)
        daemon.wait_state("web", "reloading")
        second.send("quit", waiting=True)
        assert first.receive()["reason"].startswith("cancelled: quit overtook reloadconfig")
        os.kill(stubborn, signal.SIGKILL)
        assert second.receive()["status"] == "ok"
    daemon.wait()


def test_a_restart_of_everything_comes_after_it(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('ignore_term')}\ngraceful_timeout = 60\n")
    wait_until(lambda: "ready" in daemon.log_text())
    (stubborn,) = daemon.pids("web")
    rewrite(daemon, f"{WEB}[watcher:other]\ncmd = sleep 1000\n")
    with daemon.caller() as first, daemon.caller() as second:
        first.send("reloadconfig", waiting=True)
        daemon.wait_state("web", "reloading")
        second.send("restart", waiting=True)
        os.kill(stubborn, signal.SIGKILL)
        assert first.receive()["status"] == "ok"
        assert second.receive()["status"] == "ok"
    assert daemon.ok("status")["statuses"] == {"other": "active", "web": "active"}


def test_circusctl_plans_and_changes_nothing(circusd: Start) -> None:
    daemon = circusd(f"{WEB}[watcher:gone]\ncmd = sleep 1\n")
    assert daemon.circusctl("plan").stdout == "nothing would change\n"
    before = daemon.wait_pids("web", 1)
    rewrite(daemon, f"{WEB.replace('1000', '999')}max_age = 5\n[watcher:new]\ncmd = sleep 2\n[env:web]\nKEY = hidden\n")
    line = daemon.circusctl("plan")
    assert line.returncode == 0
    assert line.stdout.splitlines() == [
        "- watcher:gone",
        "~ watcher:web (reload)",
        "    cmd: sleep 1000 -> sleep 999",
        "    env.KEY: (not set) -> ***",
        "    max_age: 0 -> 5",
        "+ watcher:new",
    ]
    assert daemon.pids("web") == before
    assert '"action": "removed"' in daemon.circusctl("--json", "plan").stdout
    rewrite(daemon, f"{WEB}stop_signal = TERM\n[watcher:new]\ncmd = sleep 2\nuid = nobody_at_all\n")
    refused = daemon.circusctl("plan")
    assert refused.returncode == daemon.circusctl("reloadconfig", "--waiting").returncode == 3
    first, *why = refused.stdout.splitlines()
    assert first == "nothing would be changed, because reloadconfig would refuse it all"
    assert len(why) == 1
    assert why[0].startswith("refused: ")
    assert daemon.circusctl("--json", "plan").returncode == 3
    rewrite(daemon, f"{WEB}numprocesses = many\nmax_age = never\n")
    for command in ("plan", "reloadconfig"):
        wrong = daemon.circusctl(command)
        assert wrong.returncode == 3
        assert "numprocesses = 'many'" in wrong.stderr
        assert [line.partition(": ")[0] for line in wrong.stderr.splitlines()] == ["error", "error"]


def test_a_section_that_is_refused_does_not_look_as_if_it_went(circusd: Start) -> None:
    daemon = circusd(f"{WEB}[watcher:extra]\ncmd = sleep 5\n")
    rewrite(daemon, f"{WEB}[watcher:extra]\ncmd = sleep 5\nuid = no-such-user\n")
    told = daemon.circusctl("plan").stdout.splitlines()
    assert told[0] == "nothing would be changed, because reloadconfig would refuse it all"
    assert not [line for line in told if line.startswith("-")]


def test_warnings_reach_who_reloads(circusd: Start) -> None:
    left_out = "[watcher:other]\ncmd = sleep 1\nuid = no-such-user\n"
    daemon = circusd(f"{WEB}{left_out}")
    assert daemon.circusctl("plan").stderr.startswith("warning: left out: ")
    rewrite(daemon, f"{WEB}numproceses = 3\n[wathcer:typo]\ncmd = sleep 1\n")
    warnings = daemon.ok("plan")["warnings"]
    assert [warning.rpartition("; ")[2] for warning in warnings] == [
        "did you mean numprocesses?", "did you mean [watcher:typo]?",
    ]  # fmt: skip
    shown = "".join(f"warning: {warning}\n" for warning in warnings)
    for words in (["plan"], ["reloadconfig"], ["reloadconfig", "--waiting"]):
        done = daemon.circusctl(*words)
        assert (done.returncode, done.stderr) == (0, shown)
        assert "warning" not in done.stdout
        done = daemon.circusctl("--json", *words)
        assert (json.loads(done.stdout)["warnings"], done.stderr) == (warnings, "")
    assert set(daemon.ok("reloadconfig")) == {"status", "time", "warnings", "id"}
    typo = "[wathcer:typo]\ncmd = sleep 1\n"
    for wrong in (
        f"{WEB}max_age = never\n",
        f"{WEB}uid = no-such-user\n",
        "[watcher:web]\ncmd = /no/such/program\n",  # found out when it is started
    ):
        rewrite(daemon, f"{wrong}{typo}")
        failed = daemon.circusctl("reloadconfig", "--waiting")
        assert failed.returncode == 3
        assert "did you mean [watcher:typo]?" in failed.stderr
        assert "\nerror: " in failed.stderr
        assert daemon.call("reloadconfig", waiting=True)["warnings"]
