"""How processes and the daemon end: the grace, SIGTERM at every moment, and what other signals do."""

from __future__ import annotations

import os
import pathlib
import signal
import sys
import time
from collections.abc import Callable

import pytest

from tests import workers
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]

SLEEPER = "cmd = sleep 1000\n"
STUBBORN = f"cmd = {workers.python('ignore_term')}\n"


def test_without_a_grace_there_is_only_sigkill(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{STUBBORN}graceful_timeout = 0\n")
    daemon.wait_pids("web", 1)
    events = daemon.events("watcher.web.")
    daemon.ok("stop", name="web", waiting=True)
    events.wait_for_topic("watcher.web.stop")
    assert [topic.rpartition(".")[2] for topic in events.topics()] == ["kill", "reap", "stop"]
    assert "SIGTERM" not in daemon.log_text()


def test_the_record_of_an_end_tells_whether_the_grace_was_enough(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{STUBBORN}graceful_timeout = 0.2\n[watcher:good]\n{SLEEPER}")
    wait_until(lambda: "ready" in daemon.log_text())
    ends = daemon.events("lifecycle.web.process.exited", "lifecycle.good.process.exited")
    daemon.ok("stop", name="*", waiting=True)
    told = {end.body["watcher"]: end.body["data"] for end in ends.wait_for(lambda _: True, count=2)}
    assert (told["web"]["reason"], told["web"]["outcome"]) == ("stop_timeout", "stop_timeout")
    assert (told["good"]["reason"], told["good"]["outcome"]) == ("stopped", "success")
    assert told["web"]["stop_seconds"] >= 0.2


def test_sigkill_after_the_grace_reaches_all_below_with_stop_children(circusd: Start, tmp_path: pathlib.Path) -> None:
    # A shell that ignores SIGTERM, and so does what it starts.
    text = f"trap '' TERM; {workers.python('fork_tree', tmp_path / 'pids')} & wait"
    options = "shell = true\nstop_children = true\ngraceful_timeout = 0.2\n"
    daemon = circusd(f"[watcher:tree]\ncmd = {text}\n{options}")
    wait_until((tmp_path / "pids").exists)
    below = proc.descendants(daemon.pid)
    assert len(below) == 5
    daemon.ok("stop", name="tree", waiting=True)
    wait_until(lambda: not any(map(proc.alive, below)))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_ends_the_daemon_well(circusd: Start, tmp_path: pathlib.Path, signum: int) -> None:
    pidfile = tmp_path / "circusd.pid"
    daemon = circusd(f"[watcher:web]\n{SLEEPER}", options={"pidfile": pidfile})
    pids = daemon.wait_pids("web", 1)
    assert int(pidfile.read_text()) == daemon.pid
    daemon.signal(signum)
    assert daemon.wait() == 0
    assert not proc.alive(pids[0])
    assert not pidfile.exists()
    assert not pathlib.Path(daemon.endpoint.removeprefix("ipc://")).exists()


def test_sigterm_at_any_moment_of_the_start_leaves_nothing(circusd: Start, tmp_path: pathlib.Path) -> None:
    pidfile = tmp_path / "circusd.pid"
    # From before the first line of Python has run to after all have been started. That nothing is left behind is
    # watched by the fixture of every test, which adopts what escapes.
    for hundredths in range(0, 60, 5):
        daemon = circusd(f"[watcher:web]\n{SLEEPER}numprocesses = 50\n", options={"pidfile": pidfile}, start=False)
        daemon.spawn()
        time.sleep(hundredths / 100)
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() in {0, -signal.SIGTERM}
        assert "Traceback" not in daemon.log_text()
        assert not pidfile.exists()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_impatient_signals_do_not_keep_the_daemon_from_leaving_well(
    circusd: Start, tmp_path: pathlib.Path, signum: int
) -> None:
    pidfile = tmp_path / "circusd.pid"
    daemon = circusd(f"[watcher:web]\n{SLEEPER}", options={"pidfile": pidfile})
    while daemon.returncode is None:
        daemon.signal(signum)
        time.sleep(0.001)  # as fast as somebody who keeps the keys pressed, and faster
    assert daemon.returncode == 0
    assert not pidfile.exists()
    assert "Traceback" not in daemon.log_text()


def test_a_daemon_that_was_started_with_blocked_signals_can_be_stopped(circusd: Start) -> None:
    blocked = (
        "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [15]); os.execvp(sys.argv[1], sys.argv[1:])"
    )
    daemon = circusd(f"[watcher:web]\n{SLEEPER}", through=[sys.executable, "-c", blocked])
    daemon.wait_pids("web", 1)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_sigterm_during_the_delay_between_watchers(circusd: Start) -> None:
    daemon = circusd(f"[watcher:a]\n{SLEEPER}[watcher:b]\n{SLEEPER}", options={"warmup_delay": 1000})
    pids = daemon.wait_pids("a", 1)
    assert daemon.status("b") == "stopped"
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert not proc.alive(pids[0])


def test_sigterm_during_the_delay_between_processes(circusd: Start) -> None:
    daemon = circusd(f"[watcher:a]\n{SLEEPER}numprocesses = 3\nwarmup_delay = 1000\n")
    pids = daemon.wait_pids("a", 1)
    assert daemon.status("a") == "starting"
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert not proc.alive(pids[0])


@pytest.mark.parametrize("hook", ["before_start", "before_spawn", "after_spawn", "after_start"])
def test_sigterm_while_a_hook_keeps_a_watcher_waiting(circusd: Start, tmp_path: pathlib.Path, hook: str) -> None:
    sleeping = "import os, time\ndef sleep(**_):\n    print('in the hook', flush=True)\n    time.sleep(1000)\n"
    tmp_path.joinpath("sleepy.py").write_text(sleeping)
    daemon = circusd(
        f"[watcher:web]\n{SLEEPER}hooks.{hook} = sleepy.sleep\n", env={"PYTHONPATH": str(tmp_path)}, start=False
    )
    daemon.spawn()
    wait_until(lambda: "in the hook" in daemon.log_text())
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_sigterm_while_a_stop_is_going_on_waits_for_its_grace(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{STUBBORN}graceful_timeout = 0.5\n")
    wait_until(lambda: "ready" in daemon.log_text())
    ends = daemon.events("lifecycle.web.process.exited")
    daemon.ok("stop", name="web")
    daemon.signal(signal.SIGTERM)
    (end,) = ends.wait_for(lambda _: True)
    assert end.body["data"]["stop_seconds"] >= 0.5
    assert daemon.wait() == 0


def test_sigterm_during_a_restart_of_everything(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{STUBBORN}graceful_timeout = 0.3\n")
    wait_until(lambda: "ready" in daemon.log_text())
    daemon.ok("restart")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_a_second_sigterm_ends_the_grace(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{STUBBORN}graceful_timeout = 1000\nnumprocesses = 2\n")
    wait_until(lambda: daemon.log_text().count("ready") == 2)
    pids = daemon.pids("web")
    daemon.signal(signal.SIGTERM)
    wait_until(lambda: daemon.log_text().count("SIGTERM\n") >= 3)  # one line of the daemon's, one of each worker's
    assert daemon.returncode is None
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert not any(map(proc.alive, pids))


def test_the_grace_can_be_ended_while_before_stop_is_asked(circusd: Start, tmp_path: pathlib.Path) -> None:
    sleeping = "import time\ndef sleep(**_):\n    print('in the hook', flush=True)\n    time.sleep(1000)\n"
    tmp_path.joinpath("sleepy.py").write_text(sleeping)
    daemon = circusd(f"[watcher:web]\n{SLEEPER}hooks.before_stop = sleepy.sleep\n", env={"PYTHONPATH": str(tmp_path)})
    daemon.wait_pids("web", 1)
    daemon.signal(signal.SIGTERM)
    wait_until(lambda: "in the hook" in daemon.log_text())
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_sighup_reloads_what_runs(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}[watcher:manual]\n{SLEEPER}autostart = false\n")
    old = daemon.wait_pids("web", 1)
    events = daemon.events("watcher.")
    daemon.signal(signal.SIGHUP)
    events.wait_for_topic("watcher.web.reload")
    assert events.topics() == [f"watcher.web.{action}" for action in ("spawn", "kill", "reap", "reload")]
    assert daemon.pids("web") != old
    assert daemon.status("manual") == "stopped"


def test_a_signal_is_the_cause_that_is_told(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}")
    daemon.wait_pids("web", 1)
    records = daemon.events("lifecycle.web.reload.started")
    daemon.signal(signal.SIGHUP)
    (reload,) = records.wait_for(lambda _: True)
    assert (reload.body["cause"]["kind"], reload.body["cause"]["name"]) == ("signal", "SIGHUP")


def test_a_resized_terminal_is_nothing_to_the_daemon(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}")
    pids = daemon.wait_pids("web", 1)
    daemon.signal(signal.SIGWINCH)
    wait_until(lambda: "SIGWINCH" in daemon.log_text())
    assert daemon.pids("web") == pids


@pytest.mark.parametrize("signum", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_without_a_meaning_does_not_end_the_daemon(circusd: Start, signum: signal.Signals) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}")
    pids = daemon.wait_pids("web", 1)
    daemon.signal(signum)
    wait_until(lambda: signum.name in daemon.log_text())
    assert daemon.pids("web") == pids


def test_many_sighups_are_no_more_than_two_reloads(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{STUBBORN}graceful_timeout = 0.5\n")
    wait_until(lambda: "ready" in daemon.log_text())
    for heard in range(1, 11):
        daemon.signal(signal.SIGHUP)
        wait_until(lambda so_many=heard: daemon.log_text().count("SIGHUP") == so_many)
    daemon.ok("reload", waiting=True)
    begun = daemon.ok("events", record="reload.started")["records"]
    assert 2 <= len(begun) <= 4  # the first two, that of the command, and one more where the first was over early


def test_sigterm_while_reloads_wait_is_no_error(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{STUBBORN}graceful_timeout = 0.5\n")
    wait_until(lambda: "ready" in daemon.log_text())
    for signum in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
        daemon.signal(signum)
    assert daemon.wait() == 0
    assert "ERROR" not in daemon.log_text()
    assert "Traceback" not in daemon.log_text()


def test_quit_answers_when_everything_is_stopped(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}numprocesses = 3\n")
    pids = daemon.wait_pids("web", 3)
    assert daemon.ok("quit", waiting=True)["status"] == "ok"
    assert not any(map(proc.alive, pids))
    assert daemon.wait() == 0


def test_the_lowest_priority_is_signalled_first(circusd: Start) -> None:
    names = {"first": 10, "middle": 5, "last": 0}
    daemon = circusd("".join(f"[watcher:{name}]\n{SLEEPER}priority = {number}\n" for name, number in names.items()))
    for name in names:
        daemon.wait_status(name, "active")
    events = daemon.events("watcher.")
    daemon.ok("stop", waiting=True)
    kills = events.wait_for(lambda message: message.topic.endswith(".kill"), count=3)
    assert [kill.topic.split(".")[1] for kill in kills] == ["last", "middle", "first"]


def test_a_stopped_process_is_ended_by_sigkill(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}graceful_timeout = 0.2\n")
    (pid,) = daemon.wait_pids("web", 1)
    os.kill(pid, signal.SIGSTOP)
    daemon.ok("stop", name="web", waiting=True)
    assert not proc.alive(pid)
