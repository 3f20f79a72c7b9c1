"""Hooks of a configuration, in the real circusd: what they are told, what their answers do, what they may ask for."""

from __future__ import annotations

import json
import pathlib
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

HEAD = """
import json, os, threading, time
HERE = os.path.dirname(__file__)

def note(**told):
    with open(os.path.join(HERE, "notes"), "a") as notes:
        notes.write(json.dumps(told) + "\\n")
"""
Start = Callable[..., Daemon]


class Hooked:
    """A daemon with a watcher `web` that has hooks, and what the hooks wrote down."""

    def __init__(self, circusd: Start, directory: pathlib.Path) -> None:
        self._circusd, self.directory = circusd, directory

    def start(self, hooks: str, code: str, options: str = "", others: str = "", cmd: str = "sleep 1000") -> Daemon:
        self.directory.joinpath("our_hooks.py").write_text(HEAD + textwrap.dedent(code))
        ini = f"[watcher:web]\ncmd = {cmd}\n{textwrap.dedent(options)}\n{textwrap.dedent(hooks)}\n{textwrap.dedent(others)}"
        return self._circusd(ini, env={"PYTHONPATH": str(self.directory)})

    def notes(self) -> list[dict[str, Any]]:
        file = self.directory / "notes"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def wait_notes(self, count: int) -> list[dict[str, Any]]:
        return wait_until(lambda: (notes := self.notes()) and len(notes) >= count and notes, what=self.notes) or []


@pytest.fixture
def hooked(circusd: Start, tmp_path: pathlib.Path) -> Hooked:
    return Hooked(circusd, tmp_path)


def test_the_hooks_of_a_life_are_called_in_order_in_one_thread(hooked: Hooked) -> None:
    names = ("before_start", "before_spawn", "after_spawn", "after_start", "before_stop", "after_stop")
    hooks = "\n".join(f"hooks.{name} = our_hooks.tell" for name in names)
    code = """
    def tell(watcher, arbiter, hook_name, **more):
        note(hook=hook_name, name=watcher.name, pids=list(watcher.processes), thread=threading.get_ident(),
             main=threading.current_thread() is threading.main_thread(), more=sorted(more))
        return True
    """
    daemon = hooked.start(hooks, code)
    daemon.wait_status("web", "active")
    pids = daemon.pids("web")
    daemon.ok("stop", name="web", waiting=True)
    notes = hooked.wait_notes(6)
    assert [told["hook"] for told in notes] == list(names)
    assert {told["name"] for told in notes} == {"web"}
    assert not any(told["main"] for told in notes)
    assert len({told["thread"] for told in notes}) == 1
    assert notes[2]["more"] == ["pid"]
    assert notes[3]["pids"] == pids


def test_a_hook_without_an_answer_vetoes_the_start(hooked: Hooked) -> None:
    daemon = hooked.start("hooks.before_start = our_hooks.silent", "def silent(**_): note(called=True)")
    hooked.wait_notes(1)
    daemon.wait_status("web", "stopped")
    assert daemon.pids("web") == []
    wait_until(lambda: "'web' is stopped: its hook before_start said no" in daemon.log_text())


def test_why_leads_from_a_stopped_watcher_to_the_hook_that_said_no(hooked: Hooked) -> None:
    daemon = hooked.start("hooks.before_start = our_hooks.no", "def no(**_): return False", options="autostart = false")
    daemon.ok("start", name="web", waiting=True)
    because = daemon.ok("why", name="web")["state_because"]
    assert [record["record"] for record in because] == ["command.started", "hook.finished", "watcher.state"]
    assert (because[1]["data"]["hook"], because[1]["data"]["veto"]) == ("before_start", True)


def test_a_hook_that_leaves_is_a_failure_and_the_daemon_lives(hooked: Hooked) -> None:
    code = """
    def leave(**_):
        note(called=True)
        raise SystemExit(3)
    """
    daemon = hooked.start("hooks.before_start = our_hooks.leave", code, options="autostart = false")
    events = daemon.events("watcher.web.")
    daemon.ok("start", name="web")
    (failure,) = events.wait_for_topic("watcher.web.hook_failure")
    assert (failure.body["name"], failure.body["error"]) == ("before_start", "SystemExit: 3")
    daemon.wait_status("web", "stopped")


def test_an_ignored_failure_lets_the_watcher_start(hooked: Hooked) -> None:
    code = """
    def fail(**_):
        raise ValueError("not today")
    """
    daemon = hooked.start("hooks.before_start = our_hooks.fail, true", code)
    daemon.wait_status("web", "active")


def test_a_slow_hook_holds_up_only_its_own_watcher(hooked: Hooked) -> None:
    code = """
    def wait(**_):
        note(waiting=True)
        while not os.path.exists(os.path.join(HERE, "go")):
            time.sleep(0.01)
        return True
    """
    daemon = hooked.start(
        "hooks.before_start = our_hooks.wait", code, others="[watcher:other]\ncmd = sleep 1000\nautostart = false"
    )
    hooked.wait_notes(1)
    daemon.ok("start", name="other", waiting=True)
    assert daemon.status("other") == "active"
    assert daemon.status("web") == "starting"
    hooked.directory.joinpath("go").touch()
    daemon.wait_status("web", "active")


def test_a_hook_that_does_not_come_back_has_failed_after_hook_timeout(hooked: Hooked) -> None:
    code = """
    def never(**_):
        note(waiting=True)
        time.sleep(1000)
    """
    daemon = hooked.start("hooks.before_start = our_hooks.never", code, options="hook_timeout = 0.2\nautostart = false")
    events = daemon.events("watcher.web.")
    daemon.ok("start", name="web")
    (failure,) = events.wait_for_topic("watcher.web.hook_failure")
    assert failure.body["error"] == "timed out after 0.2 s"
    daemon.wait_status("web", "stopped")


def test_a_daemon_with_a_stuck_hook_stops(hooked: Hooked) -> None:
    code = """
    def never(**_):
        note(waiting=True)
        time.sleep(1000)
    """
    daemon = hooked.start("hooks.after_start = our_hooks.never", code, options="hook_timeout = 0.2")
    hooked.wait_notes(1)
    assert daemon.stop() == []


def test_a_hook_commands_other_watchers_and_waits_for_them(hooked: Hooked) -> None:
    code = """
    def bring_up(watcher, arbiter, hook_name):
        info = arbiter.get_watcher("db").start().result(10)
        note(started=info["started"])
        return True
    """
    daemon = hooked.start(
        "hooks.before_start = our_hooks.bring_up", code, others="[watcher:db]\ncmd = sleep 1000\nautostart = false"
    )
    daemon.wait_status("web", "active")
    assert hooked.wait_notes(1) == [{"started": daemon.pids("db")}]


def test_a_hook_cannot_deadlock_on_its_own_watcher(hooked: Hooked) -> None:
    code = """
    def restart(watcher, arbiter, hook_name):
        handle = watcher.incr(2)
        try:
            handle.result()
        except Exception as error:
            note(error=type(error).__name__)
        return True
    """
    daemon = hooked.start("hooks.after_start = our_hooks.restart", code)
    daemon.wait_pids("web", 3)
    assert hooked.wait_notes(1) == [{"error": "HookError"}]


def test_a_hook_signals_its_process_and_waits_for_what_comes_of_it(hooked: Hooked) -> None:
    code = """
    def pause_first(watcher, pid, signum, **_):
        note(signum=int(signum))
        if signum == 15:
            watcher.send_signal(pid, 10)
            until = time.monotonic() + 30
            while not os.path.exists(HERE + "/paused") and time.monotonic() < until:
                time.sleep(0.01)
            note(paused=os.path.exists(HERE + "/paused"))
        return True
    """
    loop = f"sh -c 'trap \"touch {hooked.directory}/paused\" USR1; echo ready; while :; do sleep 0.05; done'"
    daemon = hooked.start("hooks.before_signal = our_hooks.pause_first", code, "capture = True", cmd=loop)
    wait_until(lambda: "ready" in daemon.circusctl("tail", "web").stdout)
    daemon.ok("stop", name="web", waiting=True)
    assert hooked.notes() == [{"signum": 15}, {"paused": True}]
    daemon.ok("start", name="web", waiting=True)
    daemon.ok("signal", name="web", signum="usr2")
    assert hooked.wait_notes(3)[2] == {"signum": 12}  # a client's signal is asked about


def test_a_hook_that_cannot_be_imported_leaves_its_watcher_out(hooked: Hooked) -> None:
    daemon = hooked.start("hooks.before_start = our_hooks.absent", "", others="[watcher:ok]\ncmd = sleep 1000")
    daemon.wait_status("ok", "active")
    assert daemon.ok("list")["watchers"] == ["ok"]
    assert "absent" in daemon.log_text()


def test_the_child_of_a_hook_that_forks_and_returns_ends_there(hooked: Hooked) -> None:
    code = """
    def fork(**_):
        if os.fork() == 0:
            note(child=os.getpid())
            raise ValueError("somewhere in the child")
        return True
    """
    daemon = hooked.start("hooks.before_start = our_hooks.fork", code)
    daemon.wait_pids("web", 1)
    (told,) = hooked.wait_notes(1)
    wait_until(lambda: not proc.alive(told["child"]), what=lambda: proc.describe(told["child"]))
    assert "somewhere in the child" not in daemon.log_text()
