"""The core of supervision from the outside, with the best means of this system and with the fallbacks.

The fallbacks (SIGCHLD in place of pidfds, psutil in place of /proc) are what other systems get; an environment variable
forces each.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests import workers
from tests.helpers import proc
from tests.helpers.channels import Recorder
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

MEANS = {"native": {}, "fallback": {"CIRCUS_REAPER": "sigchld", "CIRCUS_STATS_READER": "psutil"}}
# The safety sweep must not be what makes a test pass.
NO_SWEEP = {"check_delay": 1000}
SLEEPER = "[watcher:web]\ncmd = sleep 1000\n"

Start = Callable[..., Daemon]


@pytest.fixture(params=MEANS.values(), ids=MEANS.keys())
def start(request: pytest.FixtureRequest, circusd: Start) -> Start:
    """The real circusd with the means of the parameter and no safety sweep."""

    def make(ini: str, **keywords: Any) -> Daemon:
        return circusd(ini, env=request.param, options=NO_SWEEP, **keywords)

    return make


def test_the_means_are_those_of_the_parameter(start: Start, request: pytest.FixtureRequest) -> None:
    daemon = start(SLEEPER)
    daemon.wait_pids("web", 1)
    native = "native" in request.node.name
    wait_until(lambda: proc.pidfds(daemon.pid) == native)


def actions(events: Recorder) -> list[tuple[str, int | None]]:
    """What was published, as (action, pid), in order."""
    return [(each.topic.rpartition(".")[2], each.body.get("process_pid")) for each in list(events.messages)]


def test_a_killed_worker_is_replaced_at_once(start: Start) -> None:
    daemon = start(SLEEPER)
    (old,) = daemon.wait_pids("web", 1)
    events = daemon.events("watcher.web.")
    os.kill(old, signal.SIGKILL)
    (new,) = daemon.wait_pids("web", 1, without=[old])
    assert proc.alive(new)
    events.wait_for_topic("watcher.web.spawn")
    assert actions(events) == [("reap", old), ("spawn", new)]
    assert events.messages[0].body["exit_code"] == -signal.SIGKILL


def test_an_exit_status_is_told_as_it_was(start: Start) -> None:
    daemon = start(f"[watcher:web]\ncmd = {workers.python('exit_n', 7)}\nautostart = false\nrespawn = false\n")
    events = daemon.events("watcher.web.")
    daemon.ok("start", name="web")
    (reap,) = events.wait_for_topic("watcher.web.reap")
    assert reap.body["exit_code"] == 7


def test_all_killed_at_once_are_all_replaced(start: Start) -> None:
    daemon = start(SLEEPER + "numprocesses = 30\n")
    old = daemon.wait_pids("web", 30)
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    new = daemon.wait_pids("web", 30, without=old)
    assert all(map(proc.alive, new))
    assert daemon.telemetry("web")["counters"]["restarts"]["crash"] == 30


def test_a_life_is_told_in_order(start: Start) -> None:
    daemon = start(SLEEPER + "autostart = false\n")
    events = daemon.events("watcher.web.")
    (first,) = daemon.ok("start", name="web", waiting=True)["info"]["started"]
    (second,) = daemon.ok("restart", name="web", waiting=True)["info"]["started"]
    daemon.ok("stop", name="web", waiting=True)
    events.wait_for_topic("watcher.web.stop", count=2)
    assert actions(events) == [
        ("spawn", first),
        ("start", None),
        ("kill", first),
        ("reap", first),
        ("stop", None),
        ("spawn", second),
        ("start", None),
        ("kill", second),
        ("reap", second),
        ("stop", None),
    ]
    assert not proc.alive(first)
    assert not proc.alive(second)


def test_who_ignores_the_stop_signal_is_killed_after_the_grace(start: Start) -> None:
    daemon = start(f"[watcher:web]\ncmd = {workers.python('ignore_term')}\ngraceful_timeout = 0.3\n")
    (pid,) = daemon.wait_pids("web", 1)
    wait_until(lambda: "ready" in daemon.log_text())
    events = daemon.events("watcher.web.")
    daemon.ok("stop", name="web", waiting=True)
    events.wait_for_topic("watcher.web.stop")
    assert actions(events) == [("kill", pid), ("kill", pid), ("reap", pid), ("stop", None)]
    assert events.messages[2].body["exit_code"] == -signal.SIGKILL
    assert daemon.status("web") == "stopped"


def test_a_reload_starts_the_new_before_it_stops_the_old(start: Start) -> None:
    daemon = start(SLEEPER)
    (old,) = daemon.wait_pids("web", 1)
    events = daemon.events("watcher.web.")
    info = daemon.ok("reload", name="web", waiting=True)["info"]
    (new,) = daemon.pids("web")
    assert info == {"stopped": [old], "started": [new], "kept": []}
    events.wait_for_topic("watcher.web.reload")
    assert actions(events) == [("spawn", new), ("kill", old), ("reap", old), ("reload", None)]


def test_the_number_of_processes_follows_commands(start: Start) -> None:
    daemon = start(SLEEPER)
    daemon.wait_status("web", "active")
    assert daemon.ok("incr", name="web", nb=3, waiting=True)["numprocesses"] == 4
    assert len(daemon.pids("web")) == 4
    assert daemon.ok("decr", name="web", nb=2, waiting=True)["numprocesses"] == 2
    pids = daemon.pids("web")
    assert len(pids) == 2
    assert proc.children(daemon.pid) == set(pids)


def test_processes_are_measured(start: Start) -> None:
    daemon = start(SLEEPER)
    (pid,) = daemon.wait_pids("web", 1)
    info = daemon.ok("stats", name="web")["info"][str(pid)]
    assert (info["pid"], info["cmdline"], info["wid"]) == (pid, "sleep", 1)
    (sample,) = daemon.stats("sample.web").wait_for(lambda message: message.body["processes"])
    assert sample.body["processes"][0]["pid"] == pid
    assert sample.body["processes"][0]["resident_bytes"] > 0


def test_sigterm_ends_the_daemon_and_everything_below_it(start: Start) -> None:
    daemon = start(SLEEPER + "numprocesses = 5\n")
    pids = daemon.wait_pids("web", 5)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert not any(map(proc.alive, pids))
