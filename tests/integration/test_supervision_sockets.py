"""Sockets of the daemon in its workers: the same number, nothing else, and real connections."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
from collections.abc import Callable
from typing import Any

from tests import workers
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until
from tests.integration.test_supervision_starting import ask, port_of

Start = Callable[..., Daemon]

WEB = "[socket:web]\nhost = 127.0.0.1\nport = 0\n"
ECHO = f"cmd = {workers.python('echo', '$(circus.sockets.web)')}\nuse_sockets = true\n"
STANDARD = {0, 1, 2}


def told(file: pathlib.Path) -> dict[str, Any]:
    """What a report worker wrote."""
    wait_until(file.exists)
    said: dict[str, Any] = json.loads(file.read_text())
    return said


def test_a_worker_accepts_on_the_socket_of_its_command_line(circusd: Start) -> None:
    daemon = circusd(f"{WEB}[watcher:web]\n{ECHO}")
    assert ask(port_of(daemon)) == (daemon.wait_pids("web", 1)[0], b"hello")


def test_connections_wait_while_a_worker_is_replaced(circusd: Start) -> None:
    daemon = circusd(f"{WEB}[watcher:web]\n{ECHO}")
    port = port_of(daemon)
    first, _ = ask(port)
    os.kill(first, signal.SIGKILL)
    second, _ = ask(port)
    assert second != first


def test_connections_wait_while_the_watcher_is_restarted(circusd: Start) -> None:
    daemon = circusd(f"{WEB}[watcher:web]\n{ECHO}")
    port = port_of(daemon)
    first, _ = ask(port)
    daemon.ok("stop", name="web", waiting=True)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"early\n")
        daemon.ok("start", name="web", waiting=True)
        pid, _, line = connection.makefile("rb").readline().partition(b" ")
    assert line == b"early\n"
    assert int(pid) != first


def test_a_worker_has_all_sockets_under_their_numbers_and_nothing_else(circusd: Start, tmp_path: pathlib.Path) -> None:
    report = workers.python("report", tmp_path / "report")
    unix = f"[socket:ux]\npath = {tmp_path / 'ux.sock'}\n"
    daemon = circusd(f"{WEB}{unix}[watcher:web]\ncmd = {report}\nuse_sockets = true\nnumprocesses = 1\n")
    said = told(tmp_path / "report")
    fds = {int(fd): target for fd, target in said["fds"].items()}
    ours = proc.open_fds(daemon.pid)
    numbers = {sock["fd"] for sock in daemon.ok("listsockets")["sockets"]}
    assert set(fds) == STANDARD | numbers
    assert {fds[number] for number in numbers} == {ours[number] for number in numbers}


def test_a_worker_without_use_sockets_has_the_standard_descriptors_only(circusd: Start, tmp_path: pathlib.Path) -> None:
    plain = f"[watcher:plain]\ncmd = {workers.python('report', tmp_path / 'plain')}\n"
    streams = f"stdout_stream.class = FileStream\nstdout_stream.filename = {tmp_path / 'out'}\n"
    daemon = circusd(f"{WEB}[watcher:many]\ncmd = sleep 1000\nnumprocesses = 20\n{streams}{plain}")
    daemon.wait_pids("many", 20)
    assert set(map(int, told(tmp_path / "plain")["fds"])) == STANDARD
    # Also those that started while other processes, pipes and clients were there, once they have read their libraries.
    with daemon.caller():
        daemon.ok("restart", name="plain", waiting=True)
        pids = [*daemon.pids("many"), *daemon.pids("plain")]
        wait_until(lambda: all(set(proc.open_fds(pid)) == STANDARD for pid in pids))


def test_what_the_daemon_inherited_does_not_reach_workers_without_sockets(
    circusd: Start, tmp_path: pathlib.Path
) -> None:
    ini = f"[watcher:plain]\ncmd = {workers.python('report', tmp_path / 'plain')}\n"
    circusd(ini, through=["sh", "-c", 'exec 7</dev/zero; exec "$@"', "sh"])
    assert set(map(int, told(tmp_path / "plain")["fds"])) == STANDARD


def test_a_worker_is_given_a_socket_as_its_standard_input(circusd: Start) -> None:
    daemon = circusd(f"{WEB}[watcher:web]\ncmd = {workers.python('echo', 0)}\nstdin_socket = web\n")
    assert ask(port_of(daemon)) == (daemon.wait_pids("web", 1)[0], b"hello")


def test_a_standard_input_that_names_no_socket_is_told(circusd: Start) -> None:
    daemon = circusd(
        "[watcher:web]\ncmd = sleep 1000\nstdin_socket = nope\nmax_retry = 1\n[watcher:ok]\ncmd = sleep 1000\n"
    )
    daemon.wait_status("ok", "active")
    assert "'nope'" in daemon.log_text()
    assert daemon.call("status", name="web")["status"] != "active"


def test_a_unix_socket_is_listened_on_and_removed(circusd: Start, tmp_path: pathlib.Path) -> None:
    path = (
        pathlib.Path(os.path.relpath(tmp_path / "s", pathlib.Path.cwd())) if len(str(tmp_path)) > 90 else tmp_path / "s"
    )
    daemon = circusd(f"[socket:web]\npath = {path}\n[watcher:web]\n{ECHO}")
    daemon.wait_pids("web", 1)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        connection.sendall(b"hello\n")
        assert connection.makefile("rb").readline().endswith(b" hello\n")
    daemon.stop()
    assert not path.exists()


def test_each_process_has_a_socket_of_its_own_with_so_reuseport(circusd: Start) -> None:
    daemon = circusd(f"{WEB}so_reuseport = true\n[watcher:web]\n{ECHO}numprocesses = 2\n")
    pids = daemon.wait_pids("web", 2)
    # None for the daemon: no connection can get lost in a queue that nobody reads.
    first, second, ours = (_sockets(pid) for pid in (*pids, daemon.pid))
    assert (len(first - ours), len(second - ours)) == (1, 1)
    assert first != second
    assert {ask(port_of(daemon))[0] for _ in range(20)} <= set(pids)


def _sockets(pid: int) -> set[str]:
    return {target for target in proc.open_fds(pid).values() if target.startswith("socket:")}


def test_the_port_stays_when_all_processes_with_so_reuseport_are_replaced(circusd: Start) -> None:
    daemon = circusd(f"{WEB}so_reuseport = true\n[watcher:web]\n{ECHO}")
    pids = daemon.wait_pids("web", 1)
    port = port_of(daemon)
    daemon.ok("restart", name="web", waiting=True)
    assert port_of(daemon) == port
    daemon.wait_pids("web", 1, without=pids)
    wait_until(lambda: _accepts(port))
    assert ask(port)[0] in daemon.pids("web")


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_number_of_a_socket_is_known_without_use_sockets(circusd: Start, tmp_path: pathlib.Path) -> None:
    report = workers.python("report", tmp_path / "report", "$(circus.sockets.web)", "((circus.sockets.web))")
    daemon = circusd(f"{WEB}[watcher:web]\ncmd = {report}\n")
    (number,) = (sock["fd"] for sock in daemon.ok("listsockets")["sockets"])
    assert told(tmp_path / "report")["argv"] == [str(number)] * 2
