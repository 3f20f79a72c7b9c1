"""A circusd that takes over the workers of one that was killed: they run on, and are its own."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import threading
import time
from typing import Any

import pytest

from tests import workers
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.orphans import Scene, scene
from tests.helpers.upgrades import upgrade
from tests.helpers.waiting import DEADLINE, wait_until

__all__ = ["scene"]

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="there are no handles on processes here")

ADOPT = "[circus]\norphans = adopt\n"
SLEEPERS = "[watcher:web]\ncmd = sleep 100000\nnumprocesses = 3\n"
ENDING = """[watcher:web]
cmd = sh -c "trap 'exit 7' USR1; while :; do sleep 0.05; done"
"""


def records(daemon: Daemon, kind: str, watcher: str | None = "web") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.ok("events", record=kind)["records"]
    return [each for each in found if each["watcher"] == watcher and each["record"] == kind]


def starts(daemon: Daemon, watcher: str = "web") -> int:
    return sum(daemon.telemetry(watcher)["counters"]["starts"].values())


def changed(daemon: Daemon, old: str, new: str) -> None:
    text = daemon.ini.read_text()
    assert old in text
    daemon.ini.write_text(text.replace(old, new))


def test_they_run_on_and_are_no_starts(scene: Scene) -> None:
    daemon = scene.circusd(ADOPT + SLEEPERS)
    pids = daemon.wait_pids("web", 3)
    before = {slot["pid"]: slot["wid"] for slot in daemon.telemetry("web")["slots"]}
    boot = daemon.ok("telemetry")["boot"]
    assert scene.kill(daemon) == set(pids)
    daemon.start()
    daemon.wait_status("web", "active")
    assert sorted(daemon.pids("web")) == sorted(pids)
    told = daemon.telemetry("web")
    assert {slot["pid"]: slot["wid"] for slot in told["slots"]} == before
    assert {slot["state"] for slot in told["slots"]} == {"running"}
    assert starts(daemon) == 0
    (found,) = records(daemon, "arbiter.adopted", None)
    assert found["boot"] != boot
    assert found["data"] == {"boot": boot, "adopted": 3, "ended": 0, "left": 0, "sockets": 0}
    adopted = records(daemon, "process.adopted")
    assert {each["pid"] for each in adopted} == set(pids)
    assert {each["cause"]["seq"] for each in adopted} == {found["seq"]}
    assert all(each["data"]["boot"] == boot for each in adopted)


def test_again_and_again(scene: Scene) -> None:
    daemon = scene.circusd(ADOPT + SLEEPERS)
    pids = daemon.wait_pids("web", 3)
    for _ in range(3):
        scene.kill(daemon)
        daemon.start()
        assert sorted(daemon.wait_pids("web", 3)) == sorted(pids)
    daemon.ok("stop", name="web", waiting=True)
    assert not any(map(proc.alive, pids))


@pytest.mark.parametrize("reaped", [False, True])
def test_one_that_ends_is_replaced_and_its_status_is_told_where_it_can_be_known(scene: Scene, reaped: bool) -> None:
    daemon = scene.circusd(ADOPT + ENDING)
    (pid,) = daemon.wait_pids("web", 1)
    wait_until(lambda: _catches(pid, signal.SIGUSR1))
    scene.kill(daemon)
    daemon.start()
    assert daemon.wait_pids("web", 1) == [pid]
    if reaped:
        # Its parent is this process now, and collects its status at once.
        threading.Thread(target=os.waitpid, args=(pid, 0), daemon=True).start()
        scene.known.discard(pid)
    os.kill(pid, signal.SIGUSR1)
    daemon.wait_pids("web", 1, without=[pid])
    (end,) = [each for each in records(daemon, "process.exited") if each["pid"] == pid]
    if end["data"]["exit_code"] is None:
        assert reaped
        assert (end["data"]["reason"], end["data"]["outcome"]) == ("lost", "lost")
    else:
        assert (end["data"]["exit_code"], end["data"]["reason"]) == (7, "exit_error")
    (adopted,) = records(daemon, "process.adopted")
    assert end["cause"]["seq"] == adopted["seq"]
    assert starts(daemon) == 1


def _catches(pid: int, signum: int) -> bool:
    status = pathlib.Path(f"/proc/{pid}/status").read_bytes().splitlines()
    caught = next(line for line in status if line.startswith(b"SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signum - 1) & 1)


def test_one_that_is_killed_by_a_signal_is_told_so(scene: Scene) -> None:
    daemon = scene.circusd(ADOPT + SLEEPERS)
    pids = daemon.wait_pids("web", 3)
    scene.kill(daemon)
    daemon.start()
    daemon.wait_pids("web", 3)
    os.kill(pids[0], signal.SIGKILL)
    daemon.wait_pids("web", 3, without=pids[:1])
    (end,) = [each for each in records(daemon, "process.exited") if each["pid"] == pids[0]]
    assert (end["data"]["signal"], end["data"]["reason"]) == ("SIGKILL", "killed")


def test_they_are_stopped_reloaded_and_signalled_as_any_other(scene: Scene) -> None:
    daemon = scene.circusd(ADOPT + SLEEPERS)
    pids = daemon.wait_pids("web", 3)
    scene.kill(daemon)
    daemon.start()
    daemon.wait_pids("web", 3)
    assert daemon.ok("stats", name="web")["status"] == "ok"
    daemon.ok("reload", name="web", waiting=True)
    daemon.wait_pids("web", 3, without=pids)
    assert not any(map(proc.alive, pids))
    stopped = [each for each in records(daemon, "process.exited") if each["pid"] in pids]
    assert {each["data"]["reason"] for each in stopped} == {"stopped"}


def test_sigterm_stops_them_with_everything_else(scene: Scene) -> None:
    daemon = scene.circusd(ADOPT + SLEEPERS)
    pids = daemon.wait_pids("web", 3)
    scene.kill(daemon)
    daemon.start()
    daemon.wait_pids("web", 3)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert not any(map(proc.alive, pids))
    assert scene.state_files() == []


def test_a_number_that_is_a_thread_of_somebody_by_now_keeps_no_other_from_being_adopted(scene: Scene) -> None:
    daemon = scene.circusd(ADOPT + SLEEPERS)
    pids = daemon.wait_pids("web", 3)
    (file,) = scene.state_files()
    scene.kill(daemon)
    os.kill(pids[0], signal.SIGKILL)
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        text = file.read_text()
        assert f'"pid":{pids[0]},' in text
        file.write_text(text.replace(f'"pid":{pids[0]},', f'"pid":{thread.native_id},'))
        daemon.start()
        assert set(pids[1:]) < set(daemon.wait_pids("web", 3))
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("number", [1, 5])
def test_as_many_run_as_shall_and_nothing_is_started_twice(scene: Scene, number: int) -> None:
    daemon = scene.circusd(ADOPT + SLEEPERS)
    pids = set(daemon.wait_pids("web", 3))
    scene.kill(daemon)
    changed(daemon, "numprocesses = 3", f"numprocesses = {number}")
    daemon.start()
    now = set(daemon.wait_pids("web", number))
    assert len(now & pids) == min(number, 3)
    assert starts(daemon) == max(0, number - 3)
    assert sum(map(proc.alive, pids)) == min(number, 3)


def test_who_was_made_otherwise_is_replaced_gracefully(scene: Scene) -> None:
    daemon = scene.circusd(ADOPT + SLEEPERS + "[watcher:same]\ncmd = sleep 100000\n")
    pids, same = daemon.wait_pids("web", 3), daemon.wait_pids("same", 1)
    scene.kill(daemon)
    changed(daemon, "cmd = sleep 100000\nnumprocesses = 3", "cmd = sleep 100001\nnumprocesses = 3")
    daemon.start()
    now = daemon.wait_pids("web", 3, without=pids)
    wait_until(lambda: not any(map(proc.alive, pids)))
    assert all("100001" in proc.describe(pid) for pid in now)
    assert daemon.pids("same") == same
    (reload,) = records(daemon, "reload.finished")
    assert (reload["data"]["mode"], reload["data"]["ok"]) == ("graceful", True)
    assert starts(daemon) == 3


def test_an_option_that_needs_no_other_process_is_in_force_and_they_stay(scene: Scene) -> None:
    daemon = scene.circusd(ADOPT + SLEEPERS + "graceful_timeout = 10\n")
    pids = daemon.wait_pids("web", 3)
    scene.kill(daemon)
    changed(daemon, "graceful_timeout = 10", "graceful_timeout = 20")
    daemon.start()
    assert sorted(daemon.wait_pids("web", 3)) == sorted(pids)
    assert daemon.ok("options", name="web")["options"]["graceful_timeout"] == 20


def test_what_has_no_watcher_any_more_is_ended(scene: Scene) -> None:
    daemon = scene.circusd(ADOPT + SLEEPERS + "[watcher:gone]\ncmd = sleep 100000\n")
    pids, gone = daemon.wait_pids("web", 3), daemon.wait_pids("gone", 1)
    scene.kill(daemon)
    changed(daemon, "[watcher:gone]", "[watcher:new]")
    daemon.start()
    assert not any(map(proc.alive, gone))
    assert sorted(daemon.wait_pids("web", 3)) == sorted(pids)
    assert daemon.wait_pids("new", 1) != gone
    assert "(there is no such watcher any more)" in daemon.log_text()


def test_one_that_was_started_by_hand_goes_on_though_it_does_not_start_by_itself(scene: Scene) -> None:
    daemon = scene.circusd(ADOPT + SLEEPERS + "autostart = false\n")
    daemon.ok("start", name="web", waiting=True)
    pids = daemon.wait_pids("web", 3)
    scene.kill(daemon)
    daemon.start()
    assert sorted(daemon.wait_pids("web", 3)) == sorted(pids)


def test_of_a_watcher_without_respawn_nothing_is_started_beside_the_others(scene: Scene) -> None:
    daemon = scene.circusd(ADOPT + SLEEPERS + "respawn = false\n")
    pids = daemon.wait_pids("web", 3)
    os.kill(pids[0], signal.SIGKILL)
    daemon.wait_pids("web", 2)
    scene.kill(daemon)
    daemon.start()
    assert sorted(daemon.wait_pids("web", 2)) == sorted(pids[1:])
    daemon.ok("stop", name="web", waiting=True)
    assert starts(daemon) == 0


def test_a_plugin_is_never_taken_over(scene: Scene) -> None:
    daemon = scene.circusd(ADOPT + SLEEPERS + "[plugin:flap]\nuse = circus.plugins.flapping.Flapping\n")
    pids, plugin = daemon.wait_pids("web", 3), daemon.wait_pids("plugin:flap", 1)
    scene.kill(daemon)
    daemon.start()
    assert sorted(daemon.wait_pids("web", 3)) == sorted(pids)
    assert daemon.wait_pids("plugin:flap", 1) != plugin
    assert not any(map(proc.alive, plugin))


def test_a_tree_is_still_a_tree(scene: Scene, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "pids"
    daemon = scene.circusd(
        f"{ADOPT}[watcher:web]\ncmd = {workers.python('fork_tree', file, '--daemon', '--deaf')}\n"
        "kill_scope = tree\ngraceful_timeout = 0.3\n"
    )
    tree = wait_until(lambda: json.loads(file.read_text()) if file.exists() else None)
    scene.known |= set(tree.values())
    scene.kill(daemon)
    daemon.start()
    daemon.wait_pids("web", 1)
    daemon.ok("stop", name="web", waiting=True)
    assert not any(map(proc.alive, tree.values()))


def test_its_age_counts_from_its_start(scene: Scene) -> None:
    daemon = scene.circusd(ADOPT + "[watcher:web]\ncmd = sleep 100000\nmax_age = 3\nmax_age_variance = 0\n")
    (pid,) = daemon.wait_pids("web", 1)
    began = time.monotonic()
    scene.kill(daemon)
    daemon.start()
    daemon.wait_pids("web", 1, without=[pid])
    ends = records(daemon, "process.exited")
    if not ends:  # so slow that it was too old when it was found
        assert time.monotonic() - began > 3
        return
    assert ends[0]["data"]["reason"] == "max_age"
    assert 3.0 <= ends[0]["data"]["lifetime_seconds"] < 3.0 + DEADLINE


# -- sockets --------------------------------------------------------------------------------------------------------------


class Client:
    """Asks over and over on an address; `failed` are the errors."""

    def __init__(self, family: int, address: Any) -> None:
        self.answers: list[bytes] = []
        self.failed: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(family, address))
        self._thread.start()

    def _run(self, family: int, address: Any) -> None:
        while not self._over.is_set():
            try:
                with socket.socket(family) as connection:
                    connection.settimeout(DEADLINE)
                    connection.connect(address)
                    connection.sendall(b"hello\n")
                    self.answers.append(connection.recv(100))
            except OSError as error:
                self.failed.append(str(error))
            time.sleep(0.002)

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_no_request_on_a_socket_fails(scene: Scene, tmp_path: pathlib.Path, kind: str) -> None:
    path = tmp_path / "s"
    where = f"path = {path}\n" if kind == "unix" else "host = 127.0.0.1\nport = 0\n"
    daemon = scene.circusd(
        f"{ADOPT}[socket:http]\n{where}[watcher:web]\ncmd = {workers.python('echo', '$(circus.sockets.http)')}\n"
        "use_sockets = true\nnumprocesses = 3\n"
    )
    pids = daemon.wait_pids("web", 3)
    port = daemon.ok("listsockets")["sockets"][0].get("port")
    where_it_is = (socket.AF_UNIX, str(path)) if kind == "unix" else (socket.AF_INET, ("127.0.0.1", port))
    client = Client(*where_it_is)
    try:
        wait_until(lambda: len(client.answers) > 20)
        scene.kill(daemon)
        seen = len(client.answers)
        wait_until(lambda: len(client.answers) > seen + 20)
        daemon.start()
        assert sorted(daemon.wait_pids("web", 3)) == sorted(pids)
        assert daemon.ok("listsockets")["sockets"][0].get("port") == port
        seen = len(client.answers)
        wait_until(lambda: len(client.answers) > seen + 20)
    finally:
        client.stop()
    assert client.failed == []
    assert all(int(answer.split()[0]) in pids for answer in client.answers)
    # It is the same socket: new workers serve it too.
    daemon.ok("reload", name="web", waiting=True)
    now = daemon.wait_pids("web", 3, without=pids)
    client = Client(*where_it_is)
    try:
        wait_until(lambda: client.answers)
    finally:
        client.stop()
    assert all(int(answer.split()[0]) in now for answer in client.answers)
    daemon.stop()
    assert not path.exists()


def test_a_socket_with_another_address_ends_those_who_hold_the_old_one(scene: Scene, tmp_path: pathlib.Path) -> None:
    daemon = scene.circusd(
        f"{ADOPT}[socket:http]\npath = {tmp_path / 'old'}\n"
        f"[watcher:web]\ncmd = {workers.python('echo', '$(circus.sockets.http)')}\nuse_sockets = true\n"
        "[watcher:x]\n"
        "cmd = sleep 100000\n"
    )
    pids, others = daemon.wait_pids("web", 1), daemon.wait_pids("x", 1)
    scene.kill(daemon)
    changed(daemon, str(tmp_path / "old"), str(tmp_path / "new"))
    daemon.start()
    daemon.wait_pids("web", 1, without=pids)
    assert not any(map(proc.alive, pids))
    assert daemon.pids("x") == others
    assert "socket 'http' has another address now" in daemon.log_text()


# -- output ---------------------------------------------------------------------------------------------------------------


def numbers(file: pathlib.Path, word: str) -> list[int]:
    found = [line.split() for line in file.read_text().splitlines()]
    return [int(words[1]) for words in found if len(words) == 2 and words[0] == word and words[1].isdigit()]


def test_no_line_of_captured_output_is_lost(scene: Scene, tmp_path: pathlib.Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    daemon = scene.circusd(
        f"{ADOPT}[watcher:web]\ncmd = {workers.python('chatty', 0, 0.2)}\n"
        f"stdout_stream.filename = {out}\nstderr_stream.filename = {err}\n"
    )
    pids = daemon.wait_pids("web", 1)
    for _ in range(2):
        # Right after a pair of lines: what circusd has read and not yet written when it is killed, is lost.
        seen = wait_until(lambda: err.exists() and len(numbers(err, "err")))
        wait_until(lambda seen=seen: len(numbers(err, "err")) > seen)
        scene.kill(daemon)
        time.sleep(1.0)  # in which lines are written and nobody reads
        daemon.start()
        assert daemon.wait_pids("web", 1) == pids
        last = numbers(out, "out")[-1]
        wait_until(lambda last=last: numbers(out, "out")[-1] > last + 5)
    for file, word in ((out, "out"), (err, "err")):
        found = numbers(file, word)
        assert found == list(range(1, len(found) + 1))
    tail = daemon.ok("tail", name="web", stream="stdout")
    assert tail["chunks"]
    daemon.ok("stop", name="web", waiting=True)


def test_the_last_words_of_one_that_was_taken_over_are_kept(scene: Scene, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "out"
    daemon = scene.circusd(
        f"""{ADOPT}[watcher:web]\ncmd = sh -c "trap 'echo farewell; exit 3' USR1; echo hello; while :; do sleep 0.05; done"\n"""
        f"stdout_stream.filename = {out}\n"
    )
    (pid,) = daemon.wait_pids("web", 1)
    wait_until(lambda: out.exists() and "hello" in out.read_text())
    scene.kill(daemon)
    daemon.start()
    daemon.wait_pids("web", 1)
    os.kill(pid, signal.SIGUSR1)
    daemon.wait_pids("web", 1, without=[pid])
    (end,) = [each for each in records(daemon, "process.exited") if each["pid"] == pid]
    assert end["data"]["tail"] == {"stdout": ["farewell"]}
    wait_until(lambda: out.read_text().splitlines() == ["hello", "farewell", "hello"])


def test_output_that_broke_with_circusd_cannot_be_taken_over(scene: Scene, tmp_path: pathlib.Path) -> None:
    daemon = scene.circusd(
        f"[watcher:web]\ncmd = sleep 100000\norphans = kill\nstdout_stream.filename = {tmp_path / 'out'}\n"
    )
    pids = daemon.wait_pids("web", 1)
    scene.kill(daemon)
    changed(daemon, "orphans = kill", "orphans = adopt")
    daemon.start()
    daemon.wait_pids("web", 1, without=pids)
    assert not any(map(proc.alive, pids))
    assert "its output broke with circusd" in daemon.log_text()


def test_a_watcher_that_has_to_be_left_out_leaves_no_orphan(scene: Scene, tmp_path: pathlib.Path) -> None:
    daemon = scene.circusd(f"{ADOPT}[watcher:web]\ncmd = sleep 100000\nhooks.after_stop = adoptedhooks.yes\n[env]\nPYTHONPATH = {tmp_path}\n",
                           start=False)  # fmt: skip
    (tmp_path / "adoptedhooks.py").write_text("def yes(**_): return True\n")
    daemon.start()
    pids = daemon.wait_pids("web", 1)
    scene.kill(daemon)
    (tmp_path / "adoptedhooks.py").unlink()
    for cached in (tmp_path / "__pycache__").glob("*"):
        cached.unlink()
    daemon.start()
    assert "left out" in daemon.log_text()
    assert not any(map(proc.alive, pids))


# -- and an upgrade of the one that took over --------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["main", "tree"])
def test_what_was_taken_over_is_handed_over_too(scene: Scene, tmp_path: pathlib.Path, scope: str) -> None:
    out = tmp_path / "out"
    daemon = scene.circusd(
        f"{ADOPT}{ENDING}kill_scope = {scope}\n"
        f"[watcher:chatty]\ncmd = {workers.python('chatty', 0, 0.2)}\nstdout_stream.filename = {out}\n"
    )
    (pid,), chatty = daemon.wait_pids("web", 1), daemon.wait_pids("chatty", 1)
    wait_until(lambda: _catches(pid, signal.SIGUSR1))
    wait_until(lambda: out.exists() and len(numbers(out, "out")) > 2)
    scene.kill(daemon)
    daemon.start()
    daemon.wait_pids("web", 1)
    upgrade(daemon)
    assert (daemon.pids("web"), daemon.pids("chatty")) == ([pid], chatty)
    seen = len(numbers(out, "out"))
    wait_until(lambda: len(numbers(out, "out")) > seen + 2)
    # The next one knows them too.
    scene.kill(daemon)
    daemon.start()
    assert (daemon.wait_pids("web", 1), daemon.wait_pids("chatty", 1)) == ([pid], chatty)
    upgrade(daemon)
    os.kill(pid, signal.SIGUSR1)
    daemon.wait_pids("web", 1, without=[pid])
    (end,) = [each for each in records(daemon, "process.exited") if each["pid"] == pid]
    assert end["data"]["exit_code"] == 7
    assert numbers(out, "out") == list(range(1, len(numbers(out, "out")) + 1))
    daemon.ok("stop", name="chatty", waiting=True)
    assert not any(map(proc.alive, chatty))
