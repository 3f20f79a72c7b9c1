"""SIGTERM in states where something is half done, and the limit of the whole end: circusd leaves, and leaves nothing."""

from __future__ import annotations

import os
import pathlib
import signal
from collections.abc import Callable

import pytest

from tests import workers
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.metrics import scrape
from tests.helpers.ports import wait_listening
from tests.helpers.waiting import wait_until
from tests.integration.test_reconfigure_file import rewrite

Start = Callable[..., Daemon]

SLEEPER = "cmd = sleep 1000\n"
STUBBORN = f"cmd = {workers.python('ignore_term')}\n"
LISTENING = "[socket:http]\nhost = 127.0.0.1\nport = 0\n"
NO_FILE = "cmd = /nonexistent/program\n"
CRASHING = "cmd = false\n"
SLEEPY = """
import time

def sleep(**_):
    print('in the hook', flush=True)
    time.sleep(1000)
"""


def end_well(daemon: Daemon) -> None:
    below = proc.descendants(daemon.pid)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    wait_until(lambda: not any(map(proc.alive, below)))
    assert "Traceback" not in daemon.log_text()
    assert "ERROR" not in daemon.log_text()


def in_hook(daemon: Daemon) -> None:
    wait_until(lambda: "in the hook" in daemon.log_text())


# What stands in the file, the state to wait for, and what SIGTERM meets there.
STATES = {
    "backoff before a spawn": (f"{NO_FILE}max_retry = -1\nbackoff = 1000\nbackoff_max = 1000\n", "backoff"),
    "backoff after crashes": (f"{CRASHING}backoff = 1000\nbackoff_max = 1000\n", "backoff"),
    "on_demand": (f"cmd = cat $(circus.sockets.http)\nuse_sockets = true\non_demand = true\n{LISTENING}", "waiting"),
    "stopped": (f"{SLEEPER}autostart = false\n", "stopped"),
}


@pytest.mark.parametrize("state", STATES)
def test_sigterm_while_nothing_runs(circusd: Start, state: str) -> None:
    options, name = STATES[state]
    daemon = circusd(f"[watcher:web]\n{options}")
    daemon.wait_state("web", name)
    daemon.log.write_text("")  # the failures to spawn are errors, and told as such
    end_well(daemon)


def test_sigterm_after_a_watcher_was_given_up(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{NO_FILE}max_retry = 1\n[watcher:other]\n{SLEEPER}")
    daemon.wait_state("web", "fatal")
    daemon.wait_pids("other", 1)
    daemon.log.write_text("")
    end_well(daemon)


@pytest.mark.parametrize("sequential", [False, True])
def test_sigterm_during_a_reload_whose_old_processes_stay(circusd: Start, sequential: bool) -> None:
    daemon = circusd(f"[watcher:web]\n{STUBBORN}numprocesses = 3\ngraceful_timeout = 0.5\n")
    wait_until(lambda: daemon.log_text().count("ready") == 3)
    daemon.ok("reload", name="web", sequential=sequential)
    daemon.wait_state("web", "reloading")
    wait_until(lambda: "SIGTERM" in daemon.log_text())
    end_well(daemon)


def test_sigterm_during_a_reload_whose_new_processes_wait_for_a_hook(circusd: Start, tmp_path: pathlib.Path) -> None:
    tmp_path.joinpath("sleepy.py").write_text(SLEEPY)
    daemon = circusd(f"[watcher:web]\n{SLEEPER}", env={"PYTHONPATH": str(tmp_path)})
    daemon.wait_pids("web", 1)
    daemon.ok("set", name="web", options={"hooks.after_spawn": "sleepy.sleep"}, waiting=True)
    daemon.ok("reload", name="web")
    in_hook(daemon)
    assert len(proc.children(daemon.pid)) == 2
    end_well(daemon)


def test_sigterm_during_a_reloadconfig(circusd: Start, tmp_path: pathlib.Path) -> None:
    """What is removed, what is replaced and what is added are all on their way when it comes."""
    stubborn = f"{STUBBORN}graceful_timeout = 0.5\n"
    daemon = circusd(f"[watcher:gone]\n{stubborn}[watcher:changed]\n{stubborn}")
    wait_until(lambda: daemon.log_text().count("ready") == 2)
    changed = f"[watcher:changed]\n{stubborn}working_dir = /\n"
    rewrite(daemon, f"{changed}[watcher:fresh]\n{SLEEPER}warmup_delay = 1000\nnumprocesses = 2\n")
    daemon.ok("reloadconfig")
    wait_until(lambda: "SIGTERM" in daemon.log_text())
    end_well(daemon)


@pytest.mark.parametrize("hook", ["before_signal", "after_signal", "before_reap", "after_reap", "after_stop"])
def test_sigterm_while_a_hook_holds_up_a_stop(circusd: Start, tmp_path: pathlib.Path, hook: str) -> None:
    """A quit waits for hooks as long as they may take; a second SIGTERM does not."""
    tmp_path.joinpath("sleepy.py").write_text(SLEEPY)
    daemon = circusd(f"[watcher:web]\n{SLEEPER}hooks.{hook} = sleepy.sleep\n", env={"PYTHONPATH": str(tmp_path)})
    daemon.wait_pids("web", 1)
    daemon.ok("stop", name="web")
    in_hook(daemon)
    daemon.signal(signal.SIGTERM)
    wait_until(lambda: "Got signal SIGTERM" in daemon.log_text())
    assert daemon.returncode is None
    end_well(daemon)


def test_workers_that_are_killed_during_a_stop_are_no_trouble(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{STUBBORN}numprocesses = 8\ngraceful_timeout = 1000\n")
    wait_until(lambda: daemon.log_text().count("ready") == 8)
    pids = daemon.pids("web")
    with daemon.caller() as other:
        other.send("stop", name="web", waiting=True)
        wait_until(lambda: daemon.log_text().count("SIGTERM") == 8)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert other.receive()["status"] == "ok"
    assert daemon.status("web") == "stopped"
    told = daemon.telemetry("web")["counters"]
    assert told["signal_exits"]["SIGKILL"] == 8
    assert told["restarts"]["crash"] == 0


def test_workers_that_are_killed_during_a_reload_are_replaced(circusd: Start) -> None:
    daemon = circusd(
        f"[watcher:web]\n{STUBBORN}numprocesses = 4\ngraceful_timeout = 1000\n", options={"shutdown_timeout": 0.1}
    )
    wait_until(lambda: daemon.log_text().count("ready") == 4)
    old = daemon.pids("web")
    with daemon.caller() as other:
        other.send("reload", name="web", waiting=True)
        wait_until(lambda: daemon.log_text().count("SIGTERM") == 4)
        new = sorted(proc.children(daemon.pid) - set(old))
        for pid in [*new, *old]:  # those that were to stay, then those that were to go
            os.kill(pid, signal.SIGKILL)
        assert other.receive()["status"] == "ok"
    after = daemon.wait_pids("web", 4, without=[*old, *new])
    wait_until(lambda: proc.children(daemon.pid) == set(after))
    assert daemon.ok("telemetry")["arbiter"]["illegal_transitions"] == 0


# -- the limit of the whole end ------------------------------------------------------------------------------------


def test_the_limit_of_the_end_is_kept_whatever_a_watcher_would_wait_for(circusd: Start, tmp_path: pathlib.Path) -> None:
    tmp_path.joinpath("sleepy.py").write_text(SLEEPY)
    daemon = circusd(
        f"[watcher:stubborn]\n{STUBBORN}graceful_timeout = 1000\nnumprocesses = 2\n"
        f"[watcher:hooked]\n{SLEEPER}hooks.before_stop = sleepy.sleep\nhooks.after_stop = sleepy.sleep\n"
        f"[watcher:good]\n{SLEEPER}",
        env={"PYTHONPATH": str(tmp_path)},
        options={"shutdown_timeout": 0.5},
    )
    wait_until(lambda: daemon.log_text().count("ready") == 2)
    below = proc.descendants(daemon.pid)
    ends = daemon.events("lifecycle.stubborn.process.escalated", "lifecycle.good.process.exited")
    daemon.signal(signal.SIGTERM)
    told = ends.wait_for(lambda _: True, count=3)
    assert daemon.wait() == 0
    assert not any(map(proc.alive, below))
    assert told[0].body["watcher"] == "good"
    assert told[0].body["data"]["outcome"] == "success"
    for each in told[1:]:
        assert each.body["cause"] == {"kind": "timer", "name": "shutdown_timeout"}
    assert (
        "shutdown_timeout of 0.5 s is over; no more grace for the processes of 'hooked' (1), 'stubborn' (2)"
        in daemon.log_text()
    )


def test_the_limit_counts_for_quit_and_can_be_changed_live(circusd: Start) -> None:
    web = f"[watcher:web]\n{STUBBORN}graceful_timeout = 1000\n"
    daemon = circusd(web)
    wait_until(lambda: "ready" in daemon.log_text())
    rewrite(daemon, f"[circus]\nshutdown_timeout = 0.2\n{web}")
    daemon.ok("reloadconfig", waiting=True)
    assert daemon.ok("quit", waiting=True)["status"] == "ok"
    assert daemon.wait() == 0


def test_an_end_within_the_limit_is_an_end_like_any_other(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}", options={"shutdown_timeout": 1000})
    daemon.wait_pids("web", 1)
    end_well(daemon)


@pytest.mark.parametrize("grace", ["over by itself", "hastened"])
def test_the_exporter_shows_the_end_and_is_the_last_that_ends(circusd: Start, grace: str) -> None:
    daemon = circusd(
        f"[circus]\nsample_interval = 0.2\n[watcher:slow]\n{STUBBORN}graceful_timeout = 600\n"
        "[watcher:quick]\ncmd = sleep 1000\n[exporter:prometheus]\nport = 0\n"
    )
    (slow,), (exporter,) = daemon.wait_pids("slow", 1), daemon.wait_pids("circus-exporter", 1)
    port = wait_listening(exporter)
    wait_until(lambda: "ready" in daemon.log_text())
    daemon.signal(signal.SIGTERM)

    def shown() -> bool:
        page = scrape(port)
        return (
            page.value("circus_up") == 1
            and page.value("circus_watcher_state", watcher="slow", state="stopping") == 1
            and page.value("circus_watcher_state", watcher="quick", state="stopped") == 1
            and page.value("circus_watcher_state", watcher="circus-exporter", state="active") == 1
        )

    wait_until(shown)
    if grace == "hastened":
        daemon.signal(signal.SIGTERM)
    else:
        os.kill(slow, signal.SIGKILL)
    assert daemon.wait() == 0
    assert not proc.alive(exporter)
    assert "ERROR" not in daemon.log_text()
