"""circusd as PID 1 of a new pid namespace, as in a container: it reaps strangers and can be stopped."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests import workers
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]

SLEEPER = "[watcher:web]\ncmd = sleep 1000\n"
# When unshare is killed, so is everything in the namespace.
NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


def namespaces() -> bool:
    """Whether this test may make a pid namespace (root in most places, not in every container)."""
    try:
        return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not namespaces(), reason="making a pid namespace takes root and util-linux")


@pytest.fixture
def pid1(circusd: Start) -> Iterator[Start]:
    daemons: list[Daemon] = []

    def make(ini: str, **keywords: object) -> Daemon:
        daemons.append(circusd(ini, through=NAMESPACE, **keywords))
        return daemons[-1]

    yield make
    for daemon in daemons:
        if daemon.returncode is None:  # unshare itself is deaf to SIGTERM
            os.kill(inner(daemon), signal.SIGTERM)
            assert daemon.wait() == 0


def inner(daemon: Daemon) -> int:
    """The pid of circusd as it is seen from here; `daemon.pid` is that of unshare."""
    (found,) = wait_until(lambda: proc.children(daemon.pid))
    return found


def test_it_is_pid_1_and_supervises(pid1: Start) -> None:
    daemon = pid1(SLEEPER)
    daemon.wait_pids("web", 1)
    arbiter = daemon.ok("telemetry")["arbiter"]
    assert arbiter["pid"] == 1
    (worker,) = proc.children(inner(daemon))
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: proc.children(inner(daemon)) - {worker})
    assert daemon.telemetry("web")["counters"]["restarts"]["crash"] == 1


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_everything_in_the_namespace(pid1: Start, signum: int) -> None:
    daemon = pid1(SLEEPER)
    daemon.wait_pids("web", 1)
    below = proc.descendants(daemon.pid)
    assert len(below) == 2
    os.kill(inner(daemon), signum)
    assert daemon.wait() == 0
    assert not any(map(proc.alive, below))


def test_a_signal_at_any_moment_of_the_start_ends_it(pid1: Start) -> None:
    for hundredths in range(5, 60, 9):
        daemon = pid1(SLEEPER, start=False)
        daemon.spawn()
        circusd = inner(daemon)
        time.sleep(hundredths / 100)
        # Before Python runs PID 1 has no way to be told; a container runtime sends SIGTERM only once, but later.
        wait_until(lambda circusd=circusd: _catches(circusd, signal.SIGTERM) or not proc.alive(circusd))
        os.kill(circusd, signal.SIGTERM)
        assert daemon.wait() in {0, 128 + signal.SIGTERM}


def _catches(pid: int, signum: int) -> bool:
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
        mask = next(int(line.split()[1], 16) for line in status if line.startswith("SigCgt:"))
    except (OSError, StopIteration):
        return False
    return bool(mask >> (signum - 1) & 1)


def test_strangers_are_reaped_and_counted(pid1: Start) -> None:
    # The inner shell is gone at once, so its children are handed to PID 1 and end as such.
    text = 'sh -c "(sleep 0.1 & sleep 0.2 &); exec sleep 1000"'
    daemon = pid1(f"[watcher:web]\ncmd = {text}\n")
    wait_until(lambda: daemon.ok("telemetry")["arbiter"]["strangers_reaped"] == 2)
    assert not [pid for pid in proc.descendants(daemon.pid) if not proc.alive(pid)]


def test_the_ends_of_workers_are_told_as_they_were_among_strangers(pid1: Start) -> None:
    strangers = 'sh -c "while :; do (sleep 0.01 &); sleep 0.01; done"'
    daemon = pid1(
        f"[watcher:strange]\ncmd = {strangers}\n"
        f"[watcher:own]\ncmd = {workers.python('exit_n', 7, 0.1)}\nautostart = false\nbackoff = 0.01\nbackoff_max = 0.01\n"
    )
    events = daemon.events("watcher.own.reap")
    daemon.ok("start", name="own")
    reaps = events.wait_for_topic("watcher.own.reap", count=5)
    assert {reap.body["exit_code"] for reap in reaps} == {7}
    assert daemon.ok("telemetry")["arbiter"]["strangers_reaped"] > 0


def test_a_signal_reaches_the_workers_as_theirs(pid1: Start, tmp_path: pathlib.Path) -> None:
    text = f"trap 'echo asked >{tmp_path}/asked; exit' INT; touch {tmp_path}/ready; while :; do sleep 0.01; done"
    daemon = pid1(f"[watcher:web]\ncmd = {text}\nshell = true\nstop_signal = INT\n")
    wait_until((tmp_path / "ready").exists)
    os.kill(inner(daemon), signal.SIGTERM)
    assert daemon.wait() == 0
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_the_whole_end_is_over_in_shutdown_timeout(pid1: Start) -> None:
    """Before who runs the container loses patience, and kills without telling anybody."""
    stubborn = f"cmd = {workers.python('ignore_term')}\ngraceful_timeout = 1000\n"
    daemon = pid1(f"[watcher:a]\n{stubborn}[watcher:b]\n{stubborn}", options={"shutdown_timeout": 0.5})
    wait_until(lambda: daemon.log_text().count("ready") == 2)
    below = proc.descendants(daemon.pid)
    os.kill(inner(daemon), signal.SIGTERM)
    assert daemon.wait() == 0
    assert not any(map(proc.alive, below))
    assert "shutdown_timeout of 0.5 s is over" in daemon.log_text()


@pytest.mark.parametrize(("command", "status"), [("exit 3", 3), ("kill -SEGV $$", 128 + signal.SIGSEGV)])
def test_on_failure_ends_the_container_with_the_status_of_what_failed(pid1: Start, command: str, status: int) -> None:
    daemon = pid1(
        f"[watcher:web]\ncmd = sh -c '{command}'\nrespawn = false\non_failure = exit\nautostart = false\n"
        "[watcher:other]\ncmd = sleep 1000\n"
    )
    daemon.wait_pids("other", 1)
    daemon.ok("start", name="web")
    assert daemon.wait() == status


def test_without_pidfds_too(pid1: Start) -> None:
    text = 'sh -c "(sleep 0.1 &); exec sleep 1000"'
    daemon = pid1(f"[watcher:web]\ncmd = {text}\n", env={"CIRCUS_REAPER": "sigchld"}, options={"check_delay": 1000})
    wait_until(lambda: daemon.ok("telemetry")["arbiter"]["strangers_reaped"] == 1)
    worker = next(pid for pid in proc.children(inner(daemon)))
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: daemon.telemetry("web")["counters"]["restarts"]["crash"] == 1)
