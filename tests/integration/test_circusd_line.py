"""circusd's command line and where its log goes: flags before the file before the default."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile

import pytest
import yaml

from circus import __version__
from tests.conftest import CircusD
from tests.helpers import proc
from tests.helpers.daemon import script
from tests.helpers.waiting import DEADLINE, wait_until

LINE = r"%(levelname)s|%(name)s|%(message)s"
DICT = {
    "version": 1,
    "formatters": {"plain": {"format": LINE}},
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "configured.log", "formatter": "plain"}},
    "root": {"level": "INFO", "handlers": ["file"]},
    "disable_existing_loggers": False,
}
INI = f"""
[loggers]
keys = root,circus
[handlers]
keys = file
[formatters]
keys = plain
[formatter_plain]
format = {LINE}
[handler_file]
class = FileHandler
args = ('configured.log',)
formatter = plain
[logger_root]
level = WARNING
handlers = file
[logger_circus]
level = INFO
handlers =
qualname = circus
"""


def ran(*words: str, directory: pathlib.Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [script("circusd"), *words], cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=DEADLINE,
    )  # fmt: skip


def test_the_version_alone_on_standard_output() -> None:
    done = ran("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


def test_without_a_file_it_says_how_it_is_used() -> None:
    done = ran()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: circusd [-h]")


@pytest.mark.parametrize("words", [["--log-level", "loud", "x.ini"], ["--bad"], ["x.ini", "y.ini"]])
def test_what_is_not_understood_ends_with_two(words: list[str]) -> None:
    done = ran(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "circusd: error: " in done.stderr


@pytest.mark.parametrize("words", [["--check"], ["--check", "--daemon"]])
def test_a_check_of_no_file_is_a_mistake_and_not_passed(words: list[str]) -> None:
    done = ran(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "circusd: error: --check needs a configuration file" in done.stderr


def test_a_killed_circusd_that_nobody_has_waited_for_does_not_keep_the_next_from_starting(
    circusd: CircusD, tmp_path: pathlib.Path
) -> None:
    pidfile = tmp_path / "circusd.pid"
    ini = f"[circus]\npidfile = {pidfile}\n"
    killed = circusd(ini)
    assert pidfile.read_text() == f"{killed.pid}\n"
    os.kill(killed.pid, signal.SIGKILL)
    wait_until(lambda: (found := proc.stat(killed.pid)) is not None and found.state == "Z")
    following = circusd(ini)
    assert pidfile.read_text() == f"{following.pid}\n"


def test_a_circusd_that_runs_keeps_its_pid_file_and_the_other_one_says_so(
    circusd: CircusD, tmp_path: pathlib.Path
) -> None:
    pidfile, ini = tmp_path / "circusd.pid", tmp_path / "other.ini"
    running = circusd(f"[circus]\npidfile = {pidfile}\n")
    ini.write_text(f"[circus]\npidfile = {pidfile}\n")
    done = ran(str(ini))
    assert done.returncode == 1
    assert f"already running as pid {running.pid}, as the pid file '{pidfile}' says: stop that circusd" in done.stderr
    assert "stale" not in done.stderr
    assert pidfile.read_text() == f"{running.pid}\n"


def test_a_flag_comes_before_the_file(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    daemon = circusd(
        "[circus]\nloglevel = critical\nlogoutput = from-the-file.log\npidfile = from-the-file.pid\n",
        arguments=["--log-level", "INFO", "--log-output", str(tmp_path / "log"), "--pidfile", str(tmp_path / "pid")],
    )
    assert (tmp_path / "pid").read_text().strip() == str(daemon.pid)
    assert f"[{daemon.pid}] [INFO] Starting master on pid {daemon.pid}" in (tmp_path / "log").read_text()
    assert daemon.log_text() == ""
    assert sorted(path.name for path in daemon.directory.glob("from-the-file*")) == []


def test_the_file_comes_before_the_default(circusd: CircusD) -> None:
    daemon = circusd("[circus]\nloglevel = Error\nlogoutput = own.log\npidfile = own.pid\n")
    assert (daemon.directory / "own.pid").read_text().strip() == str(daemon.pid)
    assert (daemon.directory / "own.log").read_text() == daemon.log_text() == ""


def test_a_log_that_was_moved_away_is_opened_anew(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    log = tmp_path / "log"
    daemon = circusd("[watcher:web]\ncmd = sleep 1000\n", arguments=["--log-output", str(log)])
    log.rename(tmp_path / "log.1")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert "Arbiter exiting" in log.read_text()
    assert "Starting master" in (tmp_path / "log.1").read_text()


@pytest.mark.parametrize(("name", "text"), [
    ("logs.ini", INI), ("logs.json", json.dumps(DICT)), ("logs.yaml", yaml.safe_dump(DICT)),
])  # fmt: skip
@pytest.mark.parametrize("by", ["file", "flag"])
def test_a_logging_configuration_replaces_level_and_output(circusd: CircusD, name: str, text: str, by: str) -> None:
    daemon = circusd(
        f"[circus]\nloggerconfig = {name}\nlogoutput = unused.log\n" if by == "file" else "",
        arguments=["--logger-config", name] if by == "flag" else [],
        start=False,
    )
    (daemon.directory / name).write_text(text)
    daemon.start()
    lines = (daemon.directory / "configured.log").read_text().splitlines()
    assert f"INFO|circus|Starting master on pid {daemon.pid}" in lines
    assert not (daemon.directory / "unused.log").exists()


def test_the_word_default_is_no_configuration(circusd: CircusD) -> None:
    daemon = circusd("[circus]\nloggerconfig = default\n")
    assert f"[INFO] Starting master on pid {daemon.pid}" in daemon.log_text()


def test_syslog_from_the_file(circusd: CircusD) -> None:
    with tempfile.TemporaryDirectory(prefix="circus-") as place, socket.socket(
        socket.AF_UNIX, socket.SOCK_DGRAM
    ) as server:  # fmt: skip
        server.bind(f"{place}/log")
        server.settimeout(DEADLINE)
        daemon = circusd(f"[circus]\nlogoutput = syslog://{place}/log?local3\n")
        told = server.recv(10_000)
        local3, info = 19, 6
        assert told.startswith(f"<{local3 * 8 + info}>".encode())
        assert f"circus[{daemon.pid}] [INFO] ".encode() in told


def test_the_umask_is_in_force_for_what_circusd_writes(circusd: CircusD) -> None:
    daemon = circusd(
        "[circus]\numask = 027\n[watcher:web]\ncmd = echo hello\nrespawn = False\n"
        "stdout_stream.class = FileStream\nstdout_stream.filename = out.log\n"
    )
    out = daemon.directory / "out.log"
    wait_until(lambda: out.exists() and out.read_text() == "hello\n")
    assert out.stat().st_mode & 0o777 == 0o640
