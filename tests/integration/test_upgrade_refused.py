"""Upgrades that cannot be: the old program goes on as if nobody had asked, and says why."""

from __future__ import annotations

import os
import pathlib
import signal
import sys

import pytest

from circus.arbiter import Arbiter
from circus.exc import CircusError
from tests import workers
from tests.conftest import CircusD
from tests.helpers.channels import NoAnswer
from tests.helpers.daemon import Daemon
from tests.helpers.upgrades import ask, assert_nothing_lost, end_of, upgrade
from tests.helpers.waiting import wait_until

COUNTED = f"""
[watcher:lines]
cmd = {workers.python("count")}
stdout_stream.class = FileStream
stdout_stream.filename = lines.log
"""


def assert_goes_on(daemon: Daemon, pids: list[int], upgrades: int = 0) -> None:
    """The same program serves the same processes, and can do everything."""
    told = daemon.ok("telemetry")
    assert told["arbiter"]["upgrades"] == upgrades
    assert daemon.pids("lines") == pids
    log = daemon.directory / "lines.log"
    size = log.stat().st_size
    wait_until(lambda: log.stat().st_size > size)
    daemon.ok("restart", name="lines", waiting=True)
    daemon.ok("stop", name="lines", waiting=True)
    assert_nothing_lost(log)


def beside(directory: pathlib.Path) -> dict[str, str]:
    """An environment in which a package `circus` in that directory, once it is there, comes before ours."""
    return {"PYTHONPATH": str(directory)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise RuntimeError('half installed')", "RuntimeError: half installed"),
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
        ("def", "SyntaxError"),
        ("import os; os.abort()", "it ended with 134"),
    ],
)
def test_a_new_program_that_does_not_work_is_not_executed(
    circusd: CircusD, tmp_path: pathlib.Path, text: str, said: str
) -> None:
    daemon = circusd(COUNTED, env=beside(tmp_path / "new"))
    pids = daemon.wait_pids("lines", 1)
    package = tmp_path / "new" / "circus"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(text)
    reply = ask(daemon)
    assert (reply["status"], reply["errno"]) == ("error", 5)
    assert said in reply["reason"]
    (record,) = daemon.ok("events", record="arbiter.upgrade_failed")["records"]
    assert record["data"]["reason"] == reply["reason"]
    done = daemon.circusctl("upgrade", timeout=120)
    assert (done.returncode, said in done.stderr) == (3, True)
    (package / "__init__.py").unlink()
    package.rmdir()
    upgrade(daemon)
    assert_goes_on(daemon, pids, upgrades=1)


def test_a_hook_that_is_not_there_any_more_is_named(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    hooks = tmp_path / "my_hooks.py"
    hooks.write_text("def yes(**_): return True\n")
    daemon = circusd(f"{COUNTED}hooks.before_start = my_hooks.yes\n", env=beside(tmp_path))
    pids = daemon.wait_pids("lines", 1)
    hooks.write_text("")
    assert "watcher 'lines': hook before_start" in ask(daemon)["reason"]
    assert_goes_on(daemon, pids)


def test_an_interpreter_that_is_gone(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    (tmp_path / "pyvenv.cfg").write_text((pathlib.Path(sys.prefix) / "pyvenv.cfg").read_text())
    (tmp_path / "lib").symlink_to(pathlib.Path(sys.prefix) / "lib")
    daemon = circusd(COUNTED, through=[str(python)])
    pids = daemon.wait_pids("lines", 1)
    python.unlink()
    assert "cannot be started again: program not found" in ask(daemon)["reason"]
    python.symlink_to(sys.executable)
    upgrade(daemon)
    assert_goes_on(daemon, pids, upgrades=1)


def test_an_exec_that_the_system_refuses(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    """The trial works and the exec does not: everything that was given away is taken back."""
    module = tmp_path / "refusing.py"
    module.write_text(
        "import os\n"
        "def refused(*_): raise OSError(7, 'Argument list too long')\n"
        "os.execve = refused if '--trial' not in __import__('sys').argv else os.execve\n"
    )
    daemon = circusd(COUNTED, env=beside(tmp_path), module="refusing")
    pids, recorder = daemon.wait_pids("lines", 1), daemon.events("lifecycle.")
    for _ in range(3):
        reply = ask(daemon)
        assert reply["status"] == "ok"
        record = end_of(daemon, reply["seq"])
        assert record["record"] == "arbiter.upgrade_failed"
        assert "Argument list too long" in record["data"]["reason"]
    done = daemon.circusctl("upgrade", timeout=120)
    assert (done.returncode, "Argument list too long" in done.stderr) == (3, True)
    assert_goes_on(daemon, pids)
    recorder.wait_for(lambda message: message.body["record"] == "process.exited")


def test_it_waits_for_what_is_in_progress_and_then_names_it(circusd: CircusD) -> None:
    daemon = circusd(
        f"{COUNTED}\n[watcher:slow]\ncmd = {workers.python('ignore_term')}\ngraceful_timeout = 600\ncapture = True\n"
    )
    pids = daemon.wait_pids("lines", 1)
    wait_until(lambda: daemon.ok("tail", name="slow")["chunks"])
    daemon.ok("stop", name="slow")
    reply = ask(daemon, timeout=0.2)
    assert reply["status"] == "error"
    assert reply["reason"] == "not upgraded, after waiting for 0.2 s: 'slow' is busy: stop is in progress"
    # While it waits everything else is served, and what ends lets it go on.
    with daemon.caller() as other:
        other.send("upgrade", timeout=60)
        wait_until(lambda: daemon.ok("telemetry")["arbiter"]["commands_in_flight"] >= 3)  # with the stop and this one
        assert daemon.call("upgrade")["reason"] == "an upgrade is in progress already"
        os.kill(daemon.pids("slow")[0], signal.SIGKILL)
        assert other.receive()["status"] == "ok"
    wait_until(lambda: "has taken over" in daemon.log_text())
    assert daemon.status("slow") == "stopped"
    assert_goes_on(daemon, pids, upgrades=1)


def test_it_waits_for_a_reload(circusd: CircusD) -> None:
    daemon = circusd(COUNTED + "numprocesses = 3\nwarmup_delay = 0.2\n")
    before = daemon.wait_pids("lines", 3)
    with daemon.caller() as other:
        other.send("reload", name="lines", sequential=True, waiting=True)
        seq = daemon.ok("telemetry")["seq"]
        upgrade(daemon)
        assert other.receive()["status"] == "ok"
    names = [each["record"] for each in daemon.ok("events", since=seq)["records"]]
    assert names.index("reload.finished") < names.index("arbiter.upgraded")
    assert not set(before) & set(daemon.pids("lines"))
    daemon.ok("stop", name="lines", waiting=True)
    assert_nothing_lost(daemon.directory / "lines.log")


def test_a_quit_overtakes_it(circusd: CircusD) -> None:
    daemon = circusd(f"[watcher:w]\ncmd = {workers.python('ignore_term')}\ngraceful_timeout = 3\ncapture = True\n")
    wait_until(lambda: daemon.ok("tail", name="w")["chunks"])
    daemon.ok("stop", name="w")
    with daemon.caller() as other:
        other.send("upgrade", timeout=60)
        wait_until(lambda: daemon.ok("telemetry")["arbiter"]["commands_in_flight"] >= 3)  # with the stop and this one
        daemon.ok("quit")
        try:
            assert other.receive()["status"] == "error"
        except NoAnswer:
            pytest.fail("nobody told it")
    assert daemon.wait() == 0


def test_what_was_left_to_itself_with_its_output_is_named(circusd: CircusD) -> None:
    daemon = circusd(COUNTED + f"[watcher:gone]\ncmd = {workers.python('count')}\ncapture = True\n")
    pids, (left,) = daemon.wait_pids("lines", 1), daemon.wait_pids("gone", 1)
    daemon.ok("rm", name="gone", nostop=True, waiting=True)
    reason = ask(daemon, timeout=0)["reason"]
    assert f"process {left}, which was left when 'gone' was removed, still writes to this program" in reason
    os.kill(left, signal.SIGKILL)
    upgrade(daemon)
    assert_goes_on(daemon, pids, upgrades=1)


@pytest.mark.parametrize("timeout", [-1, "soon", True, None, 4000])
def test_a_time_that_is_none(circusd: CircusD, timeout: object) -> None:
    reply = ask(circusd("[watcher:w]\ncmd = sleep 600\n"), timeout=timeout)
    assert (reply["errno"], "isn't a number of seconds" in reply["reason"]) == (3, True)


async def test_an_arbiter_in_a_program_of_somebody_is_not_ours_to_replace() -> None:
    arbiter = Arbiter([], "ipc:///tmp/none", "ipc:///tmp/none-either")
    with pytest.raises(CircusError, match="the program that this arbiter is part of is not ours to replace"):
        arbiter.upgrade()


def test_a_signal_that_leads_to_nothing_is_told_too(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    daemon = circusd(COUNTED, env=beside(tmp_path / "new"))
    pids, seq = daemon.wait_pids("lines", 1), daemon.ok("telemetry")["seq"]
    package = tmp_path / "new" / "circus"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('half installed')")
    daemon.signal(signal.SIGUSR2)
    record = end_of(daemon, seq)
    assert (record["record"], record["cause"]["name"]) == ("arbiter.upgrade_failed", "SIGUSR2")
    assert "half installed" in record["data"]["reason"]
    assert_goes_on(daemon, pids)
