"""The command `signal` with real descendants: who gets it, and who is spared."""

import json

import pytest

from tests import workers
from tests.helpers import proc
from tests.helpers.waiting import wait_until


@pytest.fixture
def family(circusd, tmp_path):
    """(the daemon, the pids of one worker's family by role)."""
    file = tmp_path / "pids"
    daemon = circusd(f"[watcher:tree]\ncmd = {workers.python('fork_tree', file)}\nrespawn = false\n")
    wait_until(file.exists)
    pids = json.loads(file.read_text())
    yield daemon, pids
    # Descendants outlive their worker: that is what the watcher's stop does not promise here.
    daemon.call("signal", name="tree", signum="kill", recursive=True)
    wait_until(lambda: not any(map(proc.alive, pids.values())))


def stopped(pids):
    """The roles whose processes are halted by SIGSTOP."""
    return {role for role, pid in pids.items() if proc.stat(pid).state == "T"}


@pytest.mark.parametrize(
    ("properties", "roles"),
    [
        ({}, {"worker"}),
        ({"children": True}, {"child", "sibling"}),
        ({"recursive": True}, {"worker", "child", "sibling", "grandchild"}),
        ({"children": True, "recursive": True}, {"child", "sibling", "grandchild"}),
    ],
)
def test_a_signal_reaches_whom_it_names(family, properties, roles):
    daemon, pids = family
    daemon.ok("signal", name="tree", signum="stop", **properties)
    wait_until(lambda: stopped(pids) >= roles, what=lambda: stopped(pids))
    assert stopped(pids) == roles
    daemon.ok("signal", name="tree", signum="cont", recursive=True)
    wait_until(lambda: not stopped(pids))


def test_one_child_can_be_named(family):
    daemon, pids = family
    daemon.ok("signal", name="tree", signum="stop", pid=pids["worker"], childpid=pids["sibling"])
    wait_until(lambda: stopped(pids) == {"sibling"})
    refused = daemon.call("signal", name="tree", signum="stop", pid=pids["worker"], childpid=pids["grandchild"])
    assert refused["reason"] == f"process {pids['grandchild']} is not a child of process {pids['worker']}"
    daemon.ok("signal", name="tree", signum="cont", recursive=True)


def test_a_family_dies_of_one_recursive_kill(family):
    daemon, pids = family
    daemon.ok("signal", name="tree", signum="kill", recursive=True)
    wait_until(lambda: not any(map(proc.alive, pids.values())))


def test_a_number_that_is_no_signal_is_refused_before_anything_is_done(family):
    daemon, pids = family
    reply = daemon.call("signal", name="tree", signum=12345)
    assert (reply["errno"], reply["reason"]) == (3, "12345 is not a signal")
    assert all(map(proc.alive, pids.values()))
