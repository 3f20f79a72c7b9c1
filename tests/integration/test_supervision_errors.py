"""What cannot be had, said in one line each: the daemon does not start, or goes on without the part in question."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.helpers import proc
from tests.helpers.daemon import Daemon, script
from tests.helpers.ports import reserved_port
from tests.helpers.waiting import DEADLINE, wait_until

Start = Callable[..., Daemon]

SLEEPER = "cmd = sleep 1000\n"
GOOD = f"[watcher:good]\n{SLEEPER}"


def refused(daemon: Daemon, *words: str) -> str:
    """The one line with which circusd refused to start."""
    daemon.spawn()
    assert daemon.wait() == 1
    told = daemon.log_text()
    assert "Traceback" not in told
    (line,) = (line for line in told.splitlines() if line.strip() and "[INFO]" not in line and "[WARNING]" not in line)
    for word in words:
        assert word in line
    return line


def check(text: str, directory: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """`circusd --check` on a file with that text."""
    ini = directory / "checked.ini"
    ini.write_text(text)
    return subprocess.run(
        [script("circusd"), "--check", str(ini)], capture_output=True, text=True, timeout=DEADLINE, check=False
    )


@pytest.mark.parametrize("option", ["endpoint", "pubsub_endpoint", "stats_endpoint"])
def test_an_endpoint_that_was_asked_for_and_is_in_use_ends_the_start(circusd: Start, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        endpoint = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        daemon = circusd(GOOD, options={option: endpoint}, start=False)
        refused(daemon, f"{option} = {endpoint}", "somebody listens there already")
    assert list(pathlib.Path(daemon.endpoint.removeprefix("ipc://")).parent.iterdir()) == []


def test_a_live_daemon_keeps_its_endpoint(circusd: Start) -> None:
    first = circusd(GOOD)
    second = circusd(GOOD, options={"endpoint": first.endpoint}, start=False)
    refused(second, first.endpoint)
    first.wait_pids("good", 1)
    assert first.ok("list")["watchers"] == ["good"]


def test_the_endpoint_of_a_dead_daemon_is_taken_over(circusd: Start) -> None:
    first = circusd(GOOD)
    first.wait_pids("good", 1)
    for orphan in first.kill():
        os.kill(orphan, signal.SIGKILL)
    assert pathlib.Path(first.endpoint.removeprefix("ipc://")).exists()
    first.start()
    first.wait_pids("good", 1)


@pytest.mark.parametrize("umask", ["000", "077"])
def test_an_ipc_endpoint_is_for_its_owner_alone_whatever_the_umask(circusd: Start, umask: str) -> None:
    daemon = circusd(GOOD, options={"umask": umask}, through=["sh", "-c", f'umask {umask}; exec "$@"', "sh"])
    for endpoint in (daemon.endpoint, daemon.pubsub_endpoint, daemon.stats_endpoint):
        mode = pathlib.Path(endpoint.removeprefix("ipc://")).stat().st_mode
        assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)


def test_an_endpoint_that_makes_no_sense_ends_the_start(circusd: Start) -> None:
    refused(
        circusd(GOOD, options={"endpoint": "udp://nowhere"}, start=False), "udp://nowhere", "expected tcp://HOST:PORT"
    )


def test_an_ini_file_that_is_not_there_ends_the_start(circusd: Start) -> None:
    daemon = circusd(GOOD, start=False)
    daemon.ini.unlink()
    refused(daemon, str(daemon.ini))


def test_an_ini_file_that_may_not_be_read_ends_the_start(circusd: Start) -> None:
    # Root may read everything, unless it has lost that right.
    through = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    daemon = circusd(GOOD, through=through, start=False)
    daemon.ini.chmod(0)
    refused(daemon, str(daemon.ini))


def test_an_ini_file_that_is_a_directory_ends_the_start(circusd: Start) -> None:
    daemon = circusd(GOOD, start=False)
    daemon.ini.unlink()
    daemon.ini.mkdir()
    refused(daemon, str(daemon.ini))


def test_all_mistakes_of_grammar_and_type_are_told_together(circusd: Start) -> None:
    wrong = "numprocesses = many\nstop_signal = SIGFOO\nrlimit_foo = 3\nsend_hup = perhaps\n"
    daemon = circusd(f"[watcher:a]\n{SLEEPER}{wrong}[watcher:b]\n{SLEEPER}max_age = old\n", start=False)
    daemon.spawn()
    assert daemon.wait() == 1
    told = daemon.log_text().splitlines()
    assert len(told) == 5
    for number, (line, value) in enumerate([(3, "many"), (4, "SIGFOO"), (5, "rlimit_foo"), (6, "perhaps"), (9, "old")]):
        assert f"{daemon.ini}:{line}: " in told[number]
        assert value in told[number]


def test_a_socket_that_cannot_be_bound_ends_the_start(circusd: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        daemon = circusd(f"{GOOD}[socket:web]\nhost = 127.0.0.1\nport = {port}\n", start=False)
        refused(daemon, f"socket 'web' at 127.0.0.1:{port}", "Address already in use")
    assert proc.descendants(os.getpid()) == set()


def test_a_unix_socket_whose_path_is_taken_ends_the_start(circusd: Start, tmp_path: pathlib.Path) -> None:
    path = pathlib.Path(os.path.relpath(tmp_path / "s"))
    path.touch()
    daemon = circusd(f"{GOOD}[socket:web]\npath = {tmp_path / 's'}\n", start=False)
    refused(daemon, "socket 'web'", "something is at that path already")
    assert path.exists()


def test_the_pid_file_of_a_live_process_ends_the_start(circusd: Start, tmp_path: pathlib.Path) -> None:
    pidfile = tmp_path / "circusd.pid"
    pidfile.write_text(f"{os.getpid()}\n")
    refused(circusd(GOOD, arguments=["--pidfile", str(pidfile)], start=False), str(pidfile), str(os.getpid()))
    assert pidfile.read_text() == f"{os.getpid()}\n"


def test_nothing_of_a_refused_start_is_left(circusd: Start, tmp_path: pathlib.Path) -> None:
    pidfile, path = tmp_path / "circusd.pid", tmp_path / "s"
    with socket.create_server(("127.0.0.1", 0)) as other:
        sockets = f"[socket:a]\npath = {path}\n[socket:b]\nhost = 127.0.0.1\nport = {other.getsockname()[1]}\n"
        daemon = circusd(GOOD + sockets, options={"pidfile": pidfile}, start=False)
        refused(daemon, "socket 'b'")
    assert not pidfile.exists()
    assert not path.exists()
    assert list(pathlib.Path(daemon.endpoint.removeprefix("ipc://")).parent.iterdir()) == []


# A network of its own, in which the default port of the stats channel is taken by a listener of circusd's own process.
TAKEN = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING
taken = socket.create_server(("127.0.0.1", 5557))
os.set_inheritable(taken.fileno(), True)
os.execvp(sys.argv[1], sys.argv[1:])
"""
NETWORK = ["unshare", "--net", sys.executable, "-c", TAKEN]


def test_a_stats_endpoint_that_nobody_asked_for_gives_way(circusd: Start) -> None:
    if subprocess.run([*NETWORK, "true"], capture_output=True, check=False).returncode:
        pytest.skip("making a network namespace takes root and util-linux")
    daemon = circusd(GOOD, options={"stats_endpoint": None}, through=NETWORK)
    endpoint = daemon.ok("globaloptions", option="stats_endpoint")["options"]["stats_endpoint"]
    assert endpoint.startswith("ipc://")
    (warning,) = (line for line in daemon.log_text().splitlines() if "[WARNING]" in line)
    assert "tcp://127.0.0.1:5557" in warning
    assert endpoint in warning
    daemon.stats_endpoint = endpoint
    daemon.stats("stat.good").wait_for_topic("stat.good")
    path = pathlib.Path(endpoint.removeprefix("ipc://"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    daemon.stop()
    assert not path.exists()


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("singleton = true\nnumprocesses = 2\n", "a singleton has at most one process"),
        ("copy_path = true\n", "copy_path needs copy_env = True"),
        ("virtualenv = /nonexistent\ncopy_env = true\n", "/nonexistent"),
        ("stdout_stream.max_bytes = 3\n", "stdout_stream"),
        ("hooks.before_start = no.such.hook\n", "no.such.hook"),
        ("stdin_socket = nope\n", "nope"),
    ],
)
def test_a_watcher_that_cannot_be_is_left_out_and_seen(circusd: Start, bad: str, told: str) -> None:
    daemon = circusd(f"[watcher:bad]\n{SLEEPER}{bad}{GOOD}")
    daemon.wait_status("good", "active")
    assert daemon.ok("list")["watchers"] == ["good"]
    config = daemon.ok("telemetry")["config"]
    assert config["ok"] is False
    assert [omitted for omitted in config["omitted"] if "watcher:bad" in omitted and told in omitted]
    assert [line for line in daemon.log_text().splitlines() if "[ERROR]" in line and told in line]


def test_a_misspelt_option_is_warned_about_with_the_nearest_name(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}numproceses = 2\nour_own = 1\n")
    (warning,) = (line for line in daemon.log_text().splitlines() if "[WARNING]" in line)
    assert "numproceses" in warning
    assert "numprocesses" in warning
    assert daemon.ok("options", name="web")["options"]["our_own"] == "1"


def test_check_is_content_with_what_is_right(tmp_path: pathlib.Path) -> None:
    done = check(GOOD, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("checked.ini: ok\n")


@pytest.mark.parametrize(
    "bad", ["numprocesses = many\n", "singleton = true\nnumprocesses = 2\n", "uid = no-such-user\n"]
)
def test_check_fails_on_mistakes_and_on_contradictions(tmp_path: pathlib.Path, bad: str) -> None:
    done = check(f"{GOOD}{bad}", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'checked.ini'}:")


def test_check_starts_and_binds_nothing(tmp_path: pathlib.Path) -> None:
    with reserved_port() as port, socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        sockets = f"[socket:a]\nhost = 127.0.0.1\nport = {port}\n[socket:b]\nhost = 127.0.0.1\nport = {taken}\n"
        done = check(f"{GOOD}{sockets}[circus]\nendpoint = tcp://127.0.0.1:{taken}\n", tmp_path)
    assert done.returncode == 0


def test_a_daemon_in_the_background_says_that_it_is_up(circusd: Start, tmp_path: pathlib.Path) -> None:
    pidfile = tmp_path / "circusd.pid"
    daemon = circusd(GOOD, arguments=["--daemon", "--pidfile", str(pidfile)], start=False)
    daemon.spawn()
    assert daemon.wait() == 0
    # It answers when the program that was started has ended.
    assert daemon.call("numwatchers", timeout=DEADLINE)["numwatchers"] == 1
    pid = int(pidfile.read_text())
    daemon.wait_pids("good", 1)
    assert proc.children(pid) == set(daemon.pids("good"))
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not proc.alive(pid))
    assert not pidfile.exists()


def test_a_daemon_in_the_background_that_cannot_start_says_why(circusd: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        endpoint = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        daemon = circusd(GOOD, options={"endpoint": endpoint}, arguments=["--daemon"], start=False)
        refused(daemon, endpoint, "somebody listens there already")


def test_check_warns_of_programs_and_plugins_that_are_not_there_and_circusd_starts(
    circusd: Start, tmp_path: pathlib.Path
) -> None:
    text = f"{GOOD}[watcher:later]\ncmd = /nowhere/program\n[plugin:p]\nuse = circus.plugins.flapping.Flaping\n"
    done = check(text, tmp_path)
    ini = tmp_path / "checked.ini"
    assert (done.returncode, done.stdout) == (0, f"{ini}: ok\n")
    assert [line.partition(": [")[0] for line in done.stderr.splitlines()] == [f"warning: {ini}:4", f"warning: {ini}:6"]
    assert "cmd = '/nowhere/program': there is no program '/nowhere/program' at the moment" in done.stderr
    assert "there is nothing called 'Flaping' in " in done.stderr
    daemon = circusd(text)
    daemon.wait_pids("good", 1)
    assert "there is no program '/nowhere/program' at the moment" in daemon.log_text()
