"""Who asks with `waiting` learns what did not come up, and why; who reads only what circus 0.19 told finds all of that."""

from __future__ import annotations

import pathlib
import signal
from collections.abc import Callable

import pytest

from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]

MISSING = "program not found, or the interpreter its first line names: '/nowhere/program'"
AGAIN = f"{MISSING} (it is tried again)"
GOOD = "[watcher:good]\ncmd = sleep 1000\n"
BAD = "[watcher:Bad]\ncmd = /nowhere/program\nmax_retry = -1\nautostart = False\n"
HOOKED = "[watcher:hooked]\ncmd = sleep 1000\nautostart = False\nhooks.before_start = os.path.isdir\n"


@pytest.mark.parametrize("command", ["start", "restart", "reload"])
def test_a_watcher_whose_program_is_missing(circusd: Start, command: str) -> None:
    daemon = circusd(GOOD + BAD)
    reply = daemon.ok(command, name="bad", waiting=True)
    assert (reply["info"]["started"], reply["info"]["kept"]) == ([], [])
    assert reply["failed"] == {"Bad": AGAIN}
    assert "failed" not in daemon.ok(command, name="bad")
    assert "failed" not in daemon.ok(command, name="good", waiting=True)
    daemon.ok("stop", name="bad", waiting=True)
    told = daemon.circusctl(command, "bad", "--waiting")
    assert (told.returncode, told.stdout, told.stderr) == (3, "", f"error: 'Bad' did not come up: {AGAIN}\n")
    assert daemon.circusctl(command, "bad").returncode == 0
    assert daemon.circusctl("--json", command, "bad", "--waiting").returncode == 3
    fine = daemon.circusctl(command, "good", "--waiting")
    assert (fine.returncode, fine.stdout, fine.stderr) == (0, "ok\n", "")


@pytest.mark.parametrize("command", ["start", "restart"])
def test_of_several_watchers_those_that_are_not_up(circusd: Start, command: str) -> None:
    daemon = circusd(GOOD + BAD + HOOKED)
    told = daemon.circusctl(command, "*", "--waiting")
    assert told.returncode == 3
    assert f"error: 'Bad' did not come up: {AGAIN}\n" in told.stderr
    assert "error: 'hooked' did not come up: its hook before_start failed: " in told.stderr
    assert len(told.stderr.splitlines()) == 2
    assert daemon.status("good") == "active"


def test_the_cause_is_told_wherever_processes_were_to_come(circusd: Start) -> None:
    daemon = circusd(GOOD)
    options = {"max_retry": -1}
    reply = daemon.ok("add", name="new", cmd="/nowhere/program", options=options, start=True, waiting=True)
    assert (reply["started"], reply["kept"], reply["failed"]) == ([], [], {"new": AGAIN})
    assert daemon.ok("incr", name="new", waiting=True)["failed"].keys() == {"new"}
    assert daemon.ok("set", name="new", options={"args": "more"}, waiting=True)["failed"] == {"new": AGAIN}
    assert "failed" not in daemon.ok("set", name="new", options={"priority": 3}, waiting=True)
    assert daemon.ok("set", name="new", options={"numprocesses": 0}, waiting=True).keys() == {
        "status",
        "time",
        "id",
        "effect",
    }
    assert daemon.status("new") == "active"
    told = daemon.circusctl("incr", "new", "--waiting")
    assert (told.returncode, told.stdout) == (3, "1\n")
    told = daemon.circusctl("add", "other", "/nowhere/program", "--start", "--waiting")
    assert (told.returncode, told.stdout, told.stderr) == (3, "", f"error: 'other' did not come up: {AGAIN}\n")


def test_reloadconfig_tells_of_what_it_started(circusd: Start) -> None:
    daemon = circusd(GOOD)
    daemon.ini.write_text(daemon.ini.read_text() + BAD.replace("autostart = False", "") + HOOKED)
    told = daemon.circusctl("reloadconfig", "--waiting")
    assert (told.returncode, told.stdout) == (3, "")
    warning, error = told.stderr.splitlines()
    assert warning.startswith("warning: ")
    assert warning.endswith("there is no program '/nowhere/program' at the moment")
    assert error == f"error: 'Bad' did not come up: {AGAIN}"
    assert daemon.status("good") == "active"


def test_one_that_cannot_be_reloaded_keeps_no_other_from_it(circusd: Start, tmp_path: pathlib.Path) -> None:
    daemon = circusd("[watcher:a]\ncmd = sleep 1000\npriority = 5\n" + GOOD)
    before = [*daemon.wait_pids("a", 1), *daemon.wait_pids("good", 1)]
    gone = str(tmp_path / "gone")
    assert daemon.call("set", name="a", options={"working_dir": gone}, waiting=True)["errno"] == 6
    error = daemon.call("reload", waiting=True)
    assert error["errno"] == 6
    assert gone in error["reason"]
    assert daemon.pids("a") == before[:1]
    replaced = daemon.wait_pids("good", 1, without=before[1:])
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: daemon.pids("good") not in ([], replaced))
