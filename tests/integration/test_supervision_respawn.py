"""What follows when processes end or cannot be started: respawn, cool down, give up, grow old."""

from __future__ import annotations

import itertools
import os
import pathlib
import signal
from collections.abc import Callable

from tests import workers
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]

SLEEPER = "cmd = sleep 1000\n"
GOOD = "[watcher:good]\n" + SLEEPER
MISSING = "cmd = /nonexistent/program\n"


def test_only_the_slot_of_the_dead_gets_another_process(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}numprocesses = 3\n")
    pids = daemon.wait_pids("web", 3)
    os.kill(pids[1], signal.SIGKILL)
    after = daemon.wait_pids("web", 3, without=[pids[1]])
    assert (after[0], after[2]) == (pids[0], pids[2])
    slots = daemon.telemetry("web")["slots"]
    assert [(slot["wid"], slot["pid"]) for slot in slots] == list(zip((1, 2, 3), after, strict=True))


def test_a_crash_loop_cools_down_and_goes_on(circusd: Start) -> None:
    crash = f"cmd = {workers.python('exit_n', 1)}\nbackoff = 0.05\nbackoff_max = 0.2\nbackoff_jitter = 0\n"
    daemon = circusd(f"[watcher:crash]\n{crash}autostart = false\n")
    states = daemon.events("lifecycle.crash.watcher.state")
    daemon.ok("start", name="crash")
    # The first three replacements come at once; from then on there is a wait before each, and it grows.
    waits = states.wait_for(lambda message: message.body["data"]["to"] == "backoff", count=4)
    told = [(wait.body["data"]["consecutive_failures"], wait.body["data"]["backoff_seconds"]) for wait in waits]
    assert told == [(4, 0.05), (5, 0.1), (6, 0.2), (7, 0.2)]
    assert daemon.status("crash") == "active"
    assert daemon.telemetry("crash")["want"] == "up"


def test_a_program_that_is_missing_is_given_up_after_max_retry(circusd: Start) -> None:
    daemon = circusd(f"[watcher:bad]\n{MISSING}max_retry = 4\nbackoff = 0.01\n")
    snapshot = daemon.wait_state("bad", "fatal")
    assert daemon.status("bad") == "stopped"
    assert snapshot["counters"]["spawn_failures"]["exec"] == 4
    assert daemon.log_text().count("error in 'bad': program not found") == 4
    assert "'/nonexistent/program'" in daemon.log_text()


def test_a_watcher_that_gives_up_does_not_hold_up_the_others(circusd: Start) -> None:
    daemon = circusd(f"[watcher:bad]\n{MISSING}priority = 10\nbackoff = 0.01\n{GOOD}[watcher:zzz]\n{SLEEPER}")
    for name in ("good", "zzz"):
        daemon.wait_status(name, "active")
    daemon.wait_state("bad", "fatal")


def test_a_watcher_that_gave_up_starts_again_when_asked(circusd: Start, tmp_path: pathlib.Path) -> None:
    program = tmp_path / "late"
    daemon = circusd(f"[watcher:late]\ncmd = {program}\nmax_retry = 1\n")
    daemon.wait_state("late", "fatal")
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    assert len(daemon.ok("start", name="late", waiting=True)["info"]["started"]) == 1
    assert daemon.status("late") == "active"


def test_start_answers_when_the_watcher_has_given_up(circusd: Start) -> None:
    daemon = circusd(f"[watcher:bad]\n{MISSING}max_retry = 2\nautostart = false\n")
    assert daemon.ok("start", name="bad", waiting=True)["info"] == {"started": [], "kept": []}


def test_without_a_limit_of_attempts_they_go_on_and_leave_the_daemon_time(circusd: Start) -> None:
    daemon = circusd(f"[watcher:bad]\n{MISSING}max_retry = -1\nbackoff = 0.05\nbackoff_max = 0.1\n{GOOD}")
    failures = daemon.events("lifecycle.bad.process.spawn_failed")
    seen = failures.wait_for(lambda message: message.body["data"]["attempt"] > 5, count=6)
    gaps = [b.body["time"] - a.body["time"] for a, b in itertools.pairwise(seen)]
    assert min(gaps) > 0.08  # backoff_max less the jitter
    assert daemon.status("bad") == "starting"
    assert daemon.telemetry("bad")["state"] == "backoff"
    assert daemon.status("good") == "active"
    daemon.ok("stop", name="bad", waiting=True)
    assert daemon.status("bad") == "stopped"


def test_a_program_that_comes_back_is_found_by_the_next_attempt(circusd: Start, tmp_path: pathlib.Path) -> None:
    program = tmp_path / "late"
    daemon = circusd(f"[watcher:late]\ncmd = {program}\nmax_retry = -1\nbackoff = 0.05\nbackoff_max = 0.1\n")
    wait_until(lambda: daemon.telemetry("late")["counters"]["spawn_failures"]["exec"] > 4)
    program.with_suffix(".new").write_text("#!/bin/sh\nexec sleep 1000\n")
    program.with_suffix(".new").chmod(0o755)
    program.with_suffix(".new").rename(program)
    daemon.wait_status("late", "active")


def test_a_working_directory_that_is_missing_is_named(circusd: Start) -> None:
    daemon = circusd(f"[watcher:bad]\n{SLEEPER}working_dir = /nonexistent/place\nmax_retry = 1\n")
    daemon.wait_state("bad", "fatal")
    assert "cannot use working_dir '/nonexistent/place'" in daemon.log_text()
    assert daemon.telemetry("bad")["counters"]["spawn_failures"]["cwd"] == 1


def test_a_program_that_may_not_be_executed_is_named(circusd: Start, tmp_path: pathlib.Path) -> None:
    program = tmp_path / "text"
    program.write_text("no program\n")
    daemon = circusd(f"[watcher:bad]\ncmd = {program}\nmax_retry = 1\n")
    daemon.wait_state("bad", "fatal")
    assert f"cannot run '{program}': Permission denied" in daemon.log_text()


def test_without_respawn_the_dead_are_not_replaced(circusd: Start) -> None:
    daemon = circusd(f"[watcher:once]\n{SLEEPER}numprocesses = 2\nrespawn = false\n")
    first, second = daemon.wait_pids("once", 2)
    os.kill(first, signal.SIGKILL)
    daemon.wait_pids("once", 1)
    assert daemon.pids("once") == [second]
    assert daemon.status("once") == "active"


def test_without_respawn_the_watcher_stops_with_its_last_process(circusd: Start) -> None:
    daemon = circusd(f"[watcher:once]\ncmd = {workers.python('exit_n', 0)}\nrespawn = false\nautostart = false\n")
    events = daemon.events("watcher.once.")
    (pid,) = daemon.ok("start", name="once", waiting=True)["info"]["started"]
    events.wait_for_topic("watcher.once.stop")
    assert [topic.rpartition(".")[2] for topic in events.topics()] == ["spawn", "start", "reap", "stop"]
    assert events.messages[2].body["process_pid"] == pid
    assert daemon.status("once") == "stopped"


def test_start_replaces_what_is_missing_without_respawn(circusd: Start) -> None:
    daemon = circusd(f"[watcher:once]\n{SLEEPER}numprocesses = 2\nrespawn = false\n")
    first, second = daemon.wait_pids("once", 2)
    os.kill(first, signal.SIGKILL)
    daemon.wait_pids("once", 1)
    info = daemon.ok("start", name="once", waiting=True)["info"]
    assert info["kept"] == [second]
    assert daemon.pids("once") == [*info["started"], second]


def test_an_old_process_is_replaced(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}max_age = 1\nmax_age_variance = 0\n")
    events = daemon.events("lifecycle.web.process.")
    (old,) = daemon.wait_pids("web", 1)
    (new,) = daemon.wait_pids("web", 1, without=[old])
    (ended,) = events.wait_for(lambda message: message.body["record"] == "process.exited")
    assert (ended.body["data"]["reason"], ended.body["data"]["outcome"]) == ("max_age", "success")
    assert ended.body["data"]["lifetime_seconds"] >= 1
    (spawned,) = events.wait_for(lambda message: message.body["pid"] == new)
    assert spawned.body["data"]["cause"] == "max_age"


def test_a_process_younger_than_max_age_stays(circusd: Start) -> None:
    young, old_soon = "max_age = 1000\n", "max_age = 1\nmax_age_variance = 0\n"
    daemon = circusd(f"[watcher:web]\n{SLEEPER}{young}[watcher:old]\n{SLEEPER}{old_soon}")
    (web,) = daemon.wait_pids("web", 1)
    (old,) = daemon.wait_pids("old", 1)
    daemon.wait_pids("old", 1, without=[old])
    assert daemon.pids("web") == [web]


def test_a_singleton_that_died_comes_back_alone(circusd: Start) -> None:
    daemon = circusd(f"[watcher:one]\n{SLEEPER}singleton = true\n")
    (old,) = daemon.wait_pids("one", 1)
    os.kill(old, signal.SIGKILL)
    (new,) = daemon.wait_pids("one", 1, without=[old])
    assert proc.children(daemon.pid) == {new}


def test_a_singleton_is_never_there_twice_while_it_is_reloaded(circusd: Start) -> None:
    daemon = circusd(f"[watcher:one]\n{SLEEPER}singleton = true\n")
    (old,) = daemon.wait_pids("one", 1)
    events = daemon.events("watcher.one.")
    daemon.ok("reload", name="one", waiting=True)
    events.wait_for_topic("watcher.one.reload")
    assert [topic.rpartition(".")[2] for topic in events.topics()] == ["kill", "reap", "spawn", "reload"]
    assert daemon.pids("one") != [old]


def test_a_singleton_keeps_its_number(circusd: Start) -> None:
    daemon = circusd(f"[watcher:one]\n{SLEEPER}singleton = true\n")
    daemon.wait_pids("one", 1)
    for command in ("incr", "decr"):
        reply = daemon.ok(command, name="one")
        assert (reply["numprocesses"], reply["singleton"]) == (1, True)
    assert len(daemon.pids("one")) == 1


def test_a_child_of_a_worker_is_not_taken_for_a_worker(circusd: Start, tmp_path: pathlib.Path) -> None:
    daemon = circusd(f"[watcher:tree]\ncmd = {workers.python('fork_tree', tmp_path / 'pids')}\n")
    wait_until((tmp_path / "pids").exists)
    assert len(daemon.pids("tree")) == 1
    (pid,) = daemon.pids("tree")
    below = proc.descendants(pid)
    assert len(below) == 3
    os.kill(pid, signal.SIGKILL)
    (successor,) = daemon.wait_pids("tree", 1, without=[pid])
    # Only when it has all of its children can they be ended with it.
    wait_until(lambda: len(proc.descendants(successor)) == 3)
    below |= proc.descendants(successor)
    daemon.ok("stop", name="tree", waiting=True)
    for orphan in below:
        if proc.alive(orphan):
            os.kill(orphan, signal.SIGKILL)
