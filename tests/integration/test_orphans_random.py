"""A hundred workers of all kinds, circusd killed at any moment: never two in a slot, and no orphan that nobody wants.

`CIRCUS_ORPHANS_ROUNDS` says how often circusd is killed under each policy, `CIRCUS_ORPHANS_SEED` repeats a run.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import signal
import socket
import threading
import time
from collections import Counter
from typing import Any

import pytest

from tests import workers
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.orphans import Scene, scene
from tests.helpers.waiting import wait_until

__all__ = ["scene"]

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="there are no handles on processes here")

ROUNDS = int(os.environ.get("CIRCUS_ORPHANS_ROUNDS", "2"))
NUMBERS = {"plain": 70, "family": 10, "chatty": 10, "echo": 10}
PATIENCE = 60.0


def ini(policy: str, tmp_path: pathlib.Path) -> str:
    return f"""
[circus]
orphans = {policy}

[socket:http]
path = {tmp_path / "http"}
replace = true

[watcher:plain]
cmd = sleep 100000
numprocesses = 70

[watcher:family]
cmd = sh -c 'sleep 100000 & setsid sleep 100000 & wait'
numprocesses = 10
kill_scope = tree

[watcher:chatty]
cmd = {workers.python("chatty", 0, 0.1)}
numprocesses = 10
stdout_stream.filename = {tmp_path / "out.{wid}"}
close_child_stderr = true

[watcher:echo]
cmd = {workers.python("echo", "$(circus.sockets.http)")}
use_sockets = true
numprocesses = 10
"""


def marked(tag: str) -> dict[tuple[str, int], list[int]]:
    """The living workers of these daemons, leaders of their sessions, by watcher and slot."""
    found: dict[tuple[str, int], list[int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            told = proc.stat(int(entry))
            if told is None or told.state in "ZX" or told.sid != told.pid:
                continue
            environ = pathlib.Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
            mine = f"CIRCUS_TEST={tag}".encode() in environ
            mark = next((each for each in environ if each.startswith(b"CIRCUS_PROCESS=")), None)
            if mine and mark is not None and told.comm != "circusd":
                _, name, wid, _ = mark.partition(b"=")[2].decode().split(":")
                found.setdefault((name, int(wid)), []).append(int(entry))
    return found


def end_all_but(daemon: Daemon, tag: str) -> None:
    """End whatever an earlier circusd has left. The helper cannot know whom it started in its last moment."""
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            environ = pathlib.Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
            if f"CIRCUS_TEST={tag}".encode() in environ and int(entry) not in proc.descendants(daemon.pid):
                os.kill(int(entry), signal.SIGKILL)


class Watch:
    """Looks all the time whether there are two in a slot. A child that left its session is none of them."""

    def __init__(self, tag: str) -> None:
        self.twice: set[tuple[Any, ...]] = set()
        self._tag, self._over = tag, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            for slot, pids in marked(self._tag).items():
                if slot[0] != "family" and len(pids) > 1:
                    # Not read in one moment: what ended meanwhile does not count.
                    living = [pid for pid in pids if proc.alive(pid)]
                    if len(living) > 1:
                        self.twice.add((slot, *living))
            time.sleep(0.02)

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


def all_there(daemon: Daemon) -> dict[str, set[int]]:
    def there() -> dict[str, set[int]] | None:
        found = {name: set(daemon.pids(name)) for name in NUMBERS}
        return found if {name: len(pids) for name, pids in found.items()} == NUMBERS else None

    found = wait_until(there, PATIENCE, daemon.log_text)
    assert found
    return found


def asks(path: pathlib.Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        connection.sendall(b"x\n")
        return bool(connection.recv(100))


def numbers(file: pathlib.Path) -> list[int]:
    return [int(line.split()[1]) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("policy", ["ignore", "kill", "adopt"])
def test_whenever_it_is_killed(scene: Scene, tmp_path: pathlib.Path, policy: str) -> None:
    seed = int(os.environ.get("CIRCUS_ORPHANS_SEED", "0")) or random.randrange(1, 10**9)
    print(f"CIRCUS_ORPHANS_SEED={seed}")
    chance = random.Random(seed)
    tag = f"{policy}-{os.getpid()}-{time.monotonic_ns()}"
    text = f"{ini(policy, tmp_path)}\n[env]\nCIRCUS_TEST = {tag}\nPATH = /usr/bin:/bin\n"
    daemon = scene.circusd(text)
    there = all_there(daemon)
    watch = Watch(tag)
    try:
        for number in range(ROUNDS):
            there = one_round(
                scene, daemon, policy=policy, tag=tag, chance=chance, there=there, tmp_path=tmp_path, calm=number == 0
            )
    finally:
        watch.stop()
    assert not watch.twice
    if policy != "ignore":
        assert Counter(name for name, _ in marked(tag) if name != "family") == Counter(
            {name: number for name, number in NUMBERS.items() if name != "family"}
        )
    daemon.stop()
    if policy != "ignore":
        wait_until(lambda: not marked(tag), what=lambda: marked(tag))


def one_round(
    scene: Scene, daemon: Daemon, *, policy: str, tag: str, chance: random.Random, there: dict[str, set[int]],
    tmp_path: pathlib.Path, calm: bool,
) -> dict[str, set[int]]:  # fmt: skip
    """Kill circusd, and look at everything once the next one has come to rest."""
    pids = set().union(*there.values())
    frozen = there["chatty"] if calm else set()
    if calm:
        # What is being read at the moment of the kill may be lost; what is written while nobody reads may not.
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: all((found := proc.stat(pid)) and found.state == "T" for pid in frozen))
        daemon.ok("numwatchers")
        time.sleep(0.2)
    else:
        daemon.call(*chance.choice([("numwatchers",), ("reload",), ("restart",)]))
        time.sleep(chance.random() * 2)
    left = scene.kill(daemon)
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    if calm:
        assert left >= pids
        if policy == "adopt":
            assert asks(tmp_path / "http")
    time.sleep(chance.random())
    daemon.start(PATIENCE)
    if policy == "ignore":
        # Who writes ends when nobody reads any more.
        assert not calm or all(map(proc.alive, pids - there["chatty"]))
        end_all_but(daemon, tag)
    now = all_there(daemon)
    if policy == "kill":
        assert not any(map(proc.alive, left))
    if policy == "adopt" and calm:
        assert now == there
        assert sum(sum(daemon.telemetry(name)["counters"]["starts"].values()) for name in NUMBERS) == 0
        for wid in range(1, 11):
            file = tmp_path / f"out.{wid}"
            seen = len(numbers(file))
            wait_until(lambda file=file, seen=seen: len(numbers(file)) > seen, PATIENCE)
            found = numbers(file)
            assert found == list(range(1, len(found) + 1))
    wait_until(lambda: asks(tmp_path / "http"))
    return now
