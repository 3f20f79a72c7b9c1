"""Hooks in the real circusd: what vetoes and failures do to a watcher, and that nothing a hook asks for locks it up."""

from __future__ import annotations

import os
import pathlib
import signal
import textwrap
from collections.abc import Callable

import pytest

from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]

SLEEPER = "cmd = sleep 1000\n"
OTHER = f"[watcher:other]\n{SLEEPER}"


class Hooked:
    """Daemons whose watcher `web` has hooks of a module that the test writes."""

    def __init__(self, circusd: Start, directory: pathlib.Path) -> None:
        self._circusd, self.directory = circusd, directory

    def __call__(self, hooks: str, code: str, options: str = "", others: str = "") -> Daemon:
        head = f"import os, time\nHERE = {str(self.directory)!r}\n"
        (self.directory / "hooks_of_test.py").write_text(head + textwrap.dedent(code))
        named = "\n".join(
            f"hooks.{name.strip()} = hooks_of_test.{function.strip()}"
            for name, _, function in (each.partition("=") for each in hooks.split(";"))
        )
        return self._circusd(
            f"[watcher:web]\n{SLEEPER}{named}\nautostart = false\n{options}\n{others}\n",
            env={"PYTHONPATH": str(self.directory)},
        )


@pytest.fixture
def hooked(circusd: Start, tmp_path: pathlib.Path) -> Hooked:
    return Hooked(circusd, tmp_path)


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        ("before_start", ["hook_success"]),
        ("before_spawn", ["hook_success", "stop"]),
        ("after_spawn", ["hook_success", "kill", "reap", "stop"]),
        ("after_start", ["spawn", "hook_success", "kill", "reap", "stop"]),
    ],
)
def test_a_veto_on_the_way_up_ends_in_stopped(hooked: Hooked, hook: str, told: list[str]) -> None:
    daemon = hooked(f"{hook}=no", "def no(**_): return False")
    events = daemon.events("watcher.web.")
    daemon.ok("start", name="web", waiting=True)
    assert (daemon.status("web"), proc.children(daemon.pid)) == ("stopped", set())
    wait_until(lambda: len(events.topics()) >= len(told))
    assert [topic.rpartition(".")[2] for topic in events.topics()] == told


@pytest.mark.parametrize("hook", ["before_stop", "after_stop"])
@pytest.mark.parametrize("body", ["return False", "raise RuntimeError('no')", "raise SystemExit(1)"])
def test_nothing_on_the_way_down_can_be_vetoed(hooked: Hooked, hook: str, body: str) -> None:
    daemon = hooked(f"{hook}=no", f"def no(**_): {body}")
    daemon.ok("start", name="web", waiting=True)
    daemon.ok("stop", name="web", waiting=True)
    assert (daemon.status("web"), daemon.pids("web")) == ("stopped", [])


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "GeneratorExit", "BaseException", "RuntimeError"])
def test_whatever_a_hook_raises_is_its_failure_and_nobody_elses(hooked: Hooked, error: str) -> None:
    daemon = hooked("before_start=fail", f"def fail(**_): raise {error}('told')", others=OTHER)
    events = daemon.events("watcher.web.")
    daemon.ok("start", name="web", waiting=True)
    assert daemon.status("web") == "stopped"
    events.wait_for_topic("watcher.web.hook_failure")
    assert [topic.rpartition(".")[2] for topic in events.topics()] == ["hook_failure"]
    assert events.messages[0].body["name"] == "before_start"
    assert "told" in events.messages[0].body["error"]
    daemon.wait_status("other", "active")


def test_a_life_with_hooks_is_told_in_the_order_of_0_19(hooked: Hooked) -> None:
    names = ("before_start", "before_spawn", "after_spawn", "after_start", "before_stop", "after_stop")
    daemon = hooked(";".join(f"{name}=yes" for name in names), "def yes(**_): return True")
    events = daemon.events("watcher.web.")
    daemon.ok("start", name="web", waiting=True)
    daemon.ok("stop", name="web", waiting=True)
    wait_until(lambda: len(events.topics()) >= 11)
    told = [message.body.get("name") or message.topic.rpartition(".")[2] for message in events.messages]
    up = ["before_start", "before_spawn", "after_spawn", "spawn", "after_start", "start"]
    assert told == [*up, "before_stop", "kill", "reap", "stop", "after_stop"]


def test_a_respawn_asks_only_the_hooks_of_a_spawn(hooked: Hooked) -> None:
    names = ("before_start", "before_spawn", "after_spawn", "after_start", "before_stop", "after_stop")
    daemon = hooked(";".join(f"{name}=yes" for name in names), "def yes(**_): return True")
    (pid,) = daemon.ok("start", name="web", waiting=True)["info"]["started"]
    events = daemon.events("watcher.web.")
    os.kill(pid, signal.SIGKILL)
    events.wait_for_topic("watcher.web.spawn")
    told = [message.body.get("name") or message.topic.rpartition(".")[2] for message in events.messages]
    assert told == ["reap", "before_spawn", "after_spawn", "spawn"]


def test_a_hook_can_change_the_number_of_processes(hooked: Hooked) -> None:
    code = """
    def more(watcher, **_):
        watcher.numprocesses = 3
        return True
    """
    daemon = hooked("before_start=more", code)
    daemon.ok("start", name="web")
    daemon.wait_pids("web", 3)


def test_a_hook_can_change_the_environment_of_what_comes(hooked: Hooked) -> None:
    code = """
    def tell(watcher, **_):
        watcher.env["FROM_HOOK"] = "yes"
        return True
    """
    daemon = hooked("before_spawn=tell", code, options="copy_env = true")
    (pid,) = daemon.ok("start", name="web", waiting=True)["info"]["started"]
    assert b"FROM_HOOK=yes\0" in pathlib.Path(f"/proc/{pid}/environ").read_bytes()


def test_a_hook_reads_what_0_19_let_it_read(hooked: Hooked) -> None:
    code = """
    def look(watcher, arbiter, hook_name):
        told = [watcher.name, watcher.cmd, watcher.numprocesses, watcher.graceful_timeout, hook_name,
                watcher.is_stopped(), sorted(other.name for other in arbiter.iter_watchers()), arbiter.endpoint]
        open(os.path.join(HERE, "told"), "w").write(repr(told))
        return True
    """
    daemon = hooked("before_start=look", code, others=OTHER)
    daemon.ok("start", name="web", waiting=True)
    told = (hooked.directory / "told").read_text()
    # It is starting, so it is not stopped any more.
    assert told == repr(["web", "sleep 1000", 1, 30.0, "before_start", False, ["other", "web"], daemon.endpoint])


@pytest.mark.parametrize("hook", ["before_start", "before_spawn", "after_spawn", "after_start"])
def test_a_hook_that_commands_its_own_watcher_locks_nothing_up(hooked: Hooked, hook: str) -> None:
    code = """
    def command(watcher, **_):
        try:
            with open(os.path.join(HERE, "wanted")) as wanted:
                operation = wanted.read()
            os.unlink(os.path.join(HERE, "wanted"))
        except FileNotFoundError:
            return True
        getattr(watcher, operation)()
        return True
    """
    daemon = hooked(f"{hook}=command", code)
    for operation in ("stop", "start", "restart", "reload", "incr", "decr", "kill"):
        (hooked.directory / "wanted").write_text(operation)
        daemon.call("start", name="web", waiting=True)
        daemon.wait_status("web", "stopped" if operation == "stop" else "active")
        daemon.ok("stop", name="web", waiting=True)
        assert proc.children(daemon.pid) == set(), operation


def test_a_hook_that_ends_the_daemon_gets_what_it_asked_for(hooked: Hooked) -> None:
    code = """
    def leave(arbiter, **_):
        arbiter.quit()
        return True
    """
    daemon = hooked("after_start=leave", code, others=OTHER)
    daemon.wait_pids("other", 1)
    daemon.ok("start", name="web")
    assert daemon.wait() == 0


def test_the_dead_of_others_are_replaced_while_a_hook_sleeps(hooked: Hooked) -> None:
    code = """
    def wait(**_):
        while not os.path.exists(os.path.join(HERE, "go")):
            time.sleep(0.01)
        return True
    """
    daemon = hooked("before_start=wait", code, others=OTHER)
    (pid,) = daemon.wait_pids("other", 1)
    daemon.ok("start", name="web")
    daemon.wait_status("web", "starting")
    os.kill(pid, signal.SIGKILL)
    daemon.wait_pids("other", 1, without=[pid])
    assert daemon.status("web") == "starting"
    (hooked.directory / "go").touch()
    daemon.wait_status("web", "active")


def test_a_process_that_dies_while_after_spawn_is_asked_is_replaced(hooked: Hooked) -> None:
    code = """
    def wait(pid, **_):
        open(os.path.join(HERE, "pids"), "a").write(f"{pid}\\n")
        while not os.path.exists(os.path.join(HERE, "go")):
            time.sleep(0.01)
        return True
    """
    daemon = hooked("after_spawn=wait", code)
    daemon.ok("start", name="web")
    pids = hooked.directory / "pids"
    first = int(wait_until(lambda: pids.exists() and pids.read_text()) or 0)
    os.kill(first, signal.SIGKILL)
    (hooked.directory / "go").touch()
    daemon.wait_pids("web", 1, without=[first])
    daemon.wait_status("web", "active")


ALL_OF_A_STOP = ("before_stop", "before_signal", "after_signal", "before_reap", "after_reap", "after_stop")


def test_a_stop_with_all_hooks_is_told_in_the_order_of_0_19(hooked: Hooked) -> None:
    code = """
    def note(watcher, arbiter, hook_name, **more):
        open(os.path.join(HERE, "notes"), "a").write(f"{hook_name} {sorted(more)} {more.get('signum')}\\n")
        return True
    """
    daemon = hooked(";".join(f"{name}=note" for name in ALL_OF_A_STOP), code)
    (pid,) = daemon.ok("start", name="web", waiting=True)["info"]["started"]
    events = daemon.events("watcher.web.")
    daemon.ok("stop", name="web", waiting=True)
    wait_until(lambda: len(events.topics()) >= 9)
    told = [message.body.get("name") or message.topic.rpartition(".")[2] for message in events.messages]
    assert told == ["before_stop", "before_signal", "after_signal", "kill", "before_reap", "reap", "after_reap", "stop",
                    "after_stop"]  # fmt: skip
    assert events.messages[5].body["process_pid"] == pid
    assert (hooked.directory / "notes").read_text().splitlines() == [
        "before_stop [] None",
        "before_signal ['pid', 'signum'] 15",
        "after_signal ['pid', 'signum'] 15",
        "before_reap ['process_pid', 'time'] None",
        "after_reap ['exit_code', 'process_pid', 'process_status', 'time'] None",
        "after_stop [] None",
    ]


def test_a_vetoed_stop_signal_is_followed_by_sigkill_which_cannot_be_vetoed(hooked: Hooked) -> None:
    daemon = hooked("before_signal=no", "def no(**_): return False", options="graceful_timeout = 0.2")
    daemon.ok("start", name="web", waiting=True)
    events = daemon.events("watcher.web.")
    daemon.ok("stop", name="web", waiting=True)
    reap = events.wait_for_topic("watcher.web.reap")[0]
    assert reap.body["exit_code"] == -signal.SIGKILL


@pytest.mark.parametrize("command", ["signal", "kill"])
def test_the_commands_that_signal_ask_the_hooks(hooked: Hooked, command: str) -> None:
    code = """
    def note(hook_name, pid, signum, **_):
        open(os.path.join(HERE, "notes"), "a").write(f"{hook_name} {pid} {signum}\\n")
        return signum != signal.SIGUSR2
    """
    daemon = hooked("before_signal=note;after_signal=note", "import signal\n" + textwrap.dedent(code))
    (pid,) = daemon.ok("start", name="web", waiting=True)["info"]["started"]
    notes = hooked.directory / "notes"
    daemon.ok("signal", name="web", signum="usr2")  # vetoed, or it would end the sleep
    wait_until(lambda: notes.exists() and len(notes.read_text().splitlines()) == 2)
    if command == "signal":
        daemon.ok("signal", name="web", pid=pid, signum="usr1")
    else:
        daemon.ok("kill", name="web", pid=pid, signum="usr1", waiting=True)
    daemon.wait_pids("web", 1, without=[pid])
    wanted = [f"{hook} {pid} {signum}" for signum in (12, 10) for hook in ("before_signal", "after_signal")]
    wait_until(lambda: len(notes.read_text().splitlines()) == 4)
    assert notes.read_text().splitlines() == wanted


@pytest.mark.parametrize("hook", ["before_signal", "after_signal", "before_reap", "after_reap"])
def test_a_second_sigterm_ends_a_daemon_whose_hook_hangs(hooked: Hooked, hook: str) -> None:
    code = """
    def hang(**_):
        open(os.path.join(HERE, "hangs"), "w").close()
        time.sleep(1000)
    """
    daemon = hooked(f"{hook}=hang", code, others=OTHER)
    daemon.ok("start", name="web", waiting=True)
    daemon.signal(signal.SIGTERM)
    wait_until((hooked.directory / "hangs").exists)
    assert daemon.returncode is None
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_a_hook_that_hangs_before_a_signal_is_given_up_and_the_stop_goes_on(hooked: Hooked) -> None:
    daemon = hooked("before_signal=hang", "def hang(**_): time.sleep(1000)", options="hook_timeout = 0.2", others=OTHER)
    (pid,) = daemon.wait_pids("other", 1)
    daemon.ok("start", name="web", waiting=True)
    with daemon.caller() as other:
        other.call("stop", name="web")
        os.kill(pid, signal.SIGKILL)
        daemon.wait_pids("other", 1, without=[pid])
    daemon.wait_status("web", "stopped")


def test_a_death_with_a_slow_hook_is_followed_by_a_spawn_when_it_is_done(hooked: Hooked) -> None:
    code = """
    def wait(**_):
        while not os.path.exists(os.path.join(HERE, "go")):
            time.sleep(0.01)
    """
    daemon = hooked("after_reap=wait", code)
    (pid,) = daemon.ok("start", name="web", waiting=True)["info"]["started"]
    events = daemon.events("watcher.web.")
    os.kill(pid, signal.SIGKILL)
    assert events.wait_for_topic("watcher.web.reap")[0].body["exit_code"] == -signal.SIGKILL
    assert daemon.pids("web") == []
    (hooked.directory / "go").touch()
    daemon.wait_pids("web", 1, without=[pid])


def test_extended_stats_adds_what_the_hook_knows(hooked: Hooked) -> None:
    code = """
    def extend(w, a, name, pid, stats):
        stats["requests"] = {"pid": pid, "by": name, "of": w.name}
    """
    daemon = hooked("extended_stats=extend", code)
    (pid,) = daemon.ok("start", name="web", waiting=True)["info"]["started"]
    told = {"pid": pid, "by": "extended_stats", "of": "web"}
    assert daemon.ok("stats", name="web", extended=True)["info"][str(pid)]["requests"] == told
    assert daemon.ok("stats", name="web", process=pid, extended=True)["info"]["requests"] == told
    assert "requests" not in daemon.ok("stats", name="web")["info"][str(pid)]
    assert "requests" not in daemon.ok("stats", extended=True)["infos"]["web"][str(pid)]


@pytest.mark.parametrize("body", ["raise KeyError('no such thing')", "time.sleep(1000)", "stats['x'] = object()"])
def test_a_failure_of_extended_stats_is_the_answer(hooked: Hooked, body: str) -> None:
    code = f"def extend(w, a, name, pid, stats): {body}"
    daemon = hooked("extended_stats=extend", code, options="hook_timeout = 0.2")
    daemon.ok("start", name="web", waiting=True)
    reply = daemon.call("stats", name="web", extended=True)
    assert (reply["status"], reply["errno"]) == ("error", 5)
    assert daemon.ok("stats", name="web")["info"]


def test_a_failure_of_extended_stats_can_be_ignored(hooked: Hooked) -> None:
    daemon = hooked("extended_stats=extend,true", "def extend(*_, **__): raise KeyError('no')")
    daemon.ok("start", name="web", waiting=True)
    assert daemon.ok("stats", name="web", extended=True)["info"]


def test_sigterm_is_not_lost_among_the_deaths_of_many_while_a_hook_keeps_the_interpreter(hooked) -> None:
    """The hook never lets go of the interpreter, so each death is told to a main thread that cannot do anything."""
    os.mkfifo(hooked.directory / "leave")
    daemon = hooked(
        "before_start = hold",
        """
        import ctypes
        def hold(**_):
            leave = os.open(f"{HERE}/leave", os.O_RDONLY)
            open(f"{HERE}/holding", "w").close()
            ctypes.PyDLL(None).read(leave, ctypes.create_string_buffer(1), 1)  # unlike os.read, with the lock held
        """,
        others="[watcher:many]\ncmd = sleep 1000\nnumprocesses = 600\nrespawn = False\n",
    )
    pids = daemon.wait_pids("many", 600)
    daemon.call("start", name="web")
    with (hooked.directory / "leave").open("wb") as leave:
        wait_until((hooked.directory / "holding").exists)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            # One signal each: those that come before the last was taken are one to the kernel.
            wait_until(lambda pid=pid: proc.stat(pid).state == "Z")
        os.kill(daemon.pid, signal.SIGTERM)
        leave.write(b"x")
    wait_until(lambda: daemon.returncode is not None)
    assert daemon.returncode == 0
    assert "Exception ignored" not in daemon.log_text()
