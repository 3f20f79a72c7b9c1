"""A thousand real processes: started, sampled every second, all killed at once, back again, stopped."""

from __future__ import annotations

import os
import signal

import pytest

from tests.conftest import CircusD
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

COUNT = 1_000
SLOW = 60.0

pytestmark = pytest.mark.large

INI = f"""
[watcher:crowd]
cmd = sleep 100000
numprocesses = {COUNT}
"""


def sampled_pids(body: dict[str, object]) -> set[int]:
    processes = body["processes"]
    assert isinstance(processes, list)
    return {process["pid"] for process in processes}


def living_children(daemon: Daemon) -> set[int]:
    return {pid for pid in proc.children(daemon.pid) if proc.alive(pid)}


def test_a_thousand_processes_live_through_everything(circusd: CircusD) -> None:
    """One test on purpose: what matters is that the same daemon goes through all of it."""
    daemon = circusd(INI)
    first = set(daemon.wait_pids("crowd", COUNT, SLOW))
    assert first == living_children(daemon)

    with daemon.stats("sample.crowd") as samples:
        heard = samples.wait_for(lambda message: sampled_pids(message.body) == first, SLOW, count=4)
        numbers = [message.body["seq"] for message in heard]
        assert numbers == list(range(numbers[0], numbers[0] + 4))
        assert {message.body["interval_seconds"] for message in heard} == {1.0}

        for pid in first:
            os.kill(pid, signal.SIGKILL)
        second = set(daemon.wait_pids("crowd", COUNT, SLOW, without=sorted(first)))
        samples.wait_for(lambda message: sampled_pids(message.body) == second, SLOW)

    assert daemon.telemetry("crowd")["counters"]["restarts"]["crash"] == COUNT
    assert daemon.telemetry("crowd")["counters"]["signal_exits"]["SIGKILL"] == COUNT

    assert daemon.ok("stop", name="crowd", waiting=True, timeout=SLOW)["info"] is None
    wait_until(lambda: not living_children(daemon), SLOW)
    assert not any(proc.alive(pid) for pid in second)

    daemon.signal(signal.SIGTERM)
    assert daemon.wait(SLOW) == 0
