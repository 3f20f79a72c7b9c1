"""What a program can ask of a watcher, as of circus 0.19's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from circus.exc import CircusError, ConfigError, HookError
from circus.process import devnull
from circus.watcher import Watcher
from tests.helpers import proc
from tests.helpers.embedding import constructed, until
from tests.helpers.waiting import DEADLINE

# A program with an arbiter keeps one descriptor of it for its workers; opened now, it is no leak of a test.
devnull()

FORKER = "sh -c 'sleep 1000 & exec sleep 1000'"


@pytest.fixture
def directory() -> Iterator[str]:
    """A directory whose name is short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="circus-") as directory:
        yield directory


def state(pid: int) -> str | None:
    """The letter of /proc for what a process does."""
    found = proc.stat(pid)
    return None if found is None else found.state


@contextlib.asynccontextmanager
async def running(directory: str, *args: Any, **options: Any) -> AsyncIterator[Watcher]:
    """A watcher in an arbiter that has started it."""
    watcher = Watcher(*args, **{"graceful_timeout": 5, **options})
    arbiter = constructed(directory, watcher)
    await asyncio.wait_for(arbiter.start(), DEADLINE)
    try:
        yield watcher
    finally:
        await asyncio.wait_for(arbiter.stop(), DEADLINE)


# -- before an arbiter has it


def test_it_is_made_without_a_loop_and_tells_what_it_was_made_of() -> None:
    watcher = Watcher("My Web", "sleep 1", numprocesses=3, env={"A": "1"}, color="red", stop_signal=signal.SIGINT)
    assert (watcher.name, watcher.res_name, watcher.cmd, watcher.numprocesses) == ("My Web", "my_web", "sleep 1", 3)
    assert (watcher.stop_signal, watcher.env, len(watcher)) == (2, {"A": "1"}, 0)
    assert (watcher.status(), watcher.is_stopped(), watcher.is_active()) == ("stopped", True, False)
    assert dict(watcher.options())["color"] == "red"
    assert {"cmd", "numprocesses", "color"} <= set(watcher.optnames)
    assert (watcher.arbiter, watcher.sockets, watcher.pids, watcher.info()) == (None, {}, [], {})


async def test_it_cannot_be_started_without_an_arbiter() -> None:
    watcher = Watcher("web", "sleep 1")
    with pytest.raises(CircusError, match="in no arbiter"):
        watcher.start()
    await watcher.manage_processes()
    watcher.reap_processes()
    watcher.notify_event("spawn", {})


def test_it_is_made_of_a_mapping_that_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "/there")
    config = {"name": "web", "cmd": "sleep 1", "env": {"A": "$PLACE/x"}, "flapping.attempts": 2}
    before = {**config}
    watcher = Watcher.load_from_config(config)
    assert config == before
    assert watcher.env == {"A": "/there/x"}
    assert dict(watcher.options())["flapping.attempts"] == 2


def test_its_environment_is_what_a_process_would_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "/there")
    assert Watcher("web", "x", env={"A": "1"}, copy_env=True).env.items() >= {"PLACE": "/there", "A": "1"}.items()
    assert Watcher("web", "x", env={"A": "1"}).env == {"A": "1"}


def test_hooks_are_looked_for_when_it_is_made() -> None:
    watcher = Watcher("web", "x", hooks={"before_start": (os.getcwd, True), "after_start": ("os.getpid", False)})
    assert watcher.hooks == {"before_start": os.getcwd, "after_start": os.getpid}
    assert "before_start" in watcher.ignore_hook_failure
    assert "after_start" not in watcher.ignore_hook_failure
    with pytest.raises(HookError, match="no_such"):
        Watcher("web", "x", hooks={"before_start": ("os.no_such", False)})


def test_what_is_stored_into_its_dicts_is_in_force() -> None:
    watcher = Watcher("web", "x", env={"A": "1"}, copy_env=True, hooks={"after_stop": ("os.getpid", True)}, color="red")
    watcher.env["B"] = "2"
    del watcher.env["A"]
    watcher.hooks["before_start"] = os.getcwd
    watcher._options["size"] = "9"
    assert watcher.spec.env == {"B": "2"}
    assert watcher.hooks == {"after_stop": os.getpid, "before_start": os.getcwd}
    assert watcher.spec.hooks["after_stop"].target == "os.getpid"
    assert "after_stop" in watcher.ignore_hook_failure
    assert dict(watcher.options()).items() >= {"color": "red", "size": "9"}.items()
    stale = watcher.hooks
    with pytest.raises(HookError, match="no_such"):
        stale["after_start"] = "os.no_such"
    stale["before_stop"] = os.getppid
    assert set(watcher.hooks) == {"after_stop", "before_start", "before_stop"}


def test_a_subclass_adds_attributes_to_the_options_that_are_told() -> None:
    class Owned(Watcher):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.optnames += ("owner", "absent")
            self.owner = "me"

    watcher = Owned("web", "x")
    assert {"owner", "absent", "cmd"} <= set(watcher.optnames)
    assert dict(watcher.options())["owner"] == "me"
    assert "absent" not in dict(watcher.options())


def test_what_nobody_said_is_told_as_0_19_did(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    watcher = Watcher("web", "x", args=["a"])
    assert (watcher.working_dir, watcher.args, watcher.stdout_stream_conf) == (str(tmp_path), ["a"], None)
    assert watcher.evpub_socket is None


def test_a_subclass_may_set_what_its_constructor_sets_again() -> None:
    class Eager(Watcher):
        def __init__(self, *args: Any, **options: Any) -> None:
            self.cmd = "nothing"
            super().__init__(*args, **options)
            self.graceful_timeout = 3

    watcher = Eager("web", "sleep 1")
    assert (watcher.cmd, watcher.graceful_timeout) == ("sleep 1", 3)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="singleton"):
        Watcher("web", "x", singleton=True, numprocesses=2)


async def test_options_are_set_before_an_arbiter_has_it(directory: str) -> None:
    watcher = Watcher("web", "sleep 1000")
    watcher.numprocesses = 2
    watcher.graceful_timeout = "3"
    watcher.env = {"A": "1"}
    assert watcher.set_opt("cmd", "sleep 2000") == 1
    assert (watcher.numprocesses, watcher.graceful_timeout, watcher.env, watcher.cmd) == (
        2,
        3.0,
        {"A": "1"},
        "sleep 2000",
    )
    with pytest.raises(ConfigError, match="graceful_timeout"):
        watcher.graceful_timeout = "soon"
    arbiter = constructed(directory, watcher)
    await asyncio.wait_for(arbiter.start(), DEADLINE)
    assert len(watcher) == 2
    assert {process.cmd for process in watcher.get_active_processes()} == {"sleep 2000"}
    await asyncio.wait_for(arbiter.stop(), DEADLINE)


# -- in an arbiter


async def test_options_are_set_for_what_comes(directory: str) -> None:
    seen: list[str] = []

    def hook(watcher: Any, **_: Any) -> bool:
        watcher.cmd = "sleep 3000"
        seen.append(watcher.cmd)
        return True

    async with running(directory, "web", "sleep 1000", hooks={"before_start": (hook, False)}, color="red") as watcher:
        assert seen == ["sleep 3000"]
        (process,) = watcher.get_active_processes()
        assert process.cmd == "sleep 3000"
        assert watcher.set_opt("cmd", "sleep 4000") == 1
        assert watcher.get_active_processes() == [process]
        await asyncio.wait_for(watcher.do_action(1), DEADLINE)
        assert [process.cmd for process in watcher.get_active_processes()] == ["sleep 4000"]
        assert watcher.set_opt("graceful_timeout", 2) == -1
        assert watcher.set_opt("color", "blue") == -1
        assert dict(watcher.options())["color"] == "blue"
        assert watcher.set_opt("send_hup", "false") == 0
        assert watcher.send_hup is False
        assert watcher.set_opt("numprocesses", 2) == 0
        await asyncio.wait_for(watcher.do_action(0), DEADLINE)
        assert len(watcher) == 2
        with pytest.raises(ConfigError):
            watcher.set_opt("numprocesses", "many")


async def test_it_tells_of_its_processes(directory: str) -> None:
    async with running(directory, "web", "sleep 1000", numprocesses=2) as watcher:
        assert len(watcher) == 2
        assert watcher.pids == watcher.get_active_pids() == [each.pid for each in watcher.get_active_processes()]
        assert set(watcher.info()) == set(watcher.pids)
        info = watcher.process_info(watcher.pids[0])
        assert (info["pid"], info["cmdline"], info["wid"]) == (watcher.pids[0], "sleep", 1)
        with pytest.raises(KeyError):
            watcher.process_info(1)
        assert watcher.arbiter.get_watcher("web") is watcher


async def test_extended_information_comes_from_the_hook(directory: str) -> None:
    def extend(watcher: Any, arbiter: Any, hook_name: str, pid: int, stats: dict[str, Any]) -> None:
        stats["name"] = f"{watcher.name} {hook_name} {pid}"

    async with running(directory, "web", "sleep 1000", hooks={"extended_stats": (extend, False)}) as watcher:
        (pid,) = watcher.pids
        assert watcher.info(extended=True)[pid]["name"] == f"web extended_stats {pid}"
        assert "name" not in watcher.info()[pid]


async def test_processes_are_ended_and_replaced(directory: str) -> None:
    async with running(directory, "web", "sleep 1000", numprocesses=2) as watcher:
        first, second = watcher.get_active_processes()
        assert await asyncio.wait_for(watcher.kill_process(first), DEADLINE)
        assert not await watcher.kill_process(first)
        await watcher.manage_processes()
        assert len(watcher) == 2
        assert second.is_alive()
        await asyncio.wait_for(watcher.kill_processes(signal.SIGKILL), DEADLINE)
        await asyncio.wait_for(watcher.spawn_processes(), DEADLINE)
        assert len(watcher) == 2
        assert not {first.pid, second.pid} & set(watcher.pids)


async def test_an_end_that_is_looked_for_is_found(directory: str) -> None:
    async with running(directory, "web", "sleep 1000") as watcher:
        (process,) = watcher.get_active_processes()
        os.kill(process.pid, signal.SIGKILL)
        # The loop gets no turn: whoever looks sees it all the same, and takes nothing from who waits for it.
        while process.is_alive():
            pass
        assert watcher.get_active_processes() == []
        watcher.reap_process(process.pid)
        assert process.pid not in watcher.pids
        await asyncio.wait_for(watcher.reap_and_manage_processes(), DEADLINE)
        assert len(watcher) == 1


async def test_children_are_signalled(directory: str) -> None:
    async with running(directory, "web", FORKER, stop_children=True) as watcher:
        (process,) = watcher.get_active_processes()
        (child,) = await until(process.children)
        watcher.send_signal_child(process.pid, child, signal.SIGSTOP)
        await until(lambda: state(child) == "T")
        watcher.send_signal_children(process.pid, signal.SIGCONT)
        await until(lambda: state(child) == "S")
        watcher.send_signal_process(process, signal.SIGKILL)
        await until(lambda: not proc.alive(process.pid) and not proc.alive(child))
        await asyncio.wait_for(watcher.manage_processes(), DEADLINE)
        for pid in await until(watcher.get_active_processes()[0].children):
            os.kill(pid, signal.SIGKILL)


async def test_old_processes_are_ended_when_asked_to(directory: str) -> None:
    async with running(directory, "web", "sleep 1000", max_age=1, max_age_variance=1000000) as watcher:
        (old,) = watcher.get_active_processes()
        await until(lambda: old.age() > 1)
        await asyncio.wait_for(watcher.remove_expired_processes(), DEADLINE)
        assert old.pid not in watcher.pids


async def test_a_hook_is_called_by_hand(directory: str) -> None:
    def hook(**given: Any) -> Any:
        if "fail" in given:
            raise RuntimeError("on purpose")
        return given["watcher"] is watcher and given["hook_name"] == "after_start"

    hooks = {"after_start": (hook, False), "before_signal": (hook, False)}
    async with running(directory, "web", "sleep 1000", autostart=False, hooks=hooks) as watcher:
        assert watcher.call_hook("after_start")
        assert watcher.call_hook("before_spawn")
        assert not watcher.call_hook("after_start", fail=True)
        assert watcher.call_hook("before_signal", fail=True)


async def test_what_is_to_be_done_after_a_change_is_done(directory: str) -> None:
    async with running(directory, "web", "sleep 1000") as watcher:
        (old,) = watcher.pids
        await watcher.do_action(-1)
        await watcher.do_action(0)
        assert watcher.pids == [old]
        await asyncio.wait_for(watcher.do_action(1), DEADLINE)
        assert old not in watcher.pids


async def test_a_program_is_told_before_a_reload(directory: str) -> None:
    told: list[object] = []
    async with running(directory, "web", "sleep 1000", prereload_fn=told.append) as watcher:
        await asyncio.wait_for(watcher.reload(), DEADLINE)
        assert told == [watcher]


async def test_a_program_publishes_events_of_its_own(directory: str) -> None:
    import zmq.asyncio

    async with running(directory, "web", "sleep 1000") as watcher:
        with zmq.asyncio.Context() as context, context.socket(zmq.SUB) as subscriber:
            subscriber.linger = 0
            subscriber.connect(watcher.arbiter.pubsub_endpoint)
            subscriber.subscribe(b"own.")
            publisher = watcher.arbiter.evpub_socket
            await until(lambda: publisher.wants(b"own.topic"))
            publisher.send_multipart([b"own.topic", b"{}"])
            assert await asyncio.wait_for(subscriber.recv_multipart(), DEADLINE) == [b"own.topic", b"{}"]
