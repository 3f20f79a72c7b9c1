"""What README says of circus 0.19 and of supervisor beside us, asked of the real ones."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.conftest import CircusD
from tests.helpers import proc, supervisor
from tests.helpers.old_circus import OldDaemon, clean_environment
from tests.helpers.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.real

# A worker with a helper that has left its session and its group, as daemons and some shells do.
HELPER = "sh -c 'setsid sleep 4321 & exec sleep 4320'"
CONF = """\
[unix_http_server]
file = %(here)s/control

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://%(here)s/control

[supervisord]
logfile = %(here)s/log
pidfile = %(here)s/pid

[program:web]
command = {command}
stopasgroup = true
startsecs = 0
autorestart = true
"""


def sleeping(daemon: int, seconds: str) -> set[int]:
    """The processes `sleep SECONDS` below a daemon, or adopted by these tests when it let go of them."""
    pids = proc.descendants(daemon) | proc.own_children()
    return {pid for pid in pids if f"sleep {seconds}" in proc.describe(pid) and proc.alive(pid)}


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Short enough for a unix socket."""
    short = pathlib.Path(f"/tmp/circus-cmp{os.getpid()}")
    short.symlink_to(tmp_path)
    yield short
    short.unlink()


def supervisorctl(directory: pathlib.Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [supervisor.program("supervisorctl"), "-c", directory / "supervisord.conf", *words],
        capture_output=True, text=True, timeout=DEADLINE, env=clean_environment(),
    )  # fmt: skip


def test_a_stop_reaches_those_who_left_the_group_here_and_not_in_supervisor(
    circusd: CircusD, directory: pathlib.Path
) -> None:
    daemon = circusd(f"[watcher:web]\ncmd = {HELPER}\nkill_scope = tree\n")
    wait_until(lambda: sleeping(daemon.pid, "4321"))
    daemon.ok("stop", name="web", waiting=True)
    assert not sleeping(daemon.pid, "4321")

    (directory / "supervisord.conf").write_text(CONF.format(command=HELPER))
    with supervisor.supervisord(directory / "supervisord.conf", dict(os.environ)) as pid:
        (helper,) = wait_until(lambda: sleeping(pid, "4321"))
        wait_until(lambda: supervisorctl(directory, "stop", "web").returncode == 0)
        wait_until(lambda: not sleeping(pid, "4320"))
        assert proc.alive(helper)
    os.kill(helper, signal.SIGKILL)


def test_workers_outlive_a_new_circusd_and_not_a_new_supervisord(circusd: CircusD, directory: pathlib.Path) -> None:
    daemon = circusd("[watcher:web]\ncmd = sleep 4320\n")
    before = daemon.wait_pids("web", 1)
    done = daemon.circusctl("upgrade")
    assert done.returncode == 0, done.stderr
    assert daemon.wait_pids("web", 1) == before

    (directory / "supervisord.conf").write_text(CONF.format(command="sleep 4320"))
    with supervisor.supervisord(directory / "supervisord.conf", dict(os.environ)) as pid:
        (worker,) = wait_until(lambda: sleeping(pid, "4320"))
        wait_until(lambda: supervisorctl(directory, "reload").returncode == 0)
        wait_until(lambda: not proc.alive(worker))


def test_circus_0_19_reloads_a_program_and_supervisor_only_restarts_one(directory: pathlib.Path) -> None:
    (directory / "supervisord.conf").write_text(CONF.format(command="sleep 4320"))
    for command, about in (("reload", "Restart the remote supervisord"), ("restart", "Restart a process")):
        assert about in supervisorctl(directory, "help", command).stdout
    old = OldDaemon("[watcher:web]\ncmd = sleep 4320\ngraceful_timeout = 2\n", directory / "old").start()
    (before,) = old.wait_pids("web", 1)
    old.ok("reload", name="web", waiting=True)
    old.wait_pids("web", 1, without=[before])
    old.stop()


def test_a_dead_worker_is_replaced_at_once_here_and_at_the_next_look_elsewhere(
    circusd: CircusD, directory: pathlib.Path
) -> None:
    """circus 0.19 looks every five seconds, supervisor every second; ours has heard of it before."""
    ini = "[watcher:web]\ncmd = sleep 4320\n"
    daemon = circusd(ini)
    ours = _five_deaths(daemon.pid)
    daemon.stop()
    old = OldDaemon(ini, directory / "old").start()
    of_old = _five_deaths(old.pid)
    old.stop()
    (directory / "supervisord.conf").write_text(CONF.format(command="sleep 4320"))
    with supervisor.supervisord(directory / "supervisord.conf", dict(os.environ)) as pid:
        of_supervisor = _five_deaths(pid)
    assert ours < of_supervisor < of_old


def _five_deaths(daemon: int) -> float:
    """Seconds that five workers were missing, one after the other."""
    (pid,) = wait_until(lambda: sleeping(daemon, "4320"))
    missing = 0.0
    for _ in range(5):
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        (pid,) = wait_until(lambda dead=pid: sleeping(daemon, "4320") - {dead}, 2 * DEADLINE)
        missing += time.monotonic() - began
    return missing
