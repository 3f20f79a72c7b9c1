"""Chaos: everything that can be done to circusd and its hundred workers, at random, and afterwards all is as it must be.

`CIRCUS_CHAOS_SECONDS` says how long (`make chaos` takes a minute), `CIRCUS_CHAOS_SEED` repeats the choices of a run.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers import proc
from tests.helpers.channels import Caller
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until
from tests.integration.test_reconfigure_file import rewrite

Start = Callable[..., Daemon]

pytestmark = pytest.mark.large

SECONDS = float(os.environ.get("CIRCUS_CHAOS_SECONDS", "20"))
SEED = int(os.environ.get("CIRCUS_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
SLOW = 60.0
GROWTH = 6 << 20  # bytes: what an allocator may need for the largest moment

QUICK = "graceful_timeout = 0.3\nbackoff = 0.1\nbackoff_max = 0.3\n"
FLOOD = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; exec sleep 100000"
WATCHERS = {
    "plain": "cmd = sleep 100000\nnumprocesses = 30\n",
    "other": "cmd = sleep 100000\nnumprocesses = 20\npriority = 5\n",
    "family": "cmd = sh -c 'sleep 100000 & sleep 100000 & wait'\nnumprocesses = 10\nkill_scope = tree\n",
    "loud": f"cmd = sh -c '{FLOOD}'\nnumprocesses = 10\nstdout_stream.filename = loud.log\n"
    "stdout_stream.max_bytes = 1000000\nstdout_stream.backup_count = 1\n",
    "crash": "cmd = sh -c 'sleep 0.2; exit 3'\nnumprocesses = 10\n",
    "hooked": "cmd = sleep 100000\nnumprocesses = 9\nhooks.after_spawn = probe.yes\nhooks.before_stop = probe.yes\n",
    "probe": "cmd = sleep 100000\nhooks.extended_stats = probe.tasks\n",
}
# What the probe's own watcher goes through would be seen in what it tells.
VICTIMS = ["stubborn", *(name for name in WATCHERS if name != "probe")]
PROBE = """
import asyncio
import gc

def yes(**_):
    return True

def tasks(watcher, arbiter, hook_name, pid, stats, **_):
    gc.collect()
    stats["tasks"] = sum(isinstance(each, asyncio.Task) and not each.done() for each in gc.get_objects())
    return True
"""
STUBBORN = "#!/bin/sh\ntrap '' TERM\nwhile :; do read -r line <\"$1\"; done\n"


class Chaos:
    """What is done, and everything that was told about it."""

    def __init__(self, daemon: Daemon, text: str, numbers: dict[str, int]) -> None:
        self.daemon = daemon
        self.text = text
        self.numbers = numbers
        self.dice = random.Random(SEED)
        self.records: list[dict[str, Any]] = []
        self.waiting: list[Caller] = []
        self.asked = 0
        self.deeds: Counter[str] = Counter()

    def rage(self, seconds: float) -> None:
        """One deed after the other."""
        deeds = [self.kill, self.kill, self.freeze, self.command, self.command, self.command, self.change, self.flood,
                 self.reconfigure, self.hang_up, self.come_and_go]  # fmt: skip
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            deed = self.dice.choice(deeds)
            self.deeds[deed.__name__] += 1
            deed()
            self.collect()
            time.sleep(self.dice.random() * 0.05)

    def collect(self) -> None:
        """The records since the last time; the journal must not have lost any meanwhile."""
        last = self.records[-1]["seq"] if self.records else 0
        found = self.daemon.ok("events", since=last)["records"]
        assert [each["seq"] for each in found] == list(range(last + 1, last + 1 + len(found))), f"seed {SEED}"
        self.records += found

    def calm_down(self) -> None:
        """Let everything that was asked for happen, and have all run."""
        for caller in self.waiting:
            # Each gets its answer, if only that something else came in between.
            assert caller.receive(SLOW)["status"] in {"ok", "error"}
            caller.close()
        self.waiting.clear()
        for pid in proc.descendants(self.daemon.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        rewrite(self.daemon, self.text)
        self.daemon.ok("reloadconfig", waiting=True, timeout=SLOW)
        for name, number in self.numbers.items():
            options = {"numprocesses": number, "max_age": 0}
            self.daemon.ok("set", name=name, options=options, waiting=True, timeout=SLOW)
        self.daemon.ok("start", waiting=True, timeout=SLOW)
        self.daemon.ok("stop", name="crash", waiting=True, timeout=SLOW)
        wait_until(self.settled, SLOW, lambda: f"seed {SEED}: {self.standing()}\n{self.daemon.log_text()[-4000:]}")

    def standing(self) -> dict[str, tuple[str, int, int]]:
        told = self.daemon.ok("telemetry")["watchers"]
        return {each["name"]: (each["state"], each["desired"], each["ready"]) for each in told}

    def settled(self) -> bool:
        return all(
            state == ("stopped" if name == "crash" else "active") and (name == "crash" or desired == ready)
            for name, (state, desired, ready) in self.standing().items()
        )

    # -- deeds ----------------------------------------------------------------------------------------------------

    def someone(self) -> int | None:
        pids = self.daemon.call("list", name=self.dice.choice(VICTIMS)).get("pids")
        return self.dice.choice(pids) if pids else None

    def _send(self, signum: int) -> None:
        pid = self.someone()
        # Between the answer and the signal it may have died, and its number be somebody's who is none of ours.
        if pid is not None and (found := proc.stat(pid)) is not None and found.ppid == self.daemon.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)

    def kill(self) -> None:
        for _ in range(self.dice.randint(1, 5)):
            self._send(self.dice.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV)))

    def freeze(self) -> None:
        self._send(signal.SIGSTOP)

    def command(self) -> None:
        command = self.dice.choice(("stop", "start", "start", "restart", "reload", "incr", "decr", "kill", "stop"))
        properties: dict[str, Any] = {"name": self.dice.choice(VICTIMS)}
        if command == "reload":
            properties |= {"graceful": self.dice.random() < 0.8, "sequential": self.dice.random() < 0.3}
        if command == "kill":
            properties |= {"signum": self.dice.choice((9, 15))}
        if self.dice.random() < 0.3 and len(self.waiting) < 50:
            self.waiting.append(self.daemon.caller())
            self.waiting[-1].send(command, **properties, waiting=True)
        else:
            self.daemon.call(command, **properties)

    def change(self) -> None:
        options = self.dice.choice(
            ({"numprocesses": self.dice.randint(0, 15)}, {"graceful_timeout": 0.2}, {"env": {"N": str(self.asked)}},
             {"max_age": self.dice.choice((0, 1))}, {"nonsense": 1}, {"stop_signal": "INT"})
        )  # fmt: skip
        self.asked += 1
        self.daemon.call("set", name=self.dice.choice(VICTIMS), options=options)

    def flood(self) -> None:
        """Many requests at once, good and bad, of somebody who does not wait for the answers."""
        with self.daemon.caller() as caller:
            for _ in range(100):
                caller.send_raw(self.dice.choice((b"{}", b"\xff\x00", b'{"command": "list"}', b'{"command": "stats"}')))

    def reconfigure(self) -> None:
        extras = [
            f"[watcher:extra{number}]\n{QUICK}cmd = sleep {self.dice.randint(10**5, 10**6)}\nnumprocesses = 3\n"
            for number in range(3)
            if self.dice.random() < 0.5
        ]
        rewrite(self.daemon, self.text + "".join(extras))
        self.daemon.call("reloadconfig")

    def hang_up(self) -> None:
        self.daemon.signal(self.dice.choice((signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH)))

    def come_and_go(self) -> None:
        with self.daemon.events("watcher."), self.daemon.stats("stat."):
            pass


def measured(daemon: Daemon) -> dict[str, int]:
    (info,) = daemon.ok("stats", name="probe", extended=True)["info"].values()
    task = pathlib.Path(f"/proc/{daemon.pid}/task")
    return {"tasks": info["tasks"], "fds": len(proc.open_fds(daemon.pid)), "threads": len(list(task.iterdir()))}


def grown(now: dict[str, int], before: dict[str, int]) -> bool:
    return any(count > before[name] for name, count in now.items())


def resident(daemon: Daemon) -> int:
    return int(pathlib.Path(f"/proc/{daemon.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_after_chaos_all_is_as_it_must_be(circusd: Start, tmp_path: pathlib.Path) -> None:
    print(f"CIRCUS_CHAOS_SEED={SEED} CIRCUS_CHAOS_SECONDS={SECONDS:g}")
    (tmp_path / "probe.py").write_text(PROBE)
    (tmp_path / "stubborn").write_text(STUBBORN)
    os.mkfifo(tmp_path / "never")
    stubborn = f"cmd = sh {tmp_path}/stubborn {tmp_path}/never\nnumprocesses = 10\n"
    watchers = WATCHERS | {"stubborn": stubborn}
    text = "[circus]\njournal_size = 4000\n" + "".join(
        f"[watcher:{name}]\n{QUICK}{options}" for name, options in watchers.items()
    )
    daemon = circusd(text, env={"PYTHONPATH": str(tmp_path)})
    for name in watchers:
        daemon.wait_status(name, "active", SLOW)
    numbers = {name: len(daemon.pids(name)) for name in VICTIMS if name != "crash"}
    assert sum(numbers.values()) + 11 == 100  # those that crash are ten or are to be, the probe is one
    chaos = Chaos(daemon, text, numbers)
    try:
        # The first half fills the journal, and makes the daemon as large as it gets.
        chaos.rage(SECONDS / 2)
        chaos.calm_down()
        before, size = measured(daemon), resident(daemon)
        chaos.rage(SECONDS / 2)
        chaos.calm_down()
    except AssertionError as error:
        raise AssertionError(f"seed {SEED}, {dict(chaos.deeds)}: {error}") from error
    story = f"seed {SEED}, {dict(chaos.deeds)}"
    print(story, f"{len(chaos.records)} records, {before}")

    # Nothing has grown: workers come with descriptors of their own, so as many of them are wanted as there were.
    wait_until(
        lambda: measured(daemon)["tasks"] <= before["tasks"], what=lambda: f"{story}: {measured(daemon)} {before}"
    )
    assert resident(daemon) - size < GROWTH, story

    # What runs is what is wanted, and nothing else.
    chaos.collect()
    alive = {name: daemon.pids(name) for name in daemon.ok("list")["watchers"]}
    workers = {pid for pids in alive.values() for pid in pids}
    assert {name: len(pids) for name, pids in alive.items()} == {
        name: 0 if name == "crash" else desired for name, (_, desired, _) in chaos.standing().items()
    }, story
    wait_until(lambda: proc.children(daemon.pid) == workers, what=lambda: f"{story}: {proc.children(daemon.pid)}")
    assert proc.descendants(daemon.pid) - workers == {
        pid for worker in alive["family"] for pid in proc.descendants(worker)
    }, story

    # Every process that was started has ended once, or lives; and the counters know of just these.
    born: dict[tuple[str, int, int], int] = {}
    ends: Counter[tuple[str, int, int]] = Counter()
    for record in chaos.records:
        key = (record["watcher"], record["generation"], record["pid"])
        if record["record"] == "process.spawned":
            born[key] = record["pid"]
        elif record["record"] in {"process.exited", "process.lost"}:
            ends[key] += 1
    assert set(ends.values()) == {1}, story
    assert not ends.keys() - born.keys(), story
    assert {pid for key, pid in born.items() if key not in ends} == workers, story
    told = daemon.ok("telemetry")
    for watcher in told["watchers"]:
        name, counters = watcher["name"], watcher["counters"]
        if name in watchers:  # the others were new again and again
            assert sum(each["n"] for each in counters["exits"]) == sum(n for key, n in ends.items() if key[0] == name)
            assert sum(counters["starts"].values()) == sum(key[0] == name for key in born), (story, name)
    assert told["arbiter"]["illegal_transitions"] == 0, story
    assert "Traceback" not in daemon.log_text(), story
    daemon.signal(signal.SIGTERM)
    assert daemon.wait(SLOW) == 0
