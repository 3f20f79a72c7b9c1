"""`set`, `add` and `rm`: options that change under running processes, watchers that come and go."""

from __future__ import annotations

import os
import pathlib
import signal
from collections.abc import Callable

import pytest

from tests import workers
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]

WEB = "[watcher:web]\ncmd = sleep 1000\nnumprocesses = 2\n"


def set_(daemon: Daemon, **options: object) -> str:
    """What a waiting `set` on web says it did."""
    effect: str = daemon.ok("set", name="web", options=options, waiting=True)["effect"]
    return effect


def words_of(pid: int) -> tuple[str, ...]:
    """The command line of a process."""
    return tuple(pathlib.Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0"))


def environ_of(pid: int) -> dict[str, str]:
    """The environment that a process was started with."""
    pairs = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(pair.decode().split("=", 1) for pair in pairs if pair)


def test_the_reply_says_what_a_change_did(circusd: Start) -> None:
    daemon = circusd(WEB)
    before = daemon.wait_pids("web", 2)
    assert set_(daemon, graceful_timeout=3.5) == "nothing"
    assert daemon.pids("web") == before
    assert set_(daemon, numprocesses=3) == "resize"
    assert daemon.pids("web")[:2] == before
    assert set_(daemon, cmd="sleep 999") == "reload"
    after = daemon.pids("web")
    assert len(after) == 3
    assert not set(after) & set(before)
    assert {words_of(pid) for pid in after} == {("sleep", "999")}
    assert list(daemon.call("set", name="web", options={"priority": 3})) == ["status", "time", "id"]
    shown = daemon.ok("options", name="web")["options"]
    assert (shown["graceful_timeout"], shown["numprocesses"], shown["cmd"], shown["priority"]) == (
        3.5, 3, "sleep 999", 3,
    )  # fmt: skip


def test_environment_limits_and_directory_are_those_of_the_next_processes(
    circusd: Start, tmp_path: pathlib.Path
) -> None:
    daemon = circusd(WEB)
    daemon.wait_pids("web", 2)
    options = {"env": {"COLOUR": "blue"}, "rlimit_nofile": 77, "working_dir": str(tmp_path), "numprocesses": 1}
    assert set_(daemon, **options) == "reload"
    (pid,) = daemon.pids("web")
    wait_until(lambda: words_of(pid)[0] == "sleep")  # not the shell any more that sets its limits
    assert environ_of(pid) == {"COLOUR": "blue"}
    assert "77" in pathlib.Path(f"/proc/{pid}/limits").read_text()
    assert os.readlink(f"/proc/{pid}/cwd") == str(tmp_path)
    got = daemon.ok("get", name="web", keys=["env", "rlimit_nofile", "env.COLOUR", "autostart"])["options"]
    assert got == {"env": {"COLOUR": "blue"}, "rlimit_nofile": 77, "env.COLOUR": "blue", "autostart": True}


def test_either_all_of_a_request_is_in_force_or_nothing(circusd: Start) -> None:
    daemon = circusd(WEB)
    before, events = daemon.wait_pids("web", 2), daemon.events("watcher.web.")
    for wrong, errno, reason in (
        ({"zz": 1}, 3, "unknown key 'zz'"),
        ({"max_retry": "3"}, 3, "'max_retry' isn't an integer"),
        ({"max_age": -3}, 3, "'max_age' must be a whole number, 0 or more"),
        ({"uid": "nobody-of-that-name"}, 5, "no such user: 'nobody-of-that-name'"),
        ({"hooks.before_start": "tests.nowhere.hook"}, 5, "hook before_start: cannot find 'tests.nowhere.hook'"),
        ({"stdout_stream": {"class": "NoStream"}}, 5, "stream configuration invalid: NoStream: "),
        ({"cmd": "sleep 'open"}, 5, "watcher 'web': cannot split into words"),
        ({"cmd": "x" * 200_000}, 5, "watcher 'web': a command of 200000 characters is too long"),
        ({"uid": 2**70}, 5, "no such user: 1180591620717411303424"),
        ({"numprocesses": 10**9}, 3, "'numprocesses' must be a whole number from 0 to 100000"),
        ({"cmd": " "}, 5, "watcher 'web' has nothing to run: cmd is empty"),
        ({"singleton": True}, 5, "Singleton watcher has a single process"),
        ({"copy_path": True}, 5, "watcher 'web': copy_path needs copy_env"),
    ):
        reply = daemon.call("set", name="web", options={"graceful_timeout": 7.0, "args": "-1"} | wrong)
        assert (reply["status"], reply["errno"]) == ("error", errno), reply
        assert reply["reason"].startswith(reason), reply
    assert daemon.call("incr", name="web", nb=10**9)["reason"] == "'web' can have at most 100000 processes"
    assert daemon.ok("get", name="web", keys=["graceful_timeout", "args"])["options"]["graceful_timeout"] == 30.0
    assert daemon.pids("web") == before
    assert events.topics() == []


def test_a_stream_is_changed_under_a_process_that_runs(circusd: Start, tmp_path: pathlib.Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    talk = "sh -c 'while :; do echo hello; sleep 0.05; done'"
    daemon = circusd(f"[watcher:web]\ncmd = {talk}\nstdout_stream.filename = {first}\n")
    before = daemon.wait_pids("web", 1)
    wait_until(lambda: first.exists() and first.stat().st_size > 0)
    assert set_(daemon, **{"stdout_stream.filename": str(second)}) == "reopen"
    size = first.stat().st_size
    wait_until(lambda: second.exists() and second.stat().st_size > 0)
    assert first.stat().st_size == size
    assert daemon.pids("web") == before
    assert set(second.read_text().splitlines()) == {"hello"}


def test_a_stream_where_there_was_none_comes_with_new_processes(circusd: Start, tmp_path: pathlib.Path) -> None:
    daemon = circusd("[watcher:web]\ncmd = sh -c 'echo hello; exec sleep 1000'\n")
    daemon.wait_pids("web", 1)
    assert set_(daemon, stdout_stream={"class": "FileStream", "filename": str(tmp_path / "out")}) == "reload"
    wait_until(lambda: (tmp_path / "out").exists() and (tmp_path / "out").read_text() == "hello\n")


def test_a_hook_is_imported_again_when_it_is_set(circusd: Start, tmp_path: pathlib.Path) -> None:
    module = tmp_path / "changing_hooks.py"
    module.write_text("def hook(**_):\n    return True\n")
    daemon = circusd(
        "[watcher:web]\ncmd = sleep 1000\nhooks.before_spawn = changing_hooks.hook\ncopy_env = true\n",
        env={"PYTHONPATH": str(tmp_path)},
    )
    daemon.wait_pids("web", 1)
    module.write_text("def hook(**_):\n    raise RuntimeError('the new code')\n")
    assert set_(daemon, **{"hooks.before_spawn": "changing_hooks.hook,true"}) == "nothing"
    events = daemon.events("watcher.web.hook_failure")
    os.kill(daemon.pids("web")[0], signal.SIGKILL)
    assert events.wait_for_topic("watcher.web.hook_failure")[0].body["error"] == "the new code"
    daemon.wait_pids("web", 1)


def test_what_changed_is_a_record_without_secrets_and_an_event_for_each_key(circusd: Start) -> None:
    daemon = circusd(WEB)
    daemon.wait_pids("web", 2)
    with daemon.events("watcher.web.updated", "lifecycle.web.watcher.changed") as events:
        daemon.ok("set", name="web", options={"env": {"A": "hidden"}, "max_age": 0, "stop_signal": 2}, waiting=True)
        record = events.wait_for_topic("lifecycle.web.watcher.changed")[0].body
    assert events.topics().count("watcher.web.updated") == 3
    assert record["cause"]["name"] == "set"
    told = {option["name"]: (option["old"], option["new"], option["effect"]) for option in record["data"]["options"]}
    assert told["stop_signal"] == (15, 2, "nothing")
    assert set(told) == {"env.A", "stop_signal"}
    assert "hidden" not in str(record)
    assert record["data"]["effect"] == "reload"


def test_a_stop_overtakes_a_set_and_its_values_are_in_force_at_the_next_start(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('ignore_term')}\ngraceful_timeout = 60\n")
    wait_until(lambda: "ready" in daemon.log_text())
    (stubborn,) = daemon.pids("web")
    with daemon.caller() as first, daemon.caller() as second:
        first.send("set", name="web", options={"cmd": "sleep 999"}, waiting=True)
        daemon.wait_state("web", "reloading")
        second.send("set", name="web", options={"numprocesses": 2}, waiting=True)
        wait_until(lambda: len(daemon.ok("list", name="web")["pids"]) == 2)
        # The two of them, and this one: what comes on another connection may come later.
        wait_until(lambda: daemon.ok("telemetry")["arbiter"]["commands_in_flight"] == 3)
        daemon.ok("stop", name="web")
        for caller in (first, second):
            reply = caller.receive()
            assert reply["errno"] == 5
            assert reply["reason"].startswith("cancelled: stop overtook set of 'web'; ")
    os.kill(stubborn, signal.SIGKILL)
    daemon.wait_status("web", "stopped")
    daemon.ok("start", name="web", waiting=True)
    assert [words_of(pid) for pid in daemon.pids("web")] == [("sleep", "999")] * 2


def test_a_watcher_is_added_with_all_options_and_removed(circusd: Start, tmp_path: pathlib.Path) -> None:
    daemon = circusd(f"[socket:s]\nhost = 127.0.0.1\nport = 0\n{WEB}")
    with daemon.events("watcher.new_one.", "lifecycle.new_one.watcher.") as events:
        reply = daemon.ok(
            "add",
            name="New One",
            cmd="sleep",
            args=["600"],
            start=True,
            waiting=True,
            options={"numprocesses": 2, "rlimit_nofile": 100, "use_sockets": True, "priority": 3, "on_demand": False,
                     "stdout_stream.filename": str(tmp_path / "out"), "labels.team": "x"},
        )  # fmt: skip
        assert list(reply) == ["status", "time", "started", "kept", "id"]
        assert reply["started"] == daemon.pids("new one")
        assert daemon.ok("options", name="new one")["options"]["use_sockets"] is True
        again = daemon.call("add", name="NEW ONE", cmd="sleep 1")
        assert (again["errno"], again["reason"]) == (5, "'NEW ONE' already exist")
        daemon.ok("rm", name="new one", waiting=True)
        events.wait_for_topic("lifecycle.new_one.watcher.removed")
    told = [topic for topic in events.topics() if "state" not in topic]
    assert told[:2] == ["lifecycle.new_one.watcher.added", "watcher.new_one.add"]
    assert told.index("watcher.new_one.remove") < told.index("watcher.new_one.stop")
    assert not any(proc.alive(pid) for pid in reply["started"])
    assert daemon.call("status", name="new one")["reason"] == "program new one not found"
    daemon.ok("add", name="new one", cmd="sleep 600", start=True, waiting=True)
    assert len(daemon.pids("new one")) == 1


@pytest.mark.parametrize(
    ("properties", "errno", "reason"),
    [
        ({"name": "x"}, 3, "message invalid 'cmd' is missing"),
        ({"name": "", "cmd": "sleep 1"}, 3, "'name' is empty"),
        ({"name": "x", "cmd": ["sleep"]}, 3, "'cmd' isn't a string"),
        ({"name": "x", "cmd": "sleep 1", "args": 3}, 3, "'args' isn't a string or a list of strings"),
        ({"name": "x", "cmd": "sleep 1", "options": {"zz": 1}}, 3, "unknown key 'zz'"),
        ({"name": "x", "cmd": "sleep 1", "options": [1]}, 3, "'options' property should be an object"),
        ({"name": "x", "cmd": "sleep 1", "options": {"uid": "no-such-user"}}, 5, "no such user: 'no-such-user'"),
        ({"name": "x", "cmd": "sleep 'open"}, 5, "watcher 'x': cannot split into words"),
        ({"name": "x", "cmd": "a", "options": {"hooks": {"before_start": "x"}}}, 5, "hook before_start: 'x' is not"),
    ],
)
def test_what_cannot_be_added_is_refused_at_once_and_leaves_nothing(
    circusd: Start, properties: dict[str, object], errno: int, reason: str
) -> None:
    daemon = circusd(WEB)
    reply = daemon.call("add", **properties)
    assert reply["status"] == "error"
    assert reply["reason"].startswith(reason), reply
    assert reply["errno"] == errno
    assert daemon.ok("numwatchers")["numwatchers"] == 1
    assert [found["name"] for found in daemon.ok("telemetry")["watchers"]] == ["web"]


def test_processes_of_a_watcher_removed_with_nostop_run_on_and_are_nobodys(
    circusd: Start, tmp_path: pathlib.Path
) -> None:
    out = tmp_path / "out"
    talk = "sh -c 'while :; do echo hello; sleep 0.05; done'"
    daemon = circusd(f"[watcher:web]\ncmd = {talk}\nnumprocesses = 2\nstdout_stream.filename = {out}\n")
    pids = daemon.wait_pids("web", 2)
    with daemon.events("lifecycle.web.", "watcher.web.") as events:
        daemon.ok("rm", name="web", nostop=True, waiting=True)
        events.wait_for_topic("lifecycle.web.watcher.removed")
    assert "watcher.web.kill" not in events.topics()
    assert events.topics().count("lifecycle.web.process.lost") == 2
    assert daemon.ok("list")["watchers"] == []
    assert all(proc.alive(pid) for pid in pids)
    size = out.stat().st_size
    wait_until(lambda: out.stat().st_size > size)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids))  # no zombie is left


def test_a_name_that_is_being_removed_can_be_added_and_follows(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('ignore_term')}\ngraceful_timeout = 60\n")
    wait_until(lambda: "ready" in daemon.log_text())
    (stubborn,) = daemon.pids("web")
    daemon.ok("rm", name="web")
    assert daemon.status("web") == "stopping"
    refused = daemon.call("start", name="web", waiting=True)
    assert refused["reason"] == "cancelled: rm overtook start of 'web'"
    with daemon.caller() as other:
        other.send("add", name="web", cmd="sleep 999", start=True, waiting=True)
        os.kill(stubborn, signal.SIGKILL)
        reply = other.receive()
    assert reply["started"] == daemon.pids("web")


def test_the_owner_of_the_endpoint_may_run_programs_as_himself_only(circusd: Start) -> None:
    daemon = circusd(
        "[watcher:web]\ncmd = sleep 1000\n[watcher:mine]\ncmd = sleep 1000\nuid = nobody\n",
        options={"endpoint_owner": "nobody"},
    )
    daemon.wait_pids("mine", 1)
    refused = (3, "uid does not match endpoint_owner")
    for command, properties in (
        ("add", {"name": "x", "cmd": "id"}),
        ("add", {"name": "x", "cmd": "id", "options": {"uid": "daemon"}}),
        ("set", {"name": "web", "options": {"cmd": "id"}}),
        ("set", {"name": "mine", "options": {"uid": "root"}}),
        ("set", {"name": "web", "options": {"env": {"LD_PRELOAD": "x"}}}),
    ):
        reply = daemon.call(command, **properties)
        assert (reply["errno"], reply["reason"]) == refused, (command, properties, reply)
    for options in ({"hooks.before_start": "os.system"}, {"stdout_stream.filename": "/etc/shadow"}, {"gid": "root"}):
        reply = daemon.call("set", name="mine", options=options)
        assert reply["errno"] == 3, reply
    daemon.ok("set", name="web", options={"numprocesses": 2}, waiting=True)
    daemon.ok("set", name="mine", options={"cmd": "sleep 999"}, waiting=True)
    daemon.ok("add", name="x", cmd="sleep 998", options={"uid": "nobody"}, start=True, waiting=True)


def test_circusctl_sets_adds_and_removes(circusd: Start) -> None:
    daemon = circusd(WEB)
    daemon.wait_pids("web", 2)
    line = daemon.circusctl("set", "web", "numprocesses", "1", "STOP_SIGNAL", "int", "env", "A=1,B=2", "--waiting")
    assert (line.returncode, line.stdout, line.stderr) == (0, "ok\n", "")
    assert daemon.circusctl("get", "web", "stop_signal", "env").stdout == "stop_signal: 2\nenv: A=1,B=2\n"
    assert len(daemon.pids("web")) == 1
    unknown = daemon.circusctl("set", "web", "foo", "1")
    assert (unknown.returncode, unknown.stderr) == (1, "unknown key 'foo'\n")
    wrong = daemon.circusctl("set", "web", "numprocesses", "many")
    assert (wrong.returncode, wrong.stderr) == (
        1,
        "numprocesses: expected a whole number from 0 to 100000, not 'many'\n",
    )
    assert daemon.circusctl("add", "--start", "more", "sleep", "500").stdout == "ok\n"
    (pid,) = daemon.wait_pids("more", 1)
    assert daemon.circusctl("rm", "more", "--nostop", "--waiting").stdout == "ok\n"
    assert proc.alive(pid)
    os.kill(pid, signal.SIGKILL)
    missing = daemon.circusctl("rm", "more")
    assert (missing.returncode, missing.stderr) == (3, "error: program more not found\n")
    shell = daemon.circusctl("ipython")
    assert (shell.returncode, shell.stdout.splitlines()[0]) == (0, "error: Could not start ipython kernel")


def test_how_long_a_command_stood_in_the_queue_is_recorded(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('ignore_term')}\ngraceful_timeout = 60\n")
    wait_until(lambda: "ready" in daemon.log_text())
    (stubborn,) = daemon.pids("web")
    with daemon.caller() as first, daemon.caller() as second:
        first.send("restart", name="web", waiting=True)
        daemon.wait_state("web", "stopping")
        second.send("set", name="web", options={"priority": 1}, waiting=True)
        wait_until(lambda: len(daemon.ok("events", record="command.started")["records"]) == 2)
        os.kill(stubborn, signal.SIGKILL)
        first.receive()
        second.receive()
    daemon.ok("signal", name="web", signum=0)
    finished = [record["data"] for record in daemon.ok("events", record="command.finished")["records"]]
    waits = {data["command"]: (data["queue_seconds"], data["seconds"]) for data in finished}
    assert waits["restart"][0] == 0
    assert 0 < waits["set"][0] <= waits["set"][1]
    assert waits["signal"][0] is None
    daemon.ok("set", name="web", options={"graceful_timeout": 0.1}, waiting=True)
