"""What keeps dying or cannot be started: what it costs, whom it delays, and what counts as a failure. Seen from outside."""

from __future__ import annotations

import itertools
import os
import pathlib
import signal
import time
from collections.abc import Callable
from typing import Any

from tests import workers
from tests.helpers import proc
from tests.helpers.channels import Recorder
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]

GOOD = "[watcher:good]\ncmd = sleep 1000\n"
MISSING = "cmd = /nonexistent/program\nmax_retry = -1\n"


def data(records: list[dict[str, Any]], name: str, key: str) -> list[Any]:
    return [each["data"][key] for each in records if each["record"] == name]


def failures(daemon: Daemon) -> int:
    (slot,) = daemon.telemetry("web")["slots"]
    count: int = slot["consecutive_failures"]
    return count


def replaced(daemon: Daemon, events: Recorder, before: int) -> int:
    """The pid of the process that came after another one."""
    (found,) = events.wait_for(lambda m: m.body["record"] == "process.ready" and m.body["generation"] > before)
    pid: int = found.body["pid"]
    return pid


def test_failures_in_a_row_are_over_once_a_process_runs_steadily(circusd: Start, tmp_path: pathlib.Path) -> None:
    steady = tmp_path / "steady"
    daemon = circusd(f"[watcher:web]\ncmd = sh -c 'test -e {steady} && exec sleep 1000; exit 3'\nstable_after = 1\n")
    wait_until(lambda: daemon.telemetry("web")["consecutive_failures"] >= 3)
    steady.touch()
    wait_until(lambda: daemon.telemetry("web")["consecutive_failures"] == 0)
    assert failures(daemon) == 0


def test_a_missing_program_costs_next_to_nothing_and_delays_nobody(circusd: Start) -> None:
    """Ten slots in their longest delay: a share of a core that can be measured only over some time."""
    # backoff_max from the first delay on, which comes after the first failure and three at once.
    daemon = circusd(f"[watcher:bad]\n{MISSING}numprocesses = 10\npriority = 10\nbackoff = 5\n{GOOD}")
    daemon.wait_pids("good", 1)
    wait_until(lambda: daemon.telemetry("bad")["counters"]["spawn_failures"]["exec"] >= 40, 60.0)
    assert daemon.telemetry("bad")["state"] == "backoff"
    began = time.monotonic()
    before = proc.stat(daemon.pid)
    attempts = daemon.telemetry("bad")["counters"]["spawn_failures"]["exec"]
    time.sleep(5)  # what is measured is a rate
    after, elapsed = proc.stat(daemon.pid), time.monotonic() - began
    assert before is not None
    assert after is not None
    # 1 % of a core for each watcher of one process would be 10 %; it is less than 1 % for all of them, and some for us.
    assert (after.cpu_seconds - before.cpu_seconds) / elapsed < 0.03
    tried = daemon.telemetry("bad")["counters"]["spawn_failures"]["exec"] - attempts
    assert tried <= 10 * (elapsed / 4.5 + 1)


def test_a_crash_loop_without_any_delay_delays_nobody(circusd: Start) -> None:
    daemon = circusd(f"[watcher:crash]\ncmd = false\nnumprocesses = 20\nbackoff = 0\npriority = 10\n{GOOD}")
    (pid,) = daemon.wait_pids("good", 1)
    for command in ("start", "incr", "decr"):
        daemon.ok(command, name="crash", waiting=True)
    os.kill(pid, signal.SIGKILL)
    daemon.wait_pids("good", 1, without=[pid])
    daemon.ok("stop", name="crash", waiting=True)


def test_a_missing_program_without_any_delay_delays_nobody_and_fills_no_log(circusd: Start) -> None:
    daemon = circusd(f"[watcher:bad]\n{MISSING}backoff = 0\npriority = 10\n{GOOD}")
    daemon.wait_pids("good", 1)
    failed = daemon.events("lifecycle.bad.process.spawn_failed").wait_for(lambda _: True, count=5)
    gaps = [after.body["time"] - before.body["time"] for before, after in itertools.pairwise(failed)]
    assert min(gaps) > 0.09
    daemon.ok("stop", name="bad", waiting=True)


def test_a_process_that_starts_and_dies_is_never_given_up(circusd: Start) -> None:
    daemon = circusd("[watcher:web]\ncmd = false\nmax_retry = 1\nbackoff = 0.01\nbackoff_max = 0.02\n")
    wait_until(lambda: daemon.telemetry("web")["counters"]["restarts"]["crash"] >= 30)
    assert daemon.telemetry("web")["want"] == "up"
    assert daemon.status("web") == "active"


def test_three_restarts_are_immediate_then_half_a_second_doubles_to_five(circusd: Start) -> None:
    """The defaults, as the records tell them and as the times of the records show them."""
    daemon = circusd("[watcher:web]\ncmd = false\nautostart = false\n")
    events = daemon.events("lifecycle.web.")
    daemon.ok("start", name="web")
    waits = events.wait_for(lambda m: m.body["data"].get("to") == "backoff", 60.0, count=6)
    told = [wait.body["data"]["backoff_seconds"] for wait in waits]
    for seconds, wanted in zip(told, (0.5, 1, 2, 4, 5, 5), strict=True):
        assert wanted * 0.9 <= seconds <= min(wanted * 1.1, 5)
    assert [wait.body["data"]["consecutive_failures"] for wait in waits] == [4, 5, 6, 7, 8, 9]
    spawned = [m.body for m in events.messages if m.body["record"] == "process.spawned"]
    # The first and three at once came before the first delay; each later one after the delay that was told before it.
    assert [each["generation"] for each in spawned if each["seq"] < waits[0].body["seq"]] == [1, 2, 3, 4]
    for wait, following in itertools.pairwise(waits):
        (between,) = [each for each in spawned if wait.body["seq"] < each["seq"] < following.body["seq"]]
        assert between["time"] - wait.body["time"] >= wait.body["data"]["backoff_seconds"] - 0.01


def test_a_life_that_is_long_enough_clears_the_count(circusd: Start) -> None:
    daemon = circusd("[watcher:web]\ncmd = sleep 1000\nstable_after = 1\nbackoff = 0.01\nbackoff_max = 0.01\n")
    (pid,) = daemon.wait_pids("web", 1)
    events = daemon.events("lifecycle.web.")
    for generation in range(1, 6):
        os.kill(pid, signal.SIGKILL)
        pid = replaced(daemon, events, generation)
    assert failures(daemon) > 3
    ready = next(m for m in events.messages if m.body["record"] == "process.ready" and m.body["pid"] == pid)
    wait_until(lambda: time.monotonic() - ready.at > 1.5)
    os.kill(pid, signal.SIGKILL)
    replaced(daemon, events, 6)
    # A kill from outside after a stable life is no failure that anything waits for: this one came at once.
    assert failures(daemon) == 1
    ended = [m.body["data"] for m in events.messages if m.body["record"] == "process.exited"][-1]
    assert (ended["initiator"], ended["reason"]) == ("external", "killed")
    assert ended["lifetime_seconds"] >= 1


def test_what_the_operator_stops_is_never_a_failure(circusd: Start) -> None:
    stubborn = f"[watcher:web]\ncmd = {workers.python('ignore_term')}\ngraceful_timeout = 0.1\n"
    daemon = circusd(stubborn)
    for command in ("stop", "start", "restart", "reload", "kill", "decr", "incr", "restart", "reload", "stop", "start"):
        (daemon.ok if command != "kill" else daemon.call)(command, name="web", waiting=True)
    daemon.wait_pids("web", 1)
    assert failures(daemon) == 0
    told = daemon.telemetry("web")
    assert told["counters"]["restarts"]["crash"] == 0
    assert {(each["initiator"]) for each in told["counters"]["exits"] if each["n"]} == {"supervisor"}
