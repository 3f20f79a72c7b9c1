"""Workers that are stopped with SIGSTOP: they take no signal and write nothing, and circusd does not wait for them."""

from __future__ import annotations

import os
import pathlib
import signal
from collections.abc import Callable, Iterator

import pytest

from tests import workers
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]

INI = f"""
[watcher:web]
cmd = {workers.python("chatty", 5, 0)}
numprocesses = 3
graceful_timeout = 0.3
stdout_stream.class = QueueStream
stderr_stream.class = QueueStream
"""


def freeze(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: all((found := proc.stat(pid)) and found.state == "T" for pid in pids))


def last_lines(daemon: Daemon) -> int:
    """How many workers have their last line in `tail`."""
    return sum("out 5" in chunk["lines"] for chunk in daemon.ok("tail", name="web")["chunks"])


def frozen(circusd: Start) -> tuple[Daemon, list[int]]:
    """Three workers that have written their lines, and then were stopped."""
    daemon = circusd(INI)
    pids = daemon.wait_pids("web", 3)
    wait_until(lambda: last_lines(daemon) == 3)
    freeze(pids)
    return daemon, pids


def test_tail_stats_and_samples_of_frozen_workers_go_on(circusd: Start) -> None:
    daemon, pids = frozen(circusd)
    assert last_lines(daemon) == 3
    assert set(map(int, daemon.ok("stats", name="web")["info"])) == set(pids)
    with daemon.stats("sample.web") as samples:
        heard = samples.wait_for(lambda m: {each["state"] for each in m.body["processes"]} == {"T"}, count=2)
    assert [each["pid"] for each in heard[0].body["processes"]] == pids
    assert daemon.status("web") == "active"


def test_a_stop_of_frozen_workers_is_told_as_one_that_needed_force(circusd: Start) -> None:
    daemon, pids = frozen(circusd)
    ends = daemon.events("lifecycle.web.process.exited")
    daemon.ok("stop", name="web", waiting=True)
    assert not any(map(proc.alive, pids))
    told = ends.wait_for(lambda _: True, count=3)
    assert {end.body["data"]["reason"] for end in told} == {"stop_timeout"}


def test_a_reload_of_frozen_workers_replaces_them(circusd: Start) -> None:
    daemon, pids = frozen(circusd)
    daemon.ok("reload", name="web", waiting=True)
    assert not set(daemon.wait_pids("web", 3)) & set(pids)
    assert not any(map(proc.alive, pids))


def test_sigterm_ends_circusd_over_frozen_workers(circusd: Start) -> None:
    daemon, pids = frozen(circusd)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert not any(map(proc.alive, pids))


def test_workers_that_were_frozen_and_thawed_are_the_same(circusd: Start) -> None:
    daemon, pids = frozen(circusd)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: all((found := proc.stat(pid)) and found.state != "T" for pid in pids))
    assert daemon.pids("web") == pids
    assert daemon.telemetry("web")["counters"]["restarts"]["crash"] == 0


FREEZER = pathlib.Path("/sys/fs/cgroup/freezer")


@pytest.fixture
def icebox() -> Iterator[Callable[[int], None]]:
    """Take a process out of the reach of SIGKILL, as one that hangs in the kernel: the freezer of cgroup v1 does."""
    group = FREEZER / f"circus-test-{os.getpid()}"
    group.mkdir()

    def freeze_hard(pid: int) -> None:
        (group / "cgroup.procs").write_text(str(pid))
        (group / "freezer.state").write_text("FROZEN")
        wait_until(lambda: (group / "freezer.state").read_text() == "FROZEN\n")

    yield freeze_hard
    (group / "freezer.state").write_text("THAWED")
    wait_until(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


@pytest.mark.skipif(not os.access(FREEZER / "cgroup.procs", os.W_OK), reason="no freezer of cgroup v1 here")
@pytest.mark.parametrize("command", ["stop", "restart", "rm", "kill"])
def test_who_outlives_sigkill_is_not_said_to_be_gone(
    circusd: Start, tmp_path: pathlib.Path, icebox: Callable[[int], None], command: str
) -> None:
    # Thirty seconds, for whoever has the time.
    (tmp_path / "impatient.py").write_text("import circus.core.ending as it\nit.REAP_SECONDS = 0.5\n")
    text = "[watcher:web]\ncmd = sleep 1000\ngraceful_timeout = 0.2\n[watcher:other]\ncmd = sleep 1000\n"
    daemon = circusd(text, env={"PYTHONPATH": str(tmp_path)}, module="impatient")
    (pid,) = daemon.wait_pids("web", 1)
    icebox(pid)
    lost = daemon.events("lifecycle.web.process.lost")
    reply = daemon.call(command, name="web", waiting=True)
    assert reply["status"] == "error"
    assert f"SIGKILL did not end {pid}" in reply["reason"]
    assert proc.alive(pid)
    assert lost.wait_for_topic("lifecycle.web.process.lost")[0].body["data"]["why"] == "SIGKILL did not end it"
    if command in ("restart", "kill"):
        assert daemon.wait_pids("web", 1, without=[pid])
    assert daemon.status("other") == "active"
    wait_until(lambda: f"SIGKILL did not end {pid}" in daemon.log_text())
