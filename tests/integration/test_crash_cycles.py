"""Thousands of crashes and restarts: the daemon is as large afterwards as it was before, and has counted each of them."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable

import pytest

from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]

pytestmark = pytest.mark.large

CYCLES = 10_000
WORKERS = 20
DEADLINE = 240.0
GROWTH = 2 << 20  # bytes


def resident(daemon: Daemon) -> int:
    return int(pathlib.Path(f"/proc/{daemon.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_ten_thousand_crashes_leave_descriptors_and_memory_as_they_were(circusd: Start) -> None:
    daemon = circusd(
        f"[circus]\njournal_size = 500\n"
        f"[watcher:crash]\ncmd = false\nnumprocesses = {WORKERS}\nbackoff = 0\n"
        "stdout_stream.class = QueueStream\nstderr_stream.class = QueueStream\n"
        "[watcher:steady]\ncmd = sleep 1000\n"
    )
    steady = daemon.wait_pids("steady", 1)

    def crashes() -> int:
        return int(daemon.telemetry("crash")["counters"]["restarts"]["crash"])

    def after(cycles: int) -> tuple[int, set[str]]:
        """Memory and descriptors with nobody of the loop alive, after so many crashes."""
        wait_until(lambda: crashes() >= cycles, DEADLINE, lambda: f"{crashes()} of {cycles}", pause=0.2)
        daemon.ok("stop", name="crash", waiting=True)
        wait_until(lambda: proc.children(daemon.pid) == set(steady))
        found = resident(daemon), set(map(str, proc.open_fds(daemon.pid)))
        daemon.ok("start", name="crash")
        return found

    small, fds = after(CYCLES // 5)  # by then the journal is full, and all that is kept for each slot
    large, fds_later = after(CYCLES)
    assert len(fds_later) == len(fds)
    assert large - small < GROWTH
    daemon.ok("stop", name="crash", waiting=True)
    told = daemon.telemetry("crash")["counters"]
    starts, exits = sum(told["starts"].values()), sum(each["n"] for each in told["exits"])
    assert starts == exits >= CYCLES
    assert daemon.pids("steady") == steady
    assert daemon.ok("telemetry")["arbiter"]["illegal_transitions"] == 0
