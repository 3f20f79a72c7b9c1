"""A circusd that is killed, and the one after it: who is left alone, who is ended, and who is never touched."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import subprocess
import time
from typing import Any

import pytest

from tests import workers
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.orphans import Scene, scene
from tests.helpers.waiting import wait_until

__all__ = ["scene"]

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="there are no handles on processes here")

SLEEPERS = "[watcher:web]\ncmd = sleep 100000\nnumprocesses = 3\n"
KILL = "[circus]\norphans = kill\n"


def lines(path: pathlib.Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def noted(path: pathlib.Path) -> set[int]:
    return {line["pid"] for line in lines(path) if line.get("is") == "worker"}


# -- ignore ---------------------------------------------------------------------------------------------------------------


def test_with_ignore_nothing_is_written_and_orphans_are_left_alone(scene: Scene) -> None:
    daemon = scene.circusd(SLEEPERS)
    daemon.wait_pids("web", 3)
    assert list(scene.directory.iterdir()) == []
    left = scene.kill(daemon)
    daemon.start()
    assert not set(daemon.wait_pids("web", 3)) & left
    assert all(map(proc.alive, left))
    assert "orphans" not in daemon.log_text()


def test_one_watcher_may_say_something_else(scene: Scene) -> None:
    daemon = scene.circusd(SLEEPERS + "[watcher:other]\ncmd = sleep 100000\norphans = kill\n")
    alone, ended = daemon.wait_pids("web", 3), daemon.wait_pids("other", 1)
    (file,) = scene.state_files()
    assert noted(file) == set(ended)
    scene.kill(daemon)
    daemon.start()
    assert all(map(proc.alive, alone))
    assert not any(map(proc.alive, ended))


def serving(circus: str, watcher: str = "", port: int = 0) -> str:
    return (
        f"[circus]\n{circus}[socket:http]\nhost = 127.0.0.1\nport = {port}\n"
        f"[watcher:web]\ncmd = {workers.python('echo', '$(circus.sockets.http)')}\nuse_sockets = true\nnumprocesses = 2\n"
        f"{watcher}"
    )


def left_serving(scene: Scene, circus: str, watcher: str = "") -> tuple[Daemon, list[int], int]:
    """A daemon that was killed, the workers that it left, and the port that they hold."""
    daemon = scene.circusd(serving(circus, watcher))
    pids = daemon.wait_pids("web", 2)
    port = daemon.ok("listsockets")["sockets"][0]["port"]
    scene.kill(daemon)
    return daemon, pids, port


def changed(daemon: Daemon, was: str, now: str) -> None:
    text = daemon.ini.read_text()
    assert was in text
    daemon.ini.write_text(text.replace(was, now))


def not_started(daemon: Daemon) -> str:
    """The line about the socket of a daemon that does not start."""
    assert daemon.spawn().wait() == 1
    return next(line for line in reversed(daemon.log_text().splitlines()) if "cannot be bound" in line)


def test_with_ignore_orphans_that_hold_an_address_keep_circusd_from_starting(scene: Scene) -> None:
    daemon, pids, port = left_serving(scene, "")
    changed(daemon, "port = 0", f"port = {port}")
    line = not_started(daemon)
    # Nothing was noted, so nothing is said of whose they are.
    assert line.endswith(f"[ERROR] socket 'http' at 127.0.0.1:{port} cannot be bound: Address already in use")
    assert all(map(proc.alive, pids))
    assert list(scene.directory.iterdir()) == []


@pytest.mark.parametrize(
    "other", ["", "[watcher:other]\ncmd = sleep 100000\norphans = adopt\n"], ids=["all ignore", "one adopts"]
)
def test_orphans_that_were_noted_and_hold_an_address_are_named_and_can_still_be_taken_over(
    scene: Scene, other: str
) -> None:
    daemon, pids, port = left_serving(scene, "orphans = adopt\n", other)
    others = scene.known - set(pids)
    changed(daemon, "port = 0", f"port = {port}")
    changed(daemon, "[circus]\norphans = adopt\n", "[circus]\norphans = ignore\n")
    for _ in range(2):  # what was noted is not forgotten by a circusd that has not started
        line = not_started(daemon)
        assert line.endswith(
            f"socket 'http' at 127.0.0.1:{port} cannot be bound: Address already in use: workers that an earlier circusd "
            f"left have it: 'web' (pid {pids[0]}, {pids[1]}); orphans = adopt takes them over, orphans = kill ends them"
        )
        assert all(map(proc.alive, [*pids, *others]))
    changed(daemon, "[circus]\norphans = ignore\n", "[circus]\norphans = adopt\n")
    daemon.start()
    assert daemon.pids("web") == pids
    assert set(daemon.pids("other") if other else []) == others


def test_orphans_that_could_not_be_taken_over_are_only_said_to_be_ended_by_kill(scene: Scene) -> None:
    daemon, pids, port = left_serving(scene, "orphans = kill\n")
    changed(daemon, "port = 0", f"port = {port}")
    changed(daemon, "orphans = kill", "orphans = ignore")
    assert not_started(daemon).endswith(f"'web' (pid {pids[0]}, {pids[1]}); orphans = kill ends them")
    changed(daemon, "orphans = ignore", "orphans = kill")
    daemon.start()
    assert not any(map(proc.alive, pids))


def test_an_address_that_a_stranger_holds_is_not_said_to_be_theirs(scene: Scene) -> None:
    daemon, pids, _ = left_serving(scene, "orphans = adopt\n")
    changed(daemon, "orphans = adopt", "orphans = ignore")
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        changed(daemon, "port = 0", f"port = {port}")
        assert not_started(daemon).endswith(f"127.0.0.1:{port} cannot be bound: Address already in use")
    assert all(map(proc.alive, pids))


def test_who_was_left_alone_by_a_circusd_that_started_is_nobody_s_business_any_more(scene: Scene) -> None:
    daemon = scene.circusd(f"{KILL}{SLEEPERS}[watcher:other]\ncmd = sleep 100000\n")
    left = daemon.wait_pids("web", 3)
    scene.kill(daemon)
    changed(daemon, SLEEPERS, f"{SLEEPERS}orphans = ignore\n")
    daemon.start()
    daemon.wait_pids("other", 1)
    daemon.wait_pids("web", 3)
    scene.kill(daemon)
    changed(daemon, "orphans = ignore\n", "")
    daemon.start()
    assert all(map(proc.alive, left))


# -- kill -----------------------------------------------------------------------------------------------------------------


def test_with_kill_they_are_gone_before_anything_is_started(scene: Scene) -> None:
    daemon = scene.circusd(KILL + SLEEPERS)
    daemon.wait_pids("web", 3)
    left = scene.kill(daemon)
    assert len(left) == 3
    daemon.start()
    assert not any(map(proc.alive, left))
    (file,) = scene.state_files()
    pids = daemon.wait_pids("web", 3)
    assert noted(file) == set(pids)
    daemon.stop()
    assert not file.exists()


def test_the_stop_signal_and_the_grace_are_those_of_the_watcher(scene: Scene, tmp_path: pathlib.Path) -> None:
    told = tmp_path / "told"
    polite = f"""trap 'echo INT >>{told}; exit' INT; while :; do sleep 0.05; done"""
    deaf = f"""trap 'echo deaf >>{told}' INT TERM; while :; do sleep 0.05; done"""
    daemon = scene.circusd(
        f'{KILL}[watcher:polite]\ncmd = sh -c "{polite}"\nstop_signal = INT\n'
        f'[watcher:deaf]\ncmd = sh -c "{deaf}"\nstop_signal = INT\ngraceful_timeout = 0.3\n'
    )
    pids = daemon.wait_pids("polite", 1) + daemon.wait_pids("deaf", 1)
    wait_until(lambda: all(map(_catches, pids)))
    scene.kill(daemon)
    daemon.start()
    assert not any(map(proc.alive, pids))
    assert sorted(told.read_text().split()) == ["INT", "deaf"]


def _status(pid: int) -> bytes:
    return pathlib.Path(f"/proc/{pid}/status").read_bytes()


def _catches(pid: int, signum: int = signal.SIGINT) -> bool:
    caught = next(line for line in _status(pid).splitlines() if line.startswith(b"SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signum - 1) & 1)


@pytest.mark.parametrize("ways", ["", "walk,mark", "mark"])
def test_a_tree_is_ended_with_all_that_left_it(scene: Scene, tmp_path: pathlib.Path, ways: str) -> None:
    file = tmp_path / "pids"
    daemon = scene.circusd(
        f"{KILL}[watcher:web]\ncmd = {workers.python('fork_tree', file, '--daemon', '--deaf')}\n"
        "kill_scope = tree\ngraceful_timeout = 0.3\n",
        env={"CIRCUS_KILL_BY": ways},
    )
    tree = wait_until(lambda: json.loads(file.read_text()) if file.exists() else None)
    scene.known |= set(tree.values())
    scene.kill(daemon)
    file.unlink()
    daemon.start()
    assert not any(map(proc.alive, tree.values()))
    scene.known |= set(wait_until(lambda: json.loads(file.read_text()) if file.exists() else None).values())


def test_the_socket_of_an_orphan_is_free_again(scene: Scene) -> None:
    daemon = scene.circusd(
        f"{KILL}[socket:http]\nhost = 127.0.0.1\nport = 0\n"
        f"[watcher:web]\ncmd = {workers.python('echo', '$(circus.sockets.http)')}\nuse_sockets = true\n"
    )
    daemon.wait_pids("web", 1)
    port = daemon.ok("listsockets")["sockets"][0]["port"]
    daemon.ini.write_text(daemon.ini.read_text().replace("port = 0", f"port = {port}"))
    scene.kill(daemon)
    daemon.start()
    assert daemon.ok("listsockets")["sockets"][0]["port"] == port


def test_what_the_watcher_was_when_it_is_not_there_any_more(scene: Scene) -> None:
    daemon = scene.circusd(KILL + SLEEPERS + "[watcher:gone]\ncmd = sleep 100000\n")
    gone = daemon.wait_pids("gone", 1)
    scene.kill(daemon)
    daemon.ini.write_text(daemon.ini.read_text().replace("[watcher:gone]", "[watcher:new]"))
    daemon.start()
    assert not any(map(proc.alive, gone))
    assert "1 of 'gone' to be ended (there is no such watcher any more)" in daemon.log_text()


def test_a_worker_that_was_left_to_itself_is_nobody_s_business(scene: Scene) -> None:
    daemon = scene.circusd(KILL + SLEEPERS)
    pids = daemon.wait_pids("web", 3)
    daemon.ok("rm", name="web", nostop=True)
    scene.kill(daemon)
    daemon.start()
    assert all(map(proc.alive, pids))


def test_a_worker_that_nobody_had_the_time_to_note_is_known_by_its_environment(scene: Scene) -> None:
    daemon = scene.circusd(KILL + SLEEPERS)
    daemon.wait_pids("web", 3)
    (file,) = scene.state_files()
    left = scene.kill(daemon)
    last = file.read_text().splitlines()
    file.write_text("".join(f"{line}\n" for line in last[:-1]))
    daemon.start()
    assert not any(map(proc.alive, left))


def test_the_same_of_a_watcher_that_was_made_anew_and_counts_from_one(scene: Scene) -> None:
    daemon = scene.circusd(KILL + SLEEPERS)
    daemon.wait_pids("web", 3)
    daemon.ok("reload", name="web", waiting=True)
    daemon.ok("restart", waiting=True)
    daemon.wait_pids("web", 3)
    (file,) = scene.state_files()
    left = scene.kill(daemon)
    last = file.read_text().splitlines()
    file.write_text("".join(f"{line}\n" for line in last[:-1]))
    daemon.start()
    assert not any(map(proc.alive, left))


def test_what_a_worker_that_ended_left_behind_is_not_taken_for_a_worker(scene: Scene, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "pid"
    script = f"setsid sleep 100000 & echo $! >{file}.new; mv {file}.new {file}; exec sleep 100000"
    daemon = scene.circusd(f"{KILL}[watcher:web]\ncmd = sh -c '{script}'\n")
    (first,) = daemon.wait_pids("web", 1)
    child = int(wait_until(lambda: file.read_text().strip() if file.exists() else ""))
    scene.known.add(child)
    file.unlink()
    os.kill(first, signal.SIGKILL)
    daemon.wait_pids("web", 1, without=[first])
    scene.known.add(int(wait_until(lambda: file.read_text().strip() if file.exists() else "")))
    scene.kill(daemon)
    (state,) = scene.state_files()
    state.write_text("".join(f"{line}\n" for line in state.read_text().splitlines() if f'"pid":{first},' not in line))
    file.unlink()
    daemon.start()
    assert proc.alive(child)
    scene.known.add(int(wait_until(lambda: file.read_text().strip() if file.exists() else "")))


# -- who is never touched -------------------------------------------------------------------------------------------------


def test_a_stranger_who_has_the_pid_now_is_never_touched(scene: Scene) -> None:
    daemon = scene.circusd(KILL + SLEEPERS)
    daemon.wait_pids("web", 3)
    (file,) = scene.state_files()
    left = scene.kill(daemon)
    # A pid does not come round within one tick of the clock in which the starts of processes are told.
    time.sleep(2 / os.sysconf("SC_CLK_TCK"))
    with subprocess.Popen(["sleep", "100000"], start_new_session=True) as stranger:
        found = lines(file)
        for line in found:
            if line.get("is") == "worker":
                line["pid"] = stranger.pid
        file.write_text("".join(json.dumps(line) + "\n" for line in found))
        daemon.start()
        assert proc.alive(stranger.pid)
        stranger.kill()
    assert left


@pytest.mark.parametrize(
    "other",
    [
        {"machine": "11111111-2222-3333-4444-555555555555"},
        {"namespace": 1},
        {"version": 2},
        {"kind": "something"},
        {"config": "/another/circus.ini"},
    ],
)
def test_a_file_of_another_boot_container_or_version_ends_nobody(scene: Scene, other: dict[str, Any]) -> None:
    daemon = scene.circusd(KILL + SLEEPERS)
    daemon.wait_pids("web", 3)
    (file,) = scene.state_files()
    left = scene.kill(daemon)
    head, *rest = file.read_text().splitlines()
    written = "".join(f"{line}\n" for line in [json.dumps(json.loads(head) | other), *rest])
    file.write_text(written)
    daemon.start()
    assert all(map(proc.alive, left))
    daemon.wait_pids("web", 3)
    if not {"machine", "namespace"} & other.keys():
        assert "is not acted upon" in daemon.log_text()
        assert pathlib.Path(f"{file}.unread").read_text() == written


@pytest.mark.parametrize("text", [b"", b"\x00" * 4096, b"{", b"\xff" * 100 + b"\n"])
def test_a_file_without_sense_ends_nobody_and_keeps_nobody_from_starting(scene: Scene, text: bytes) -> None:
    daemon = scene.circusd(KILL + SLEEPERS)
    daemon.wait_pids("web", 3)
    (file,) = scene.state_files()
    left = scene.kill(daemon)
    file.write_bytes(text)
    daemon.start()
    assert all(map(proc.alive, left))
    pids = daemon.wait_pids("web", 3)
    assert noted(file) == set(pids)


# -- two daemons, and what goes wrong --------------------------------------------------------------------------------------


def test_a_second_circusd_on_the_same_file_leaves_and_touches_nobody(scene: Scene) -> None:
    daemon = scene.circusd(KILL + SLEEPERS)
    pids = daemon.wait_pids("web", 3)
    second = subprocess.run(
        [*daemon._command[:-1], str(daemon.ini)],
        env=dict(daemon.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert f"circusd {daemon.pid}, which lives and runs {daemon.ini}, holds the state file" in second.stderr
    assert "Traceback" not in second.stderr
    assert daemon.pids("web") == pids
    assert noted(scene.state_files()[0]) == set(pids)


def test_another_circusd_with_a_configuration_of_its_own_has_a_file_of_its_own(scene: Scene) -> None:
    one, other = scene.circusd(KILL + SLEEPERS), scene.circusd(KILL + SLEEPERS)
    pids = one.wait_pids("web", 3)
    other.wait_pids("web", 3)
    assert len(scene.state_files()) == 2
    scene.kill(other)
    other.start()
    assert one.pids("web") == pids


def test_the_state_file_may_be_anywhere(scene: Scene, tmp_path: pathlib.Path) -> None:
    daemon = scene.circusd(KILL + SLEEPERS, options={"state_file": "my.workers"})
    pids = daemon.wait_pids("web", 3)
    file = daemon.ini.parent / "my.workers"
    assert noted(file) == set(pids)
    assert scene.state_files() == []
    scene.kill(daemon)
    daemon.start()
    assert not any(map(proc.alive, pids))
    assert tmp_path in file.parents


def test_a_state_file_that_cannot_be_had_is_told_and_everything_goes_on(scene: Scene) -> None:
    daemon = scene.circusd(KILL + SLEEPERS, options={"state_file": "nowhere/workers"})
    daemon.wait_pids("web", 3)
    assert "nowhere/workers cannot be used: No such file or directory" in daemon.log_text()
    assert daemon.log_text().count("orphans:") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system takes root")
def test_a_disk_that_is_full_is_told_once_and_everything_goes_on(scene: Scene, tmp_path: pathlib.Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    daemon = scene.circusd(
        f"{KILL}[watcher:web]\ncmd = sleep 100000\nnumprocesses = 40\n",
        options={"state_file": disk / "workers"},
        through=[
            "unshare", "-m", "sh", "-c",
            f'mount -t tmpfs -o size=64k none {disk} && ! head -c 100000 /dev/zero 2>/dev/null >{disk}/filler && exec "$0" "$@"',
        ],
    )  # fmt: skip
    daemon.wait_pids("web", 40)
    inside = pathlib.Path(f"/proc/{daemon.pid}/root{disk}")
    assert daemon.log_text().count("No space left on device") == 1
    assert daemon.ok("incr", name="web", nb=1, waiting=True)["numprocesses"] == 41
    (inside / "filler").unlink()
    wait_until(lambda: "is written again, and whole" in daemon.log_text(), 30.0)
    pids = daemon.wait_pids("web", 41)
    assert noted(inside / "workers") == set(pids)


def test_a_crash_loop_does_not_let_the_file_grow(scene: Scene) -> None:
    daemon = scene.circusd(
        f"{KILL}[watcher:web]\ncmd = sh -c 'exit 1'\nnumprocesses = 4\nbackoff = 0\nmax_retry = -1\n"
    )
    (file,) = wait_until(scene.state_files)
    seen = wait_until(lambda: file.stat().st_ino)
    wait_until(lambda: file.stat().st_ino != seen, 60.0)
    assert file.stat().st_size < 70_000
    daemon.ok("stop", name="web", waiting=True)


def test_sigterm_while_orphans_are_being_ended_ends_circusd_at_once(scene: Scene) -> None:
    daemon = scene.circusd(
        f"{KILL}[watcher:web]\ncmd = sh -c \"trap '' TERM; while :; do sleep 0.1; done\"\ngraceful_timeout = 1000\n"
    )
    (pid,) = daemon.wait_pids("web", 1)
    wait_until(lambda: _ignores(pid))
    scene.kill(daemon)
    daemon.spawn()
    wait_until(lambda: "to be ended" in daemon.log_text())
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert proc.alive(pid)
    # It is still noted: the next one ends it, faster.
    daemon.ini.write_text(daemon.ini.read_text().replace("graceful_timeout = 1000", "graceful_timeout = 0.1"))
    daemon.start()
    assert not proc.alive(pid)


def _ignores(pid: int, signum: int = signal.SIGTERM) -> bool:
    ignored = next(line for line in _status(pid).splitlines() if line.startswith(b"SigIgn:"))
    return bool(int(ignored.split()[1], 16) >> (signum - 1) & 1)


def test_a_policy_that_is_set_live_holds_for_what_comes(scene: Scene) -> None:
    daemon = scene.circusd(SLEEPERS)
    before = daemon.wait_pids("web", 3)
    daemon.ok("set", name="web", options={"orphans": "kill"}, waiting=True)
    assert daemon.ok("incr", name="web", nb=1, waiting=True)["numprocesses"] == 4
    after = daemon.wait_pids("web", 4)
    (file,) = scene.state_files()
    assert noted(file) == set(after) - set(before)


# -- parent_death_signal ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["", "uid = nobody\n"])
def test_with_a_parent_death_signal_nobody_outlives_circusd(scene: Scene, user: str) -> None:
    if user and os.geteuid() != 0:
        pytest.skip("becoming another user takes root")
    daemon = scene.circusd(SLEEPERS + "parent_death_signal = KILL\n" + user)
    pids = daemon.wait_pids("web", 3)
    daemon.ok("reload", name="web", waiting=True)
    pids = daemon.wait_pids("web", 3, without=pids)
    scene.known |= set(pids)
    scene.kill(daemon)
    wait_until(lambda: not any(map(proc.alive, pids)))


def test_a_state_file_that_somebody_removed_is_written_anew(scene: Scene) -> None:
    daemon = scene.circusd(KILL + SLEEPERS, options={"check_delay": 0.2})
    pids = daemon.wait_pids("web", 3)
    (file,) = scene.state_files()
    file.unlink()
    file.parent.rmdir()
    wait_until(lambda: file.exists() and noted(file) == set(pids))
    scene.kill(daemon)
    daemon.start()
    assert not any(map(proc.alive, pids))


def test_a_watcher_that_wanted_it_and_is_gone_is_remembered_though_all_others_say_ignore(scene: Scene) -> None:
    daemon = scene.circusd(SLEEPERS + "[watcher:other]\ncmd = sleep 100000\norphans = kill\n")
    left, ended = daemon.wait_pids("web", 3), daemon.wait_pids("other", 1)
    scene.kill(daemon)
    text = daemon.ini.read_text()
    daemon.ini.write_text(text.replace("[watcher:other]\ncmd = sleep 100000\norphans = kill\n", ""))
    daemon.start()
    assert not any(map(proc.alive, ended))
    assert all(map(proc.alive, left))
    assert scene.state_files() == []


def test_what_is_left_of_a_tree_whose_worker_has_ended_is_ended_too(scene: Scene, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "pids"
    # The worker ends at once, what it started does not: circusd is killed while it waits for that.
    daemon = scene.circusd(
        f"{KILL}[watcher:web]\ncmd = {workers.python('fork_tree', file, '--daemon', '--deaf')}\n"
        "kill_scope = tree\ngraceful_timeout = 1000\n"
    )
    tree = wait_until(lambda: json.loads(file.read_text()) if file.exists() else None)
    scene.known |= set(tree.values())
    (main,) = daemon.pids("web")
    os.kill(main, signal.SIGKILL)
    wait_until(lambda: not proc.alive(main))
    rest = [pid for pid in tree.values() if pid != main]
    assert all(map(proc.alive, rest))
    scene.kill(daemon)
    daemon.ini.write_text(daemon.ini.read_text().replace("graceful_timeout = 1000", "graceful_timeout = 0.2"))
    file.unlink()
    daemon.start()
    assert not any(map(proc.alive, rest))
    scene.known |= set(wait_until(lambda: json.loads(file.read_text()) if file.exists() else None).values())
