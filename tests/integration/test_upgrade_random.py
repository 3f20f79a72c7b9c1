"""Upgrades while workers die all the time, and code of others that breaks between the trial and the exec."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import signal
import threading
from collections import Counter

from tests import workers
from tests.conftest import CircusD
from tests.helpers import proc
from tests.helpers.upgrades import upgrade
from tests.helpers.waiting import wait_until


def test_deaths_all_the_time_are_each_told_once_and_each_replaced_once(circusd: CircusD) -> None:
    daemon = circusd("[watcher:w]\ncmd = sleep 600\nnumprocesses = 8\nbackoff = 0\n")
    daemon.wait_pids("w", 8)
    over, killed = threading.Event(), []
    seed = random.randrange(10**6)

    def kill() -> None:
        drawn = random.Random(seed)
        while not over.wait(drawn.uniform(0.0, 0.08)):
            below = sorted(proc.children(daemon.pid))
            # The child that tries the new program is none of the workers.
            sleeping = [pid for pid in below if (found := proc.stat(pid)) and found.comm == "sleep"]
            if sleeping:
                pid = drawn.choice(sleeping)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        for turn in range(1, 6):
            assert upgrade(daemon)["data"]["upgrades"] == turn
    finally:
        over.set()
        killer.join()
    told = f"seed {seed}"

    def ends() -> set[int]:
        return {record["pid"] for record in daemon.ok("events", record="process.exited")["records"]}

    wait_until(lambda: ends() >= set(killed) and daemon.telemetry("w")["ready"] == 8, what=told)
    records = daemon.ok("events")["records"]
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1)), told
    spawned = [record["pid"] for record in records if record["record"] == "process.spawned"]
    ended = [record["pid"] for record in records if record["record"] == "process.exited"]
    assert not [record for record in records if record["record"] == "process.lost"], told
    assert max(Counter(ended).values()) == 1, told
    assert sorted(set(killed)) == sorted(ended), told
    assert sorted(set(spawned) - set(ended)) == sorted(daemon.pids("w")), told
    assert len(spawned) == len(ended) + 8, told
    counters = daemon.telemetry("w")["counters"]
    assert sum(counters["starts"].values()) == len(spawned), told
    assert counters["signal_exits"]["SIGKILL"] == len(ended), told
    assert sorted(proc.children(daemon.pid)) == sorted(daemon.pids("w")), told


def test_code_of_others_that_breaks_after_the_trial_takes_no_worker_with_it(
    circusd: CircusD, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "fickle.py").write_text(
        "import os, sys\n"
        "if os.path.exists('armed') and '--trial' not in sys.argv: raise RuntimeError('not today')\n"
        "def yes(**_): return True\n"
        "class Stream:\n"
        "    def __call__(self, chunk): pass\n"
    )
    daemon = circusd(
        f"[watcher:hooked]\ncmd = {workers.python('count', 0.05)}\nhooks.before_stop = fickle.yes\ncapture = True\n"
        f"[watcher:streamed]\ncmd = {workers.python('count', 0.05)}\nstdout_stream.class = fickle.Stream\n",
        env={"PYTHONPATH": str(tmp_path)},
    )
    pids = {name: daemon.wait_pids(name, 1) for name in ("hooked", "streamed")}
    (daemon.directory / "armed").touch()
    upgrade(daemon)
    assert {name: daemon.pids(name) for name in pids} == pids
    assert "'hooked' cannot be taken over as it was" in daemon.log_text()
    for name in pids:
        before = daemon.telemetry(name)["counters"]["stream_lines"]["stdout"]
        wait_until(
            lambda name=name, before=before: daemon.telemetry(name)["counters"]["stream_lines"]["stdout"] > before
        )
        daemon.ok("restart", name=name, waiting=True)
