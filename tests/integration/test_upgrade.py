"""circusd replaced under its workers: nothing is lost, nothing is started, and everything goes on."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter

from tests import workers
from tests.conftest import CircusD
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.upgrades import ask, assert_nothing_lost, end_of, hammered, upgrade
from tests.helpers.waiting import wait_until
from tests.integration.test_supervision_starting import port_of

LOADED = f"""
[socket:web]
host = 127.0.0.1
port = 0
[watcher:web]
cmd = {workers.python("answer", "$(circus.sockets.web)")}
use_sockets = True
numprocesses = 3
[watcher:lines]
cmd = {workers.python("count")}
numprocesses = 4
stdout_stream.class = FileStream
stdout_stream.filename = lines.log
[watcher:sleeper]
cmd = sleep 600
numprocesses = 2
"""


def all_pids(daemon: Daemon) -> dict[str, list[int]]:
    return {name: daemon.pids(name) for name in daemon.ok("list")["watchers"]}


def test_five_upgrades_in_a_row_under_load(circusd: CircusD) -> None:
    daemon = circusd(LOADED)
    for name, count in (("web", 3), ("lines", 4), ("sleeper", 2)):
        daemon.wait_pids(name, count)
    pids, boot = all_pids(daemon), daemon.ok("telemetry")["boot"]
    log = daemon.directory / "lines.log"
    upgrade(daemon)
    daemon.ok("telemetry")  # pyzmq opens some descriptors for good with the first large reply
    wait_until(lambda: log.exists() and log.stat().st_size > 10_000)
    fds, lines = kinds_of_descriptors(daemon), 0
    with hammered(port_of(daemon, "web")) as hammer:
        for turn in range(2, 7):
            before = hammer.answered
            record = upgrade(daemon)
            data = record["data"]
            assert (record["boot"], data["upgrades"], data["pid"]) == (boot, turn, daemon.pid)
            assert (data["watchers"], data["processes"], data["sockets"]) == (3, 9, 1)
            assert all_pids(daemon) == pids
            counted = daemon.telemetry("lines")["counters"]["stream_lines"]["stdout"]
            assert counted > lines
            lines = counted
            wait_until(lambda before=before: hammer.answered > before + 20)
    told = daemon.ok("telemetry")
    assert told["arbiter"]["upgrades"] == 6
    assert daemon.telemetry("sleeper")["counters"]["starts"]["boot"] == 2
    records = daemon.ok("events")["records"]
    assert [record["seq"] for record in records] == list(range(1, records[-1]["seq"] + 1))
    wait_until(lambda: kinds_of_descriptors(daemon) == fds, what=lambda: (kinds_of_descriptors(daemon), fds))
    daemon.ok("stop", name="lines", waiting=True)
    counts = assert_nothing_lost(log)
    assert sorted(counts) == sorted(pids["lines"])
    told_lines = daemon.telemetry("lines")["counters"]["stream_lines"]["stdout"]
    assert told_lines in range(sum(map(len, counts.values())), sum(map(len, counts.values())) + 5)


def kinds_of_descriptors(daemon: Daemon) -> Counter[str]:
    """What the descriptors of a daemon lead to, without the numbers that tell two of them apart.

    The first of /dev/null is its standard input; another is kept from when a program needs it first, which may be never.
    """
    found = Counter(re.sub(r":?\[\d+\]$", "", target) for target in proc.open_fds(daemon.pid).values())
    assert found["/dev/null"] <= 2
    del found["/dev/null"]
    return found


def test_a_worker_is_replaced_after_it_and_its_end_is_known(circusd: CircusD) -> None:
    daemon = circusd(f"[watcher:w]\ncmd = {workers.python('burn')}\nnumprocesses = 2\n")
    first, second = daemon.wait_pids("w", 2)
    upgrade(daemon)
    os.kill(first, signal.SIGSEGV)
    daemon.wait_pids("w", 2, without=[first])
    (record,) = [each for each in daemon.ok("events", watcher="w")["records"] if each["record"] == "process.exited"]
    assert (record["pid"], record["data"]["signal"], record["data"]["reason"]) == (first, "SIGSEGV", "crash")
    assert record["data"]["cpu_user_seconds"] > 0
    assert record["cause"]["kind"] == "record"
    assert second in daemon.pids("w")
    assert daemon.telemetry("w")["counters"]["restarts"]["crash"] == 1


def test_one_that_dies_while_the_programs_change_is_reaped_and_replaced(circusd: CircusD) -> None:
    daemon = circusd("[watcher:w]\ncmd = sh -c 'exec sleep 600'\nnumprocesses = 3\n")
    pids = daemon.wait_pids("w", 3)
    reply = ask(daemon)
    # The answer comes just before the exchange.
    for pid in pids[:2]:
        os.kill(pid, signal.SIGKILL)
    end_of(daemon, reply["seq"])
    daemon.wait_pids("w", 3, without=pids[:2])
    ended = [each for each in daemon.ok("events", watcher="w")["records"] if each["record"] == "process.exited"]
    assert sorted(each["pid"] for each in ended) == sorted(pids[:2])
    assert {each["data"]["signal"] for each in ended} == {"SIGKILL"}
    assert not [pid for pid in pids[:2] if proc.stat(pid)]


def test_sigusr2_does_the_same(circusd: CircusD) -> None:
    daemon = circusd("[watcher:w]\ncmd = sleep 600\n")
    pids, seq = daemon.wait_pids("w", 1), daemon.ok("telemetry")["seq"]
    daemon.signal(signal.SIGUSR2)
    record = end_of(daemon, seq)
    assert (record["record"], record["cause"]) == ("arbiter.upgraded", {"kind": "signal", "name": "SIGUSR2"})
    assert daemon.pids("w") == pids


def test_what_was_wrong_with_the_configuration_at_the_start_is_not_told_again(circusd: CircusD) -> None:
    daemon = circusd("[watcher:w]\ncmd = sleep 600\nstdout_stream.class = FileStream\n"
                     "stdout_stream.filename = logs/w.log\n")  # fmt: skip
    warned = next(line for line in daemon.log_text().splitlines() if "logs" in line and "WARNING" in line)
    (daemon.directory / "logs").mkdir()
    upgrade(daemon)
    assert daemon.log_text().count(warned.partition("[WARNING] ")[2]) == 1, daemon.log_text()


def test_circusctl_waits_for_the_new_program_and_tells(circusd: CircusD) -> None:
    daemon = circusd("[watcher:w]\ncmd = sleep 600\nnumprocesses = 2\n")
    daemon.wait_pids("w", 2)
    done = daemon.circusctl("upgrade", timeout=120)
    assert done.returncode == 0, done.stderr
    assert "has taken over 2 processes of 1 watchers; it was away for" in done.stdout
    assert daemon.ok("telemetry")["arbiter"]["upgrades"] == 1
    assert daemon.log_text().count("Starting master") == 2


def test_a_sigterm_right_then_is_not_lost(circusd: CircusD) -> None:
    daemon = circusd("[watcher:w]\ncmd = sleep 600\n")
    (pid,) = daemon.wait_pids("w", 1)
    ask(daemon)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert not proc.alive(pid)


def test_every_state_goes_on(circusd: CircusD) -> None:
    daemon = circusd(
        f"""
[socket:idle]
host = 127.0.0.1
port = 0
[watcher:waits]
cmd = {workers.python("answer", "$(circus.sockets.idle)")}
use_sockets = True
on_demand = True
[watcher:fails]
cmd = sh -c 'exit 3'
backoff = 600
backoff_max = 600
backoff_jitter = 0
[watcher:gave-up]
cmd = /does/not/exist
max_retry = 1
[watcher:down]
cmd = sleep 600
autostart = False
[watcher:single]
cmd = sleep 600
singleton = True
[watcher:grown]
cmd = sleep 600
env = A=1
"""
    )
    daemon.wait_state("waits", "waiting")
    fails = daemon.wait_state("fails", "backoff")
    daemon.wait_state("gave-up", "fatal")
    daemon.wait_pids("single", 1)
    daemon.ok("incr", name="grown", nb=2, waiting=True)
    daemon.ok("set", name="grown", options={"max_retry": 9}, waiting=True)
    daemon.ok("add", name="added", cmd="sleep 600", start=True, waiting=True)
    states = {each["name"]: each["state"] for each in daemon.ok("telemetry")["watchers"]}
    pids = all_pids(daemon)
    upgrade(daemon)
    told = daemon.ok("telemetry")["watchers"]
    assert {each["name"]: each["state"] for each in told} == states
    assert all_pids(daemon) == pids
    assert daemon.telemetry("fails")["backoff_seconds"] == fails["backoff_seconds"] == 600
    assert daemon.telemetry("fails")["consecutive_failures"] == 4
    assert daemon.ok("get", name="grown", keys=["max_retry", "numprocesses"])["options"] == {
        "max_retry": 9,
        "numprocesses": 3,
    }
    daemon.ok("start", name="fails")  # a start ends the delay, as before
    wait_until(lambda: daemon.telemetry("fails")["consecutive_failures"] == 5)
    daemon.ok("start", name="down", waiting=True)
    with hammered(port_of(daemon, "idle")) as hammer:
        wait_until(lambda: hammer.answered > 3)
    assert daemon.telemetry("waits")["state"] == "active"
    daemon.ok("incr", name="grown", waiting=True)
    assert len(daemon.pids("grown")) == 4
    daemon.ok("reloadconfig", waiting=True)
    assert daemon.pids("added") == pids["added"]


def test_a_grace_that_runs_goes_on(circusd: CircusD) -> None:
    daemon = circusd(
        f"[watcher:w]\ncmd = {workers.python('ignore_term')}\ngraceful_timeout = 600\ncapture = True\n"
        "max_age = 2\nmax_age_variance = 0\n"
    )
    (pid,) = daemon.wait_pids("w", 1)
    wait_until(lambda: len(daemon.ok("tail", name="w")["chunks"]) == 2)  # it has told of the signal
    upgrade(daemon)
    assert daemon.telemetry("w")["processes"]["stopping"] == 1
    os.kill(pid, signal.SIGKILL)
    (record,) = wait_until(
        lambda: [each for each in daemon.ok("events", watcher="w")["records"] if each["record"] == "process.exited"]
    )
    # Its end was asked for before, which the new program knows, and since when.
    assert (record["pid"], record["data"]["reason"]) == (pid, "max_age")
    assert record["data"]["stop_seconds"] < record["data"]["lifetime_seconds"]
    daemon.wait_pids("w", 1, without=[pid])
    lines = [line for chunk in daemon.ok("tail", name="w")["chunks"] for line in chunk["lines"]]
    assert lines[:2] == ["ready", "SIGTERM"]
    daemon.ok("set", name="w", options={"graceful_timeout": 0}, waiting=True)


def test_a_tree_is_still_reached(circusd: CircusD) -> None:
    daemon = circusd(f"[watcher:w]\ncmd = {workers.python('fork_tree', 'pids', '--daemon')}\nkill_scope = tree\n")
    told = daemon.directory / "pids"
    wait_until(told.exists)
    pids = set(json.loads(told.read_text()).values())
    assert len(pids) == 5
    upgrade(daemon)
    daemon.ok("stop", name="w", waiting=True)
    assert not [pid for pid in pids if proc.alive(pid)]
