"""Commands that change what runs: what they answer, what is published, and in which order."""

from __future__ import annotations

import json
import os
import pathlib
import signal
from collections.abc import Callable

import pytest

from tests import workers
from tests.helpers import proc
from tests.helpers.channels import Recorder
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]

SLEEPER = "cmd = sleep 1000\n"
STUBBORN = f"cmd = {workers.python('ignore_term')}\n"


def actions(events: Recorder) -> list[str]:
    """The actions that were published, in order."""
    return [topic.rpartition(".")[2] for topic in events.topics()]


def test_start_of_what_runs_keeps_it(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}numprocesses = 2\n")
    pids = daemon.wait_pids("web", 2)
    assert daemon.ok("start", name="web", waiting=True)["info"] == {"started": [], "kept": pids}


def test_replies_have_the_shapes_of_0_19(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}[watcher:other]\n{SLEEPER}")
    daemon.wait_pids("web", 1)
    asked = {"name": "web", "waiting": True}
    plain, informed = ["status", "time", "id"], ["status", "time", "info", "id"]
    assert daemon.call("stop", **asked)["info"] is None
    assert list(daemon.call("start", **asked)["info"]) == ["started", "kept"]
    for command in ("restart", "reload"):
        reply = daemon.call(command, **asked)
        assert list(reply) == informed
        assert list(reply["info"]) == ["stopped", "started", "kept"]
    for command in ("incr", "decr"):
        assert list(daemon.call(command, **asked)) == ["status", "time", "numprocesses", "id"]
    for command in ("start", "stop", "restart", "reload", "incr", "decr"):
        assert list(daemon.call(command, name="web")) == plain
    for command in ("stop", "start"):
        # More than one watcher: there is no info.
        assert list(daemon.call(command, name="*", waiting=True)) == plain


def test_a_command_answers_at_once_when_nobody_waits(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{STUBBORN}graceful_timeout = 60\n")
    wait_until(lambda: "ready" in daemon.log_text())
    daemon.ok("stop", name="web")
    assert daemon.status("web") == "stopping"
    os.kill(daemon.pids("web")[0], signal.SIGKILL)
    daemon.wait_status("web", "stopped")


def test_stop_of_several_kills_all_before_it_is_told(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}numprocesses = 3\n")
    pids = daemon.wait_pids("web", 3)
    events = daemon.events("watcher.web.")
    daemon.ok("stop", name="web", waiting=True)
    events.wait_for_topic("watcher.web.stop")
    assert actions(events) == ["kill"] * 3 + ["reap"] * 3 + ["stop"]
    assert {message.body["process_pid"] for message in events.messages[:3]} == set(pids)
    assert {message.body["exit_code"] for message in events.messages[3:6]} == {-signal.SIGTERM}


def test_stop_of_what_is_stopped_is_ok_and_silent(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}autostart = false\n")
    events = daemon.events("watcher.")
    assert daemon.ok("stop", name="web", waiting=True)["info"] is None
    assert events.topics() == []


def test_the_configured_stop_signal_is_sent(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}stop_signal = usr1\n")
    daemon.wait_pids("web", 1)
    (reap,) = _events_of(daemon, "stop").wait_for_topic("watcher.web.reap")
    assert reap.body["exit_code"] == -signal.SIGUSR1


def _events_of(daemon: Daemon, command: str) -> Recorder:
    events = daemon.events("watcher.web.")
    daemon.ok(command, name="web", waiting=True)
    return events


def test_a_reload_overlaps_all_old_with_all_new(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}numprocesses = 2\n")
    old = daemon.wait_pids("web", 2)
    events = _events_of(daemon, "reload")
    events.wait_for_topic("watcher.web.reload")
    assert actions(events) == ["spawn"] * 2 + ["kill"] * 2 + ["reap"] * 2 + ["reload"]
    assert not set(old) & set(daemon.pids("web"))


def test_a_sequential_reload_replaces_one_after_the_other(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}numprocesses = 2\n")
    old = daemon.wait_pids("web", 2)
    events = daemon.events("watcher.web.")
    info = daemon.ok("reload", name="web", sequential=True, waiting=True)["info"]
    events.wait_for_topic("watcher.web.reload")
    assert actions(events) == ["kill", "reap", "spawn"] * 2 + ["reload"]
    assert (info["stopped"], info["started"]) == (old, daemon.pids("web"))


def test_a_reload_by_hup_keeps_the_processes(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('ignore_term', 'SIGHUP')}\nsend_hup = true\n")
    pids = daemon.wait_pids("web", 1)
    wait_until(lambda: "ready" in daemon.log_text())
    events = _events_of(daemon, "reload")
    events.wait_for_topic("watcher.web.reload")
    wait_until(lambda: "SIGHUP\n" in daemon.log_text())
    assert actions(events) == ["reload"]
    assert daemon.pids("web") == pids


def test_a_reload_that_is_not_graceful_is_a_restart(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}")
    daemon.wait_pids("web", 1)
    events = daemon.events("watcher.web.")
    daemon.ok("reload", name="web", graceful=False, waiting=True)
    events.wait_for_topic("watcher.web.start")
    assert actions(events) == ["kill", "reap", "stop", "spawn", "start"]


def test_a_reload_whose_new_processes_do_not_start_keeps_the_old(circusd: Start, tmp_path: pathlib.Path) -> None:
    program = tmp_path / "program"
    # No script: its interpreter would still have to open it when the test takes it away.
    program.write_bytes(pathlib.Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    daemon = circusd(f"[watcher:web]\ncmd = {program} 1000\nbackoff = 0.01\n")
    pids = daemon.wait_pids("web", 1)
    program.unlink()
    reply = daemon.call("reload", name="web", waiting=True)
    assert reply["status"] == "error"
    assert reply["reason"].startswith("reload of 'web' failed: a new process did not start: ")
    assert daemon.pids("web") == pids
    assert daemon.status("web") == "active"


def test_a_reload_of_all_leaves_the_stopped_stopped(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}[watcher:manual]\n{SLEEPER}autostart = false\n")
    old = daemon.wait_pids("web", 1)
    daemon.ok("reload", waiting=True)
    daemon.wait_pids("web", 1, without=old)
    assert daemon.status("manual") == "stopped"


def test_decr_ends_the_oldest(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}")
    (old,) = daemon.wait_pids("web", 1)
    daemon.ok("incr", name="web", waiting=True)
    events = daemon.events("watcher.web.")
    daemon.ok("decr", name="web", waiting=True)
    assert old not in daemon.pids("web")
    events.wait_for_topic("watcher.web.reap")
    assert actions(events) == ["kill", "reap"]


def test_decr_to_nothing_stays_active_and_incr_brings_it_back(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}")
    daemon.wait_pids("web", 1)
    assert daemon.ok("decr", name="web", nb=5, waiting=True)["numprocesses"] == 0
    assert (daemon.status("web"), daemon.pids("web")) == ("active", [])
    assert daemon.ok("incr", name="web", waiting=True)["numprocesses"] == 1
    assert len(daemon.pids("web")) == 1


def test_a_stopped_watcher_changes_its_number_only(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}autostart = false\n")
    assert daemon.ok("incr", name="web", nb=2, waiting=True)["numprocesses"] == 3
    assert daemon.pids("web") == []
    assert len(daemon.ok("start", name="web", waiting=True)["info"]["started"]) == 3


def test_a_watcher_started_with_no_processes_ends_stopped(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}numprocesses = 0\nautostart = false\n")
    assert daemon.ok("start", name="web", waiting=True)["info"] == {"started": [], "kept": []}
    assert daemon.status("web") == "stopped"


def test_numprocesses_counts_what_exists(circusd: Start) -> None:
    daemon = circusd(f"[watcher:Web]\n{SLEEPER}numprocesses = 2\n[watcher:other]\n{SLEEPER}")
    daemon.wait_pids("web", 2)
    daemon.wait_pids("other", 1)
    reply = daemon.ok("numprocesses", name="Web")
    assert (reply["numprocesses"], reply["watcher_name"]) == (2, "Web")
    assert daemon.ok("numprocesses")["numprocesses"] == 3


def test_kill_replaces_one_process(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}numprocesses = 2\n")
    first, second = daemon.wait_pids("web", 2)
    events = daemon.events("watcher.web.")
    daemon.ok("kill", name="web", pid=first, signum="int", waiting=True)
    pids = daemon.wait_pids("web", 2, without=[first])
    assert second in pids
    events.wait_for_topic("watcher.web.spawn")
    assert actions(events) == ["kill", "reap", "spawn"]
    assert events.messages[1].body["exit_code"] == -signal.SIGINT


def test_signal_reaches_the_processes_and_is_no_crash(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}")
    old = daemon.wait_pids("web", 1)
    daemon.ok("signal", name="web", signum="term")
    daemon.wait_pids("web", 1, without=old)
    exits = daemon.telemetry("web")["counters"]["exits"]
    assert [(each["initiator"], each["outcome"]) for each in exits if each["n"]] == [("supervisor", "success")]


def test_two_stops_at_once_are_both_answered(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{STUBBORN}graceful_timeout = 0.5\n")
    wait_until(lambda: "ready" in daemon.log_text())
    events = daemon.events("watcher.web.")
    with daemon.caller() as other:
        other.send_raw(request("stop"))
        daemon.ok("stop", name="web", waiting=True)
        assert b'"ok"' in (other.receive_raw() or b"")
    events.wait_for_topic("watcher.web.stop")
    assert actions(events).count("stop") == 1


@pytest.mark.parametrize("overtaken", ["start", "restart", "reload", "incr"])
def test_stop_overtakes(circusd: Start, overtaken: str) -> None:
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('slow_start', 0, 60)}\ngraceful_timeout = 0.5\n")
    wait_until(lambda: "ready" in daemon.log_text())
    # While it is being stopped, a restart waits as well as a start does.
    daemon.ok("restart", name="web")
    with daemon.caller() as other:
        other.send_raw(request(overtaken))
        other.send_raw(request("stop"))
        replies = [json.loads(other.receive_raw() or b"{}") for _ in range(2)]
    (refused,) = (reply for reply in replies if reply["id"] == overtaken)
    # A resize is one operation with two names.
    assert refused["reason"] in {f"cancelled: stop overtook {name} of 'web'" for name in (overtaken, "resize")}
    assert refused["errno"] == 5
    assert (daemon.status("web"), daemon.pids("web")) == ("stopped", [])


def request(command: str) -> bytes:
    return json.dumps({"command": command, "id": command, "properties": {"name": "web", "waiting": True}}).encode()


def test_stop_overtakes_a_restart_that_has_begun(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('slow_start', 0, 60)}\ngraceful_timeout = 0.5\n")
    wait_until(lambda: "ready" in daemon.log_text())
    with daemon.caller() as other:
        other.send_raw(request("restart"))
        daemon.wait_status("web", "stopping")
        daemon.ok("stop", name="web")
        refused = json.loads(other.receive_raw() or b"{}")
    assert (refused["errno"], refused["reason"]) == (5, "cancelled: stop overtook restart of 'web'")
    daemon.wait_status("web", "stopped")
    assert daemon.pids("web") == []


def test_stop_overtakes_a_reload_that_has_begun(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('slow_start', 0, 60)}\ngraceful_timeout = 0.5\n")
    wait_until(lambda: "ready" in daemon.log_text())
    events = daemon.events("watcher.web.kill")
    with daemon.caller() as other:
        other.send_raw(request("reload"))
        events.wait_for_topic("watcher.web.kill")
        daemon.ok("stop", name="web", waiting=True)
        refused = json.loads(other.receive_raw() or b"{}")
    assert (refused["errno"], refused["reason"]) == (5, "cancelled: stop overtook reload of 'web'")
    assert proc.children(daemon.pid) == set()


def test_a_start_after_a_stop_queues_behind_it(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{STUBBORN}graceful_timeout = 0.5\n")
    old = daemon.wait_pids("web", 1)
    wait_until(lambda: "ready" in daemon.log_text())
    daemon.ok("stop", name="web")
    started = daemon.ok("start", name="web", waiting=True)["info"]["started"]
    assert started == daemon.pids("web")
    assert not set(started) & set(old)


def test_a_long_stop_of_one_does_not_hold_up_another(circusd: Start) -> None:
    daemon = circusd(f"[watcher:slow]\n{STUBBORN}graceful_timeout = 60\n[watcher:other]\n{SLEEPER}autostart = false\n")
    wait_until(lambda: "ready" in daemon.log_text())
    daemon.ok("stop", name="slow")
    assert len(daemon.ok("start", name="other", waiting=True)["info"]["started"]) == 1
    (pid,) = daemon.pids("other")
    os.kill(pid, signal.SIGKILL)
    daemon.wait_pids("other", 1, without=[pid])
    assert daemon.status("slow") == "stopping"
    os.kill(daemon.pids("slow")[0], signal.SIGKILL)


def test_quit_overtakes_what_waits_and_ends(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('slow_start', 0, 60)}\ngraceful_timeout = 0.5\n")
    wait_until(lambda: "ready" in daemon.log_text())
    pids = daemon.pids("web")
    with daemon.caller() as other:
        other.send_raw(request("restart"))
        daemon.wait_status("web", "stopping")
        daemon.ok("quit", waiting=True)
        reply = other.receive_raw() or b""
    assert b"cancelled: " in reply
    assert b"overtook restart of 'web'" in reply
    assert daemon.wait() == 0
    assert not any(map(proc.alive, pids))


def test_a_command_during_quit_is_refused_in_words(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{STUBBORN}graceful_timeout = 60\n[watcher:other]\n{SLEEPER}autostart = false\n")
    wait_until(lambda: "ready" in daemon.log_text())
    daemon.ok("quit")
    reply = daemon.call("start", name="other", waiting=True)
    assert (reply["errno"], reply["reason"]) == (5, "cancelled: quit overtook start of 'other'")
    for command in ("start", "restart", "reload", "incr", "reloadconfig"):
        reply = daemon.call(command, name="other")
        assert (reply["errno"], reply["reason"]) == (5, f"cancelled: quit overtook {command}")
    reply = daemon.call("set", name="other", options={"priority": 3})
    assert (reply["errno"], reply["reason"]) == (5, "cancelled: quit overtook set")
    os.kill(daemon.pids("web")[0], signal.SIGKILL)
    assert daemon.wait() == 0


def test_restart_without_a_name_reads_the_file_again(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}")
    old = daemon.wait_pids("web", 1)
    pid = daemon.pid
    daemon.ini.write_text(daemon.ini.read_text() + f"[watcher:new]\n{SLEEPER}")
    daemon.ok("restart", waiting=True)
    assert daemon.ok("list")["watchers"] == ["new", "web"]
    daemon.wait_pids("web", 1, without=old)
    daemon.wait_pids("new", 1)
    assert daemon.pid == pid


def test_restart_without_a_name_keeps_going_when_the_file_is_broken(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}")
    pids = daemon.wait_pids("web", 1)
    daemon.ini.write_text(daemon.ini.read_text() + "[watcher:new]\nnumprocesses = many\n")
    reply = daemon.call("restart", waiting=True)
    assert reply["status"] == "error"
    assert "many" in reply["reason"]
    assert daemon.pids("web") == pids


def test_restart_without_a_name_goes_back_when_a_socket_cannot_be_had(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}[socket:own]\npath = own.sock\n")
    old = daemon.wait_pids("web", 1)
    daemon.ini.write_text(daemon.ini.read_text() + "[socket:other]\npath = no/such/directory.sock\n")
    reply = daemon.call("restart", waiting=True)
    assert reply["status"] == "error"
    assert "socket 'other'" in reply["reason"]
    daemon.wait_pids("web", 1, without=old)
    assert [sock["name"] for sock in daemon.ok("listsockets")["sockets"]] == ["own"]
    refused = daemon.ok("events", record="config.refused")["records"]
    assert "socket 'other'" in refused[0]["data"]["errors"][0]


def test_nothing_is_started_behind_the_back_of_a_restart_without_a_name(circusd: Start, tmp_path: pathlib.Path) -> None:
    # Only the first of them ignores SIGTERM.
    stubborn_once = f"if mkdir {tmp_path}/once; then trap '' TERM; echo ready; fi; exec sleep 1000"
    daemon = circusd(
        f"[watcher:slow]\ncmd = {stubborn_once}\nshell = true\ngraceful_timeout = 60\n[watcher:web]\n{SLEEPER}"
    )
    wait_until(lambda: "ready" in daemon.log_text())
    slow = daemon.pids("slow")[0]
    daemon.ok("restart")
    daemon.wait_status("web", "stopped")
    refused = daemon.call("start", name="web", waiting=True)
    assert refused["reason"] == "cancelled: restart of everything overtook start of 'web'"
    os.kill(slow, signal.SIGKILL)
    known = daemon.wait_pids("web", 1) + daemon.wait_pids("slow", 1, without=[slow])
    assert proc.children(daemon.pid) == set(known)


def test_restarts_without_a_name_at_once_leave_one_set_of_processes(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}numprocesses = 3\n")
    daemon.wait_pids("web", 3)
    with daemon.caller() as other:
        for number in range(4):
            other.send_raw(json.dumps({"command": "restart", "id": number, "properties": {"waiting": True}}).encode())
        replies = [json.loads(other.receive_raw() or b"{}") for _ in range(4)]
    assert {reply["id"]: reply["status"] for reply in replies}[3] == "ok"
    assert proc.descendants(daemon.pid) == set(daemon.wait_pids("web", 3))
