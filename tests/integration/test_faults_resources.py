"""Nothing left to open, nobody left to fork: what circusd cannot have it does without, and takes up again."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pathlib
import resource
import signal
from collections.abc import Callable, Iterator

import pytest
import zmq

from tests import workers
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]

QUICK = "backoff = 0.05\nbackoff_max = 0.1\nmax_retry = -1\n"


def limit_fds(daemon: Daemon, soft: int) -> None:
    """So many descriptors and no more, from now on: what is open stays open."""
    resource.prlimit(
        daemon.pid, resource.RLIMIT_NOFILE, (soft, resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[1])
    )


@pytest.mark.parametrize("soft", [1024, 4096])
def test_with_no_descriptor_left_who_is_connected_is_served_and_deaths_are_told(circusd: Start, soft: int) -> None:
    """The limit falls below what is open: no pipe, no pidfd, no /proc file can be had until it is raised again."""
    daemon = circusd(
        f"[watcher:web]\ncmd = sleep 1000\nnumprocesses = 3\n{QUICK}"
        f"[watcher:log]\ncmd = {workers.python('chatty', 0, 0.05)}\n{QUICK}stdout_stream.class = QueueStream\n",
        # With more allowed than it was started with, what its dead give back lies above the limit that comes.
        through=["prlimit", f"--nofile={soft}:"],
    )
    first = daemon.wait_pids("web", 3)
    daemon.wait_pids("log", 1)
    events = daemon.events("lifecycle.")
    samples = daemon.stats("sample.web")
    samples.wait_for(lambda _: True)
    daemon.stats("sample.log").wait_for(lambda _: True)
    limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    # The lowest number that is free is the first that cannot be had.
    limit_fds(daemon, next(number for number in itertools.count() if number not in proc.open_fds(daemon.pid)))
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    ends = events.wait_for(lambda message: message.topic == "lifecycle.web.process.exited", count=3)
    assert {end.body["pid"] for end in ends} == set(first)
    assert {end.body["data"]["signal"] for end in ends} == {"SIGKILL"}
    failed = events.wait_for(lambda message: message.body["record"] == "process.spawn_failed", count=6)
    assert {(each.body["data"]["stage"], each.body["data"]["errno"]) for each in failed} == {("fork", 24)}
    # Commands, samples and what is running go on meanwhile.
    assert daemon.status("log") == "active"
    seen = len(samples.messages)
    samples.wait_for(lambda _: True, count=seen + 2)
    assert daemon.ok("stats", name="log")["info"]

    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, limits)
    after = daemon.wait_pids("web", 3)
    samples.wait_for(lambda message: {each["pid"] for each in message.body["processes"]} == set(after))
    told = daemon.telemetry("web")["counters"]
    assert told["restarts"]["crash"] == 3
    assert told["spawn_failures"]["fork"] >= 6
    assert daemon.ok("telemetry")["arbiter"]["illegal_transitions"] == 0


def test_more_clients_than_descriptors_come_in_when_others_have_left(circusd: Start) -> None:
    daemon = circusd("[watcher:web]\ncmd = sleep 1000\n", through=["prlimit", "--nofile=64:64"])
    (pid,) = daemon.wait_pids("web", 1)
    used = len(proc.open_fds(daemon.pid))
    with contextlib.ExitStack() as stack:
        # All that fit are answered; libzmq ends a program that has none for one more, so some are kept for it.
        fitting = [stack.enter_context(daemon.caller()) for _ in range((64 - used) // 2)]
        assert {each.call("numwatchers")["status"] for each in fitting} == {"ok"}
    wait_until(lambda: len(proc.open_fds(daemon.pid)) <= used)
    with contextlib.ExitStack() as stack:
        again = [stack.enter_context(daemon.caller()) for _ in range((64 - used) // 2)]
        assert {each.call("numwatchers")["status"] for each in again} == {"ok"}
    assert daemon.pids("web") == [pid]


@pytest.mark.parametrize("hard", [256, 1024])
def test_clients_beyond_all_descriptors_wait_outside_and_get_in_later(circusd: Start, hard: int) -> None:
    """libzmq would end the program with the first client for whom no descriptor is left."""
    daemon = circusd("[watcher:web]\ncmd = sleep 1000\n", through=["prlimit", f"--nofile={hard}:{hard}"])
    (pid,) = daemon.wait_pids("web", 1)
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 4 * hard)
    try:
        crowd = [context.socket(zmq.DEALER) for _ in range(hard + 100)]
        for client in crowd:
            client.connect(daemon.endpoint)
            client.send(json.dumps({"id": "1", "command": "numwatchers"}).encode())
        wait_until(lambda: "no further clients are let in" in daemon.log_text())
        assert daemon.status("web") == "active"  # who has come before is served
        # Each that is answered leaves, so the next ones get in, until all were.
        while crowd:
            answered = [client for client in crowd if client.poll(0)]
            for client in answered:
                assert json.loads(client.recv())["numwatchers"] == 1
                client.close(0)
            crowd = [client for client in crowd if client not in answered]
            assert daemon.status("web") == "active"
    finally:
        context.destroy(linger=0)
    assert daemon.pids("web") == [pid]


CGROUPS = pathlib.Path("/sys/fs/cgroup")


@pytest.fixture
def group() -> Iterator[pathlib.Path]:
    """A cgroup whose number of processes can be limited, of whichever version this machine has."""
    made = (CGROUPS / "pids" if (CGROUPS / "pids").is_dir() else CGROUPS) / f"circus-test-{os.getpid()}"
    try:
        made.mkdir()
    except OSError:
        pytest.skip("needs root and cgroups that may be made")
    try:
        if not (made / "pids.max").exists():
            pytest.skip("needs the pids controller")
        yield made
        wait_until(lambda: not (made / "cgroup.procs").read_text().strip())
    finally:
        made.rmdir()


def test_circusd_itself_in_a_full_cgroup_gets_its_workers_when_there_is_room(
    circusd: Start, group: pathlib.Path
) -> None:
    into = ["sh", "-c", f'echo $$ >{group}/cgroup.procs; exec "$@"', "sh"]
    daemon = circusd(f"[watcher:web]\ncmd = sleep 1000\nnumprocesses = 3\n{QUICK}", through=into)
    first = daemon.wait_pids("web", 3)
    (group / "pids.max").write_text("1")
    failures = daemon.events("lifecycle.web.process.spawn_failed")
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    seen = failures.wait_for(lambda _: True, count=6)
    assert {(each.body["data"]["stage"], each.body["data"]["errno"]) for each in seen} == {("fork", 11)}
    assert daemon.status("web") == "active"
    (group / "pids.max").write_text("max")
    daemon.wait_pids("web", 3)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
