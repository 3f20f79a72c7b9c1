"""on_failure = exit: a failed watcher ends the daemon, and its status is the daemon's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.helpers import proc
from tests.helpers.daemon import Daemon

Start = Callable[..., Daemon]

OTHER = "[watcher:other]\ncmd = sleep 1000\n"


@pytest.mark.parametrize(
    ("watcher", "status"),
    [
        ("cmd = sh -c 'exit 3'\nrespawn = false\n", 3),
        ("cmd = sh -c 'kill -SEGV $$'\nrespawn = false\n", 139),
        ("cmd = /no/such/program\nmax_retry = 1\n", 127),
        ("cmd = /etc/hostname\nmax_retry = 1\n", 126),
    ],
)
def test_everything_ends_with_the_status_of_what_failed(circusd: Start, watcher: str, status: int) -> None:
    daemon = circusd(f"[watcher:web]\nautostart = false\non_failure = exit\n{watcher}{OTHER}")
    (other,) = daemon.wait_pids("other", 1)
    events = daemon.events("lifecycle.")
    daemon.ok("start", name="web")
    stopping = events.wait_for_topic("lifecycle.-.arbiter.stopping")[0].body
    assert daemon.wait() == status
    assert not proc.alive(other)
    cause = next(m.body for m in events.messages if m.body["seq"] == stopping["cause"]["seq"])
    assert cause["record"] in {"process.exited", "process.spawn_failed"}
    assert f"'web' has failed; all watchers are stopped, and the exit status is {status}" in daemon.log_text()


@pytest.mark.parametrize(
    "watcher", ["cmd = true\nrespawn = false\non_failure = exit\n", "cmd = false\nrespawn = false\n"]
)
def test_without_a_failure_or_without_the_option_the_others_go_on(circusd: Start, watcher: str) -> None:
    daemon = circusd(f"[watcher:web]\nautostart = false\n{watcher}{OTHER}")
    daemon.ok("start", name="web", waiting=True)
    daemon.wait_status("web", "stopped")
    assert len(daemon.wait_pids("other", 1)) == 1
