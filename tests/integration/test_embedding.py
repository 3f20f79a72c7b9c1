"""The ways in which a program runs an arbiter: blocking, awaited, in a thread; with classes of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from circus.arbiter import Arbiter, ThreadedArbiter
from circus.client import AsyncCircusClient, CircusClient
from circus.exc import AlreadyExist, CircusError, EndpointError
from circus.process import RUNNING, Process, devnull
from circus.stream.redirector import Redirector
from circus.watcher import Watcher
from tests.helpers import proc
from tests.helpers.embedding import SLEEPER, constructed, made, until
from tests.helpers.waiting import DEADLINE, wait_until

# A program with an arbiter keeps one descriptor of it for its workers; opened now, it is no leak of a test.
devnull()


@pytest.fixture
def directory() -> Iterator[str]:
    """A directory whose name is short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="circus-") as directory:
        yield directory


def append(ini: Path, text: str) -> None:
    with ini.open("a") as file:
        file.write(text)


def ask(directory: str, command: str, **properties: Any) -> dict[str, Any]:
    with CircusClient(endpoint=f"ipc://{directory}/control", timeout=DEADLINE) as client:
        return client.send_message(command, **properties)


# -- in an asyncio program


async def test_start_is_awaited_until_all_watchers_are_up_and_stop_until_all_is_closed(directory: str) -> None:
    arbiter = made(directory, SLEEPER | {"numprocesses": 2})
    assert not arbiter.running
    await asyncio.wait_for(arbiter.start(), DEADLINE)
    assert (arbiter.running, arbiter.statuses(), arbiter.numprocesses()) == (True, {"web": "active"}, 2)
    pids = arbiter.get_watcher("web").get_active_pids()
    await asyncio.wait_for(arbiter.stop(), DEADLINE)
    assert not arbiter.running
    assert not any(map(proc.alive, pids))
    assert os.listdir(directory) == []


async def test_what_runs_cannot_be_started_again_and_goes_on(directory: str) -> None:
    arbiter = made(directory, SLEEPER)
    await arbiter.start()
    with pytest.raises(CircusError, match="runs already"):
        await arbiter.start()
    assert (arbiter.running, arbiter.statuses()) == (True, {"web": "active"})
    await asyncio.wait_for(arbiter.stop(), DEADLINE)


async def test_what_is_closed_without_a_stop_ends_and_leaves_its_processes(directory: str) -> None:
    arbiter = made(directory, SLEEPER)
    arbiter.stop_controller_and_close_sockets()
    serving = asyncio.ensure_future(arbiter.run())
    (pid,) = await until(lambda: arbiter.running and arbiter.numprocesses() and arbiter.get_watcher("web").pids)
    arbiter.stop_controller_and_close_sockets()
    await asyncio.wait_for(serving, DEADLINE)
    assert not arbiter.running
    assert proc.alive(pid)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)  # noqa: ASYNC222 -- it is nobody's now


async def test_a_callback_is_called_when_all_watchers_are_up(directory: str) -> None:
    arbiter, called = made(directory, SLEEPER), asyncio.Event()
    arbiter.start(cb=lambda future: called.set())
    await asyncio.wait_for(called.wait(), DEADLINE)
    assert arbiter.statuses() == {"web": "active"}
    await arbiter.stop()


async def test_stopping_what_does_not_run_is_harmless(directory: str) -> None:
    arbiter = made(directory, SLEEPER)
    await arbiter.stop()
    await arbiter.start()
    await asyncio.gather(arbiter.stop(), arbiter.stop())
    await arbiter.stop()


async def test_an_arbiter_can_be_started_again(directory: str) -> None:
    arbiter = constructed(directory, Watcher("web", "sleep 1000"))
    for life in (1, 2):
        await asyncio.wait_for(arbiter.start(), DEADLINE)
        assert arbiter.numprocesses() == 1
        # It is the same boot, so no process is mistaken for one of the life before.
        assert [each.generation for each in arbiter.get_watcher("web").processes.values()] == [life]
        await asyncio.wait_for(arbiter.stop(), DEADLINE)


async def test_an_endpoint_that_cannot_be_had_is_told_by_start(directory: str) -> None:
    arbiter = made(f"{directory}/missing", SLEEPER)
    with pytest.raises(EndpointError):
        await arbiter.start()
    assert not arbiter.running


@pytest.mark.parametrize("kind", ["asyncio", "tornado"])
def test_a_loop_that_was_given_is_used_before_it_runs(directory: str, kind: str) -> None:
    loop = asyncio.new_event_loop()
    try:
        # What of tornado's loop matters here is the asyncio loop that it is around.
        arbiter = made(directory, SLEEPER, loop=loop if kind == "asyncio" else SimpleNamespace(asyncio_loop=loop))
        loop.run_until_complete(asyncio.wait_for(arbiter.start(), DEADLINE))
        assert arbiter.loop is loop
        assert arbiter.statuses() == {"web": "active"}
        loop.run_until_complete(asyncio.wait_for(arbiter.stop(), DEADLINE))
    finally:
        loop.close()


async def test_watchers_are_added_and_removed(directory: str) -> None:
    arbiter = constructed(directory, Watcher("web", "sleep 1000"))
    arbiter.add_watcher("early", "sleep 1000", numprocesses=2)
    arbiter.add_watcher("never", "sleep 1000")
    with pytest.raises(AlreadyExist):
        arbiter.add_watcher("Early", "sleep 1")
    await arbiter.rm_watcher("never")
    await arbiter.start()
    assert arbiter.statuses() == {"web": "active", "early": "active"}
    late = arbiter.add_watcher("late", "sleep 1000", autostart=False)
    assert late.status() == "stopped"
    await late.start()
    assert arbiter.numprocesses() == 4
    with pytest.raises(AlreadyExist):
        arbiter.add_watcher("WEB", "sleep 1")
    pids = late.get_active_pids()
    await asyncio.wait_for(arbiter.rm_watcher("late"), DEADLINE)
    assert not any(map(proc.alive, pids))
    assert [watcher.name for watcher in arbiter.watchers] == ["web", "early"]
    await arbiter.stop()


async def test_a_configuration_file_is_followed(directory: str) -> None:
    ini = Path(directory, "circus.ini")
    where = "\n".join(f"{key} = ipc://{directory}/{key}" for key in ("endpoint", "pubsub_endpoint", "stats_endpoint"))
    append(ini, f"[circus]\n{where}\n[watcher:web]\ncmd = sleep 1000\ngraceful_timeout = 5\n")
    arbiter = Arbiter.load_from_config(str(ini))
    assert arbiter.config_file == str(ini)
    await asyncio.wait_for(arbiter.start(), DEADLINE)
    try:
        assert arbiter.statuses() == {"web": "active"}
        append(ini, "[watcher:more]\ncmd = sleep 1000\ngraceful_timeout = 5\n")
        await asyncio.wait_for(arbiter.reload_from_config(), DEADLINE)
        await until(lambda: arbiter.statuses() == {"web": "active", "more": "active"})
        before = arbiter.get_watcher("web").pids
        await asyncio.wait_for(arbiter.restart(inside_circusd=True), DEADLINE)
        await until(lambda: arbiter.numprocesses() == 2)
        assert arbiter.get_watcher("web").pids != before
    finally:
        await asyncio.wait_for(arbiter.stop(), DEADLINE)


async def test_without_a_file_a_restart_of_everything_stops_and_starts(directory: str) -> None:
    arbiter = constructed(directory, Watcher("web", "sleep 1000"), Watcher("other", "sleep 1000"))
    await asyncio.wait_for(arbiter.start(), DEADLINE)
    try:
        web, other = arbiter.watchers
        before = web.pids + other.pids
        await asyncio.wait_for(arbiter.restart(watcher_iter_func=lambda **_: [web]), DEADLINE)
        assert before[0] not in web.pids
        assert other.pids == before[1:]
        client = AsyncCircusClient(endpoint=arbiter.endpoint, timeout=DEADLINE)
        assert (await client.send_message("restart", waiting=True))["status"] == "ok"
        client.stop()
        assert arbiter.watchers == [web, other]
        assert other.pids != before[1:]
        told: list[object] = []
        arbiter.prereload_fn = told.append
        await asyncio.wait_for(arbiter.reload(), DEADLINE)
        assert told == [arbiter]
    finally:
        await asyncio.wait_for(arbiter.stop(), DEADLINE)


# -- with classes of one's own


class Greeting(Process):
    """Puts something into the environment, and remembers that it was started and signalled."""

    made: ClassVar[list[str]] = []

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "env": {**options["env"], "GREETING": "hello"}})
        self.made.append(f"{self.name} {self.wid} {self.pid > 0}")

    def send_signal(self, signum: int) -> None:
        self.made.append(f"signal {int(signum)}")
        super().send_signal(signum)


class Counting(Redirector):
    """Notes whose output it carries; made as 0.19 made one."""

    carried: ClassVar[list[int]] = []

    def __init__(self, stdout_redirect: Any, stderr_redirect: Any, buffer: int = 1024, loop: Any = None) -> None:
        super().__init__(stdout_redirect, stderr_redirect, buffer, loop)

    def add_redirections(self, process: Any) -> None:
        self.carried.append(process.wid)
        super().add_redirections(process)


class Curious(Watcher):
    """Tells what it is asked, and what it tells others."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: list[str] = []

    @property
    def _process_class(self) -> type[Process]:
        return Greeting

    @property
    def _redirector_class(self) -> type[Redirector]:
        return Counting

    async def start(self) -> dict[str, list[int]]:  # type: ignore[override]  # as a program of 0.19 would have it
        self.seen.append("start")
        return await super().start()

    def notify_event(self, topic: str, msg: Mapping[str, Any]) -> None:
        self.seen.append(topic)
        super().notify_event(topic, msg)


async def test_subclasses_of_watcher_and_process_do_the_work(directory: str) -> None:
    Greeting.made.clear()
    Counting.carried.clear()
    lines: list[bytes] = []
    watcher = Curious(
        "web",
        "sh -c 'echo $GREETING; exec sleep 1000'",
        stdout_stream={"stream": lambda data: lines.append(data["data"])},
        graceful_timeout=5,
    )
    arbiter = constructed(directory, watcher)
    await asyncio.wait_for(arbiter.start(), DEADLINE)
    assert arbiter.get_watcher("web") is watcher
    (process,) = watcher.processes.values()
    assert type(process) is Greeting
    assert process.watcher is watcher
    assert isinstance(watcher.stream_redirector, Counting)
    assert (process.is_alive(), process.status, process.wid) == (True, RUNNING, 1)
    await until(lambda: lines)
    assert lines == [b"hello\n"]
    os.kill(process.pid, signal.SIGKILL)
    await until(lambda: watcher.processes and process.pid not in watcher.processes)
    assert (process.poll(), process.is_alive()) == (-signal.SIGKILL, False)
    await asyncio.wait_for(arbiter.stop(), DEADLINE)
    assert Greeting.made == ["web 1 True", "web 1 True", "signal 15"]
    assert Counting.carried == [1, 1]
    assert watcher.seen == ["start", "spawn", "start", "reap", "spawn", "kill", "reap", "stop"]


class Broken(Process):
    """Starts, and then fails."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        raise KeyError("on purpose")


async def test_a_process_class_that_fails_leaves_nothing_behind(directory: str) -> None:
    class Unlucky(Watcher):
        @property
        def _process_class(self) -> type[Process]:
            return Broken

    watcher = Unlucky("web", "sleep 1000", max_retry=1)
    arbiter = constructed(directory, watcher, Watcher("other", "sleep 1000"))
    before = set(proc.own_children())
    await asyncio.wait_for(arbiter.start(), DEADLINE)
    assert arbiter.statuses() == {"web": "stopped", "other": "active"}
    assert len(set(proc.own_children()) - before) == 1
    await asyncio.wait_for(arbiter.stop(), DEADLINE)


# -- in a thread


def test_in_the_background_it_serves_until_it_is_stopped(directory: str) -> None:
    arbiter = made(directory, SLEEPER, background=True)
    assert isinstance(arbiter, ThreadedArbiter)
    assert isinstance(arbiter, threading.Thread)
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    arbiter.start()
    try:
        assert arbiter.is_alive()
        pids = wait_until(lambda: ask(directory, "list", name="web")["pids"])
        assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    finally:
        arbiter.stop()
    assert not arbiter.is_alive()
    assert not any(map(proc.alive, pids or []))


def test_in_the_background_it_ends_by_a_command_too(directory: str) -> None:
    arbiter = made(directory, SLEEPER, background=True)
    arbiter.start()
    assert ask(directory, "quit", waiting=True)["status"] == "ok"
    arbiter.join(DEADLINE)
    assert not arbiter.is_alive()
    arbiter.stop()


def test_in_the_background_start_raises_what_keeps_it_from_serving(directory: str) -> None:
    arbiter = made(f"{directory}/missing", SLEEPER, background=True)
    with pytest.raises(EndpointError):
        arbiter.start()
    assert not arbiter.is_alive()


# -- as a program of its own


async def test_a_stop_of_a_subclass_is_called_once_whoever_ends_it(directory: str) -> None:
    class Guarded(Arbiter):
        called = 0

        def stop(self) -> Any:
            self.called += 1
            return super().stop()

    class Failing(Arbiter):
        async def stop(self) -> None:
            raise RuntimeError("not now")

    for end in (Guarded.stop, Guarded.quit):
        guarded = constructed(directory, Watcher("web", "sleep 1000"), kind=Guarded)
        await asyncio.wait_for(guarded.start(), DEADLINE)
        await asyncio.wait_for(end(guarded), DEADLINE)
        assert guarded.called == 1
        await until(lambda arbiter=guarded: not arbiter.running)
    failing = constructed(directory, Watcher("web", "sleep 1000"), kind=Failing)
    await asyncio.wait_for(failing.start(), DEADLINE)
    await asyncio.wait_for(failing.quit(), DEADLINE)
    await until(lambda: not failing.running)


def test_in_a_thread_of_the_program_its_loop_takes_the_calls_of_tornado(directory: str) -> None:
    class Threaded(Arbiter):
        def begin(self, up: threading.Event) -> None:
            self.loop = None
            self._ensure_ioloop()
            self.ctrl.loop = self.loop
            super().start(cb=lambda _: up.set())

        def stop(self) -> Any:
            self.loop.add_callback(super().stop)

    up = threading.Event()
    threaded = constructed(directory, Watcher("web", "sleep 1000"), kind=Threaded)
    thread = threading.Thread(target=threaded.begin, args=(up,))
    thread.start()
    assert up.wait(DEADLINE)
    assert ask(directory, "numprocesses")["numprocesses"] == 1
    threaded.stop()
    thread.join(DEADLINE)
    assert (thread.is_alive(), threaded.running) == (False, False)


@pytest.mark.parametrize("base", [Arbiter, ThreadedArbiter])
def test_what_was_loaded_from_a_file_can_be_looked_at_and_changed_before(
    directory: str, tmp_path: Path, base: type[Arbiter]
) -> None:
    class Named(base):  # type: ignore[misc, valid-type]  # either of them
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.nickname = "mine"

    ini = tmp_path / "circus.ini"
    ini.write_text(
        f"[circus]\nendpoint = ipc://{directory}/control\npubsub_endpoint = ipc://{directory}/events\n"
        f"stats_endpoint = ipc://{directory}/stats\n[watcher:web]\ncmd = sleep 1000\n"
    )
    arbiter = Named.load_from_config(str(ini))
    assert (arbiter.nickname, arbiter.config_file, arbiter.numwatchers()) == ("mine", str(ini), 1)
    arbiter.get_watcher("web").numprocesses = 2
    arbiter.get_watcher("web").env["MORE"] = "1"
    thread = threading.Thread(target=arbiter.start)
    thread.start()
    with CircusClient(endpoint=f"ipc://{directory}/control", timeout=DEADLINE) as client:
        wait_until(lambda: client.send_message("numprocesses")["numprocesses"] == 2)
        assert client.send_message("options", name="web")["options"]["env"] == {"MORE": "1"}
        # After a restart of everything they are as the file says.
        client.send_message("restart", waiting=True)
        assert client.send_message("numprocesses")["numprocesses"] == 1
        client.send_message("quit")
    thread.join(DEADLINE)
    wait_until(lambda: not arbiter.running)


BLOCKING = """
import sys
from circus import get_arbiter

arbiter = get_arbiter([{{"name": "web", "cmd": "sleep 1000", "numprocesses": 2}}], controller="ipc://{0}/control",
                      pubsub_endpoint="ipc://{0}/events", stats_endpoint="ipc://{0}/stats")
try:
    arbiter.start(cb=lambda future: print("up", arbiter.numprocesses(), flush=True))
finally:
    arbiter.stop()
print("the end")
"""


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGINT", "quit"])
def test_without_a_loop_start_blocks_until_the_end(directory: str, ending: str) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", BLOCKING.format(directory)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == "up 2\n"
        pids = ask(directory, "list", name="web")["pids"]
        if ending == "quit":
            ask(directory, "quit")
        else:
            program.send_signal(signal.Signals[ending])
        out, err = program.communicate(timeout=DEADLINE)
    finally:
        program.kill()
        program.wait()
    assert (program.returncode, out, err) == (0, "the end\n", "")
    assert not any(map(proc.alive, pids))
