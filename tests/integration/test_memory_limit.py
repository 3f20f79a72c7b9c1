"""memory_limit with real processes that take more and more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests import workers
from tests.helpers.daemon import Daemon

Start = Callable[..., Daemon]

LEAK = workers.python("leak", 400 << 20, 80 << 20)


@pytest.mark.parametrize("measure", ["rss", "uss", "tree"])
def test_a_process_that_takes_too_much_is_replaced_and_the_record_says_why(circusd: Start, measure: str) -> None:
    daemon = circusd(
        f"[watcher:web]\ncmd = {LEAK}\nmemory_limit = 60M\nmemory_limit_of = {measure}\nmemory_limit_after = 0\n"
        "[watcher:other]\ncmd = sleep 1000\nmemory_limit = 1\nmemory_limit_after = 1000\n"
    )
    (other,) = daemon.wait_pids("other", 1)
    (pid,) = daemon.wait_pids("web", 1)
    daemon.wait_pids("web", 1, without=[pid])
    end = daemon.ok("why", name="web")["end"]["record"]
    assert (end["pid"], end["data"]["reason"], end["data"]["initiator"]) == (pid, "memory_limit", "supervisor")
    assert end["data"]["evidence"].startswith(f"{measure} was ")
    assert end["cause"] == {"kind": "timer", "name": "memory_limit"}
    assert daemon.telemetry("web")["counters"]["restarts"]["memory_limit"] >= 1
    assert daemon.pids("other") == [other]


def test_a_limit_counts_where_no_other_watcher_has_one(circusd: Start) -> None:
    daemon = circusd(
        f"[watcher:a]\ncmd = {LEAK}\nmemory_limit = 60M\nmemory_limit_after = 0\nautostart = no\n"
        "[watcher:b]\ncmd = sleep 1000\n"
    )
    daemon.ok("start", name="a")
    (pid,) = daemon.wait_pids("a", 1)
    daemon.wait_pids("a", 1, without=[pid])
    daemon.ok("rm", name="a", waiting=True)
    daemon.ok("add", name="c", cmd=LEAK, options={"memory_limit": 60 << 20, "memory_limit_after": 0}, start=True)
    (pid,) = daemon.wait_pids("c", 1)
    daemon.wait_pids("c", 1, without=[pid])


def test_a_limit_that_is_set_later_counts_from_then_on(circusd: Start) -> None:
    daemon = circusd("[watcher:web]\ncmd = sleep 1000\n")
    (pid,) = daemon.wait_pids("web", 1)
    daemon.ok("set", name="web", options={"memory_limit": 1, "memory_limit_after": 0}, waiting=True)
    daemon.wait_pids("web", 1, without=[pid])
