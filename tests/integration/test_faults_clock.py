"""The clock of the machine jumps a day, forwards and back: nothing that circusd decides or measures follows it.

libfaketime stands between circusd and the clock: the time of day is what a file says, the monotonic clock is the real one.
"""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
from collections.abc import Callable

import pytest

from tests import workers
from tests.helpers.daemon import Daemon
from tests.helpers.real import program
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]

DAY = 86_400
HOUR = 3_600
INI = f"""
[watcher:web]
cmd = sleep 1000
numprocesses = 2
max_age = {HOUR}

[watcher:crash]
cmd = sleep 1000
backoff = 0.05
backoff_max = 0.05
stable_after = {HOUR}

[watcher:stubborn]
cmd = {workers.python("ignore_term")}
graceful_timeout = 0.3
"""


pytestmark = pytest.mark.real


def preload() -> str:
    """The library, as the program `faketime` names it."""
    words = [program("faketime", "faketime"), "-m", "now", "env"]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return next(line.partition("=")[2] for line in told.splitlines() if line.startswith("LD_PRELOAD="))


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_jumps_a_day_changes_nothing_but_the_time_of_records(
    circusd: Start, tmp_path: pathlib.Path, days: int
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    daemon = circusd(
        INI,
        env={
            "LD_PRELOAD": preload(),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        },
    )
    web = daemon.wait_pids("web", 2)
    wait_until(lambda: "ready" in daemon.log_text())
    before = daemon.ok("telemetry")["time"]
    samples = daemon.stats("sample.web")
    samples.wait_for(lambda _: True)
    events = daemon.events("lifecycle.")

    (tmp_path / "new").write_text(f"{days * DAY:+d}")
    (tmp_path / "new").rename(clock)
    jumped = daemon.ok("telemetry")["time"] - before
    assert abs(jumped - days * DAY) < HOUR, "the clock of the daemon did not jump"

    # Samples go on, one an interval: neither a burst to catch up nor a day of silence.
    (latest,) = samples.wait_for(lambda message: abs(message.body["time"] - before - days * DAY) < HOUR)
    following = samples.wait_for(lambda message: message.body["seq"] > latest.body["seq"], count=2)
    assert following[1].at - following[0].at > 0.5
    # Nobody is older than an hour, and nobody has lived long enough to be called stable.
    ages = [info["age"] for info in daemon.ok("stats", name="web")["info"].values()]
    assert len(ages) == 2
    assert all(0 <= age < HOUR for age in ages)
    for failures in range(1, 6):
        (pid,) = daemon.wait_pids("crash", 1)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda so_many=failures: daemon.telemetry("crash")["counters"]["restarts"]["crash"] == so_many)
    events.wait_for(
        lambda message: message.body["record"] == "watcher.state" and message.body["data"]["consecutive_failures"] == 5
    )
    daemon.wait_pids("crash", 1)
    # A grace is as long as it is.
    daemon.ok("stop", name="stubborn", waiting=True)
    ends = events.wait_for(lambda message: message.body["record"] == "process.exited", count=6)
    assert all(0 <= end.body["data"]["lifetime_seconds"] < HOUR for end in ends)
    (stopped,) = (end.body["data"] for end in ends if end.body["watcher"] == "stubborn")
    assert 0.3 <= stopped["stop_seconds"] < HOUR
    assert all(abs(end.body["time"] - before - days * DAY) < HOUR for end in ends)
    assert daemon.pids("web") == web
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
