"""Why a process died: the verdict in every case, with the proof, the last words, and the way that led there."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests import workers
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]

SLEEPER = "[watcher:web]\ncmd = sleep 1000\n"


def end_of(daemon: Daemon, act: Callable[[], object]) -> dict[str, Any]:
    """The data of the record of the next end of `web`."""
    with daemon.events("lifecycle.web.process.exited") as events:
        act()
        data: dict[str, Any] = events.wait_for_topic("lifecycle.web.process.exited")[0].body["data"]
        return data


def verdict(data: dict[str, Any]) -> tuple[str, str, str]:
    return data["reason"], data["initiator"], data["outcome"]


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("exit 0", ("completed", "process", "success")),
        ("exit 3", ("exit_error", "process", "error")),
        ("kill -ABRT $$", ("crash", "process", "signal")),
        ("kill -SEGV $$", ("crash", "process", "signal")),
    ],
)
def test_the_end_of_a_process_by_itself(circusd: Start, code: str, wanted: tuple[str, str, str]) -> None:
    daemon = circusd(f"[watcher:web]\ncmd = sh -c '{code}'\nautostart = false\nrespawn = false\n")
    assert verdict(end_of(daemon, lambda: daemon.ok("start", name="web"))) == wanted


@pytest.mark.parametrize(
    ("act", "wanted"),
    [
        (lambda daemon, pid: os.kill(pid, signal.SIGKILL), ("killed", "external", "signal")),
        (lambda daemon, pid: os.kill(pid, signal.SIGTERM), ("killed", "external", "signal")),
        (
            lambda daemon, pid: daemon.ok("signal", name="web", pid=pid, signum="kill"),
            ("killed", "supervisor", "success"),
        ),
        (lambda daemon, pid: daemon.ok("stop", name="web"), ("stopped", "supervisor", "success")),
        (lambda daemon, pid: daemon.ok("restart", name="web"), ("stopped", "supervisor", "success")),
        (lambda daemon, pid: daemon.ok("reload", name="web"), ("stopped", "supervisor", "success")),
        (lambda daemon, pid: daemon.ok("decr", name="web"), ("stopped", "supervisor", "success")),
        (lambda daemon, pid: daemon.ok("kill", name="web", signum="kill"), ("stopped", "supervisor", "success")),
    ],
    ids=["kill -9", "kill", "signal", "stop", "restart", "reload", "decr", "kill command"],
)
def test_an_end_that_somebody_brought_about(
    circusd: Start, act: Callable[[Daemon, int], object], wanted: tuple[str, str, str]
) -> None:
    daemon = circusd(SLEEPER)
    (pid,) = daemon.wait_pids("web", 1)
    data = end_of(daemon, lambda: act(daemon, pid))
    assert verdict(data) == wanted
    assert data["evidence"] is None


def test_an_end_for_which_sigkill_was_needed(circusd: Start, tmp_path: pathlib.Path) -> None:
    ready = tmp_path / "ready"
    text = f"sh -c 'trap \"\" TERM; touch {ready}; while :; do sleep 0.05; done'"
    daemon = circusd(f"[watcher:web]\ncmd = {text}\ngraceful_timeout = 0.2\n")
    wait_until(ready.exists)
    data = end_of(daemon, lambda: daemon.ok("stop", name="web"))
    assert verdict(data) == ("stop_timeout", "supervisor", "stop_timeout")


def test_an_end_by_age(circusd: Start) -> None:
    daemon = circusd(f"{SLEEPER}autostart = false\nmax_age = 1\nmax_age_variance = 0\n")
    assert verdict(end_of(daemon, lambda: daemon.ok("start", name="web"))) == ("max_age", "supervisor", "success")


# -- proof of an OOM kill


class MemoryGroup:
    """A memory cgroup with a limit, of version 1 or 2, below the one that the tests run in."""

    def __init__(self, path: pathlib.Path, limit: int) -> None:
        self.path = path
        path.mkdir()
        v1 = (path / "memory.limit_in_bytes").exists()
        (path / ("memory.limit_in_bytes" if v1 else "memory.max")).write_text(str(limit))
        for swap in ("memory.memsw.limit_in_bytes", "memory.swap.max"):
            with contextlib.suppress(OSError):
                (path / swap).write_text(str(limit) if "memsw" in swap else "0")

    def within(self) -> list[str]:
        """Words in front of a program that put it into the group."""
        return ["sh", "-c", f'echo $$ > {self.path}/cgroup.procs && exec "$@"', "sh"]

    def remove(self) -> None:
        wait_until(lambda: not (self.path / "cgroup.procs").read_text())
        self.path.rmdir()


def memory_home() -> pathlib.Path | None:
    """Where memory groups can be made here; None where they cannot."""
    mounts = [line.split(" - ") for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        number, names, path = line.split(":", 2)
        for left, right in mounts:
            first = right.startswith("cgroup ") and "memory" in names.split(",") and "memory" in right
            second = number == "0" and right.startswith("cgroup2 ")
            home = pathlib.Path(left.split()[4]) / path.strip("/")
            if (first or second) and os.access(home / "cgroup.procs", os.W_OK):
                trial = home / f"circus-trial-{os.getpid()}"
                try:
                    trial.mkdir()
                    usable = any((trial / name).exists() for name in ("memory.limit_in_bytes", "memory.max"))
                    trial.rmdir()
                except OSError:
                    continue
                if usable:
                    return home
    return None


HOME = memory_home() if sys.platform == "linux" else None
needs_memory_group = pytest.mark.skipif(HOME is None, reason="no memory cgroup that the tests may make")


@pytest.fixture
def group() -> Iterator[Callable[[int], MemoryGroup]]:
    made: list[MemoryGroup] = []

    def make(limit: int) -> MemoryGroup:
        assert HOME is not None
        made.append(MemoryGroup(HOME / f"circus-test-{os.getpid()}-{len(made)}", limit))
        return made[-1]

    yield make
    for each in made:
        each.remove()


LEAK = workers.python("leak", 400 << 20, 800 << 20)


@needs_memory_group
@pytest.mark.skipif(not os.access("/dev/kmsg", os.R_OK), reason="the log of the kernel may not be read here")
def test_an_oom_kill_is_proven_by_the_log_of_the_kernel(
    group: Callable[[int], MemoryGroup], circusd: Start, tmp_path: pathlib.Path
) -> None:
    within = tmp_path / "within.sh"
    small = group(60 << 20)
    within.write_text(f"echo $$ > {small.path}/cgroup.procs\nexec {LEAK}\n")
    ini = f"[watcher:web]\ncmd = sh {within}\nautostart = false\nrespawn = false\n"
    daemon = circusd(ini, env={"CIRCUS_OOM_BY": "kmsg"})
    with daemon.events("lifecycle.web.process.exited") as events:
        daemon.ok("start", name="web")
        body = events.wait_for_topic("lifecycle.web.process.exited")[0].body
    assert verdict(body["data"]) == ("oom", "external", "oom")
    assert body["data"]["signal"] == "SIGKILL"
    assert f"pid={body['pid']}" in body["data"]["evidence"]
    assert {"initiator": "external", "outcome": "oom", "n": 1} in daemon.telemetry("web")["counters"]["exits"]
    told = daemon.circusctl("why", "web").stdout
    assert "the kernel killed it because memory ran out: oom-kill:" in told


@needs_memory_group
def test_an_oom_kill_is_proven_by_the_counter_of_the_group(group: Callable[[int], MemoryGroup], circusd: Start) -> None:
    shared = group(300 << 20)
    ini = f"[watcher:web]\ncmd = {LEAK}\nautostart = false\nrespawn = false\n[watcher:other]\ncmd = sleep 1000\n"
    daemon = circusd(ini, env={"CIRCUS_OOM_BY": "counter"}, through=shared.within())
    data = end_of(daemon, lambda: daemon.ok("start", name="web"))
    assert verdict(data) == ("oom", "external", "oom")
    assert f"oom_kill of {shared.path} has risen to 1" in data["evidence"]
    # The counter has been used up: what comes from outside now is no OOM kill.
    (pid,) = daemon.pids("other")
    with daemon.events("lifecycle.other.process.exited") as events:
        os.kill(pid, signal.SIGKILL)
        body = events.wait_for_topic("lifecycle.other.process.exited")[0].body
    assert verdict(body["data"]) == ("killed", "external", "signal")


# -- the story


def test_the_last_words_and_the_last_measures_are_kept(circusd: Start) -> None:
    code = "echo first; echo second; echo why >&2; printf unfinished; exec sleep 1000"
    daemon = circusd(f"[watcher:web]\ncmd = sh -c '{code}'\ncapture = true\n")
    (pid,) = daemon.wait_pids("web", 1)
    wait_until(lambda: len(daemon.ok("tail", name="web")["chunks"]) >= 2)
    daemon.ok("stats", name="web")
    data = end_of(daemon, lambda: os.kill(pid, signal.SIGKILL))
    assert data["tail"] == {"stdout": ["first", "second", "unfinished"], "stderr": ["why"]}
    assert data["sample"]["resident_bytes"] > 0


def test_why_tells_the_way_from_the_command_to_the_end_and_on(circusd: Start) -> None:
    daemon = circusd(f"{SLEEPER}autostart = false\n")
    daemon.ok("start", name="web", waiting=True)
    (pid,) = daemon.pids("web")
    daemon.ok("restart", name="web", waiting=True)
    told = daemon.ok("why", name="web", wid=1)
    end = told["end"]
    assert (end["record"]["record"], end["record"]["pid"]) == ("process.exited", pid)
    assert [record["record"] for record in end["because"]] == ["command.started"]
    assert end["because"][0]["data"]["command"] == "restart"
    assert "process.ready" in [record["record"] for record in end["after"]]
    assert told["state"] == "active"
    assert told["state_because"][-1]["record"] == "watcher.state"
    assert told["state_because"][0]["data"]["command"] == "restart"


def test_why_tells_what_a_crash_followed_upon(circusd: Start) -> None:
    daemon = circusd(SLEEPER)
    (first,) = daemon.wait_pids("web", 1)
    os.kill(first, signal.SIGSEGV)
    (second,) = daemon.wait_pids("web", 1, without=[first])
    os.kill(second, signal.SIGKILL)
    daemon.wait_pids("web", 1, without=[first, second])
    because = daemon.ok("why", name="web")["end"]["because"]
    assert [(record["record"], record["pid"]) for record in because[-3:]] == [
        ("process.spawned", first),
        ("process.exited", first),
        ("process.spawned", second),
    ]
    printed = daemon.circusctl("why", "web", "1").stdout
    assert "it died of SIGKILL, which came from outside of circusd" in printed
    assert "what followed:" in printed


def test_why_tells_of_a_watcher_that_gave_up(circusd: Start) -> None:
    daemon = circusd("[watcher:web]\ncmd = /no/such/program\nmax_retry = 1\n")
    daemon.wait_state("web", "fatal")
    told = daemon.ok("why", name="web")
    assert (told["state"], told["end"]) == ("fatal", None)
    assert "process.spawn_failed" in [record["record"] for record in told["state_because"]]
    printed = daemon.circusctl("why", "web").stdout
    assert printed.splitlines()[0] == "web is fatal"
    assert "program not found" in printed


def test_an_end_is_remembered_longer_than_the_journal_lasts(circusd: Start) -> None:
    daemon = circusd(f"{SLEEPER}numprocesses = 2\n", options={"journal_size": 5})
    pids = daemon.wait_pids("web", 2)
    os.kill(pids[0], signal.SIGKILL)
    daemon.wait_pids("web", 2, without=pids[:1])
    for _ in range(5):
        daemon.ok("signal", name="web", signum="cont")
    assert daemon.ok("why", name="web", wid=1)["end"]["record"]["pid"] == pids[0]


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"name": "nobody"}, "program nobody not found"),
        ({"name": "web", "wid": 7}, "no process of worker 7 of 'web' has ended"),
        ({"name": "web", "wid": "1"}, "'wid' isn't the number of a worker: '1'"),
        ({"name": "web", "wid": True}, "'wid' isn't the number of a worker: True"),
    ],
)
def test_why_of_what_is_not_there_is_refused_in_words(circusd: Start, properties: dict[str, Any], reason: str) -> None:
    daemon = circusd(SLEEPER)
    reply = daemon.call("why", **properties)
    assert (reply["status"], reply["errno"], reply["reason"]) == ("error", 3, reason)
