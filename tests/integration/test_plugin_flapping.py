"""Flapping in the real circusd: watchers that keep dying are stopped, tried again, given up; all others are left alone."""

from __future__ import annotations

import os
import signal
import textwrap

import pytest

from tests.conftest import CircusD
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

CRASHING = "sh -c 'exit 3'"


GIVEN_UP = "{}: flapping detected: reached max retry limit"
CANARY = f"""
[watcher:canary]
cmd = {CRASHING}
backoff = 0.1
backoff_max = 0.1
flapping.max_retry = 0
"""


def started(circusd: CircusD, watchers: str, **options: object) -> Daemon:
    """A daemon whose plugin hears the events, which is seen by what it did to the canary."""
    lines = "".join(f"{name} = {value}\n" for name, value in options.items())
    section = f"[plugin:flapping]\nuse = circus.plugins.flapping.Flapping\n{lines}"
    daemon = circusd(textwrap.dedent(watchers) + CANARY + section)
    wait_until(lambda: "canary: flapping detected" in daemon.log_text(), what=daemon.log_text)
    daemon.wait_status("canary", "stopped")
    return daemon


def test_a_flapping_watcher_is_stopped_tried_again_and_given_up(circusd: CircusD) -> None:
    daemon = started(
        circusd,
        f"[watcher:Bad One]\ncmd = {CRASHING}\nautostart = False\n[watcher:good]\ncmd = sleep 1000\n",
        retry_in=0.2,
        max_retry=2,
    )
    good = daemon.wait_pids("good", 1)
    with daemon.events("watcher.bad_one.") as events:
        daemon.ok("start", name="Bad One")
        events.wait_for_topic("watcher.bad_one.stop", count=3)
        wait_until(lambda: GIVEN_UP.format("Bad One") in daemon.log_text(), what=daemon.log_text)
        # A fourth start could only come after a pause, and there was none in between the others either.
        daemon.wait_status("Bad One", "stopped")
    assert events.topics().count("watcher.bad_one.start") <= 3
    log = daemon.log_text()
    assert [f"(attempt number {number})" in log for number in (1, 2, 3)] == [True, True, False]
    assert log.count(GIVEN_UP.format("Bad One")) == 1
    assert daemon.pids("good") == good


def test_what_was_given_up_is_looked_after_again_when_somebody_starts_it(circusd: CircusD) -> None:
    daemon = started(circusd, f"[watcher:bad]\ncmd = {CRASHING}\nautostart = False\n", max_retry=0)
    with daemon.events("watcher.bad.") as events:
        for times in (1, 2):
            daemon.ok("start", name="bad")
            events.wait_for_topic("watcher.bad.stop", count=times)
            wait_until(
                lambda times=times: daemon.log_text().count(GIVEN_UP.format("bad")) == times, what=daemon.log_text
            )
            daemon.wait_status("bad", "stopped")


def test_pauses_of_the_backoff_do_not_make_a_crash_loop_look_slow(circusd: CircusD) -> None:
    # The fourth start and those after it wait for the backoff; six deaths take far longer than the window.
    watcher = f"""
        [watcher:bad]
        cmd = {CRASHING}
        autostart = False
        backoff = 0.4
        flapping.attempts = 6
        flapping.window = 0.5
        flapping.max_retry = 0
    """
    daemon = started(circusd, watcher)
    daemon.ok("start", name="bad")
    wait_until(lambda: "bad: flapping detected" in daemon.log_text(), what=daemon.log_text)
    daemon.wait_status("bad", "stopped")


def test_restarts_reloads_and_scaling_are_no_flapping(circusd: CircusD) -> None:
    daemon = started(circusd, "[watcher:web]\ncmd = sleep 1000\nnumprocesses = 3\n", window=1000)
    daemon.wait_pids("web", 3)
    with daemon.events("watcher.web.") as events:
        for command, more in (("restart", {}), ("reload", {}), ("decr", {}), ("kill", {})):
            daemon.ok(command, name="web", waiting=True, **more)
        events.wait_for_topic("watcher.web.reap", count=8)
    # One real death after them is the first that counts, a second one is flapping.
    for told in (False, True):
        pids = daemon.wait_pids("web", 2)
        assert "web: flapping detected" not in daemon.log_text()
        os.kill(pids[0], signal.SIGKILL)
        if not told:
            daemon.wait_pids("web", 2, without=pids[:1])
    wait_until(lambda: "web: flapping detected" in daemon.log_text(), what=daemon.log_text)


def test_a_watcher_that_does_not_want_it_is_left_alone(circusd: CircusD) -> None:
    watchers = f"""
        [watcher:free]
        cmd = {CRASHING}
        autostart = False
        flapping.active = False
        [watcher:bad]
        cmd = {CRASHING}
        autostart = False
    """
    daemon = started(circusd, watchers, retry_in=1000)
    with daemon.events("watcher.free.reap") as events:
        daemon.ok("start", name="free")
        events.wait_for_topic("watcher.free.reap", count=4)
    daemon.ok("start", name="bad")
    wait_until(lambda: "bad: flapping detected" in daemon.log_text(), what=daemon.log_text)
    assert daemon.status("free") != "stopped"
    assert "free: flapping" not in daemon.log_text()


def test_a_start_by_hand_ends_the_pause(circusd: CircusD) -> None:
    daemon = started(circusd, f"[watcher:bad]\ncmd = {CRASHING}\nautostart = False\n", retry_in=1000, max_retry=1)
    with daemon.events("watcher.bad.") as events:
        for times in (1, 2):
            daemon.ok("start", name="bad")
            events.wait_for_topic("watcher.bad.stop", count=times)
            daemon.wait_status("bad", "stopped")
    wait_until(lambda: daemon.log_text().count("(attempt number 1)") == 2, what=daemon.log_text)
    assert GIVEN_UP.format("bad") not in daemon.log_text()


@pytest.mark.parametrize("text", ["flapping.window = soon", "flapping.attempts = 0"])
def test_an_option_that_says_nothing_is_told_and_the_default_taken(circusd: CircusD, text: str) -> None:
    daemon = started(circusd, f"[watcher:bad]\ncmd = {CRASHING}\nautostart = False\n{text}\n", retry_in=1000)
    daemon.ok("start", name="bad")
    wait_until(lambda: "bad: flapping detected" in daemon.log_text(), what=daemon.log_text)
    assert f"watcher bad: {text}: expected a" in daemon.log_text()


def test_an_option_that_changes_while_it_runs_is_heard(circusd: CircusD) -> None:
    watcher = f"[watcher:bad]\ncmd = {CRASHING}\nbackoff_max = 0.5\nautostart = False\nflapping.active = False\n"
    daemon = started(circusd, watcher, retry_in=1000)
    with daemon.events("watcher.bad.reap") as events:
        daemon.ok("start", name="bad")
        events.wait_for_topic("watcher.bad.reap", count=4)
    assert "bad: flapping detected" not in daemon.log_text()
    daemon.ini.write_text(daemon.ini.read_text().replace("flapping.active = False", "flapping.active = True"))
    daemon.ok("reloadconfig", waiting=True)
    wait_until(lambda: "bad: flapping detected" in daemon.log_text(), what=daemon.log_text)
    daemon.wait_status("bad", "stopped")


def test_a_changed_section_restarts_the_plugin_alone(circusd: CircusD) -> None:
    daemon = started(circusd, "[watcher:web]\ncmd = sleep 1000\n", window=1000, attempts=3)
    web, plugin = daemon.wait_pids("web", 1), daemon.wait_pids("plugin:flapping", 1)
    text = daemon.ini.read_text()
    daemon.ini.write_text(text.replace("attempts = 3", "attempts = 1"))
    daemon.ok("reloadconfig", waiting=True)
    daemon.wait_pids("plugin:flapping", 1, without=plugin)
    assert daemon.pids("web") == web
    wait_until(lambda: kill_and_look(daemon, "web: flapping detected"), what=daemon.log_text)


def kill_and_look(daemon: Daemon, told: str) -> bool:
    """Whether the log says so, after one more death; the new plugin may not hear the first ones."""
    for pid in daemon.pids("web"):
        os.kill(pid, signal.SIGKILL)
        daemon.wait_pids("web", 1, without=[pid])
    return told in daemon.log_text()
