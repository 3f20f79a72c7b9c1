"""An arbiter inside another program: in its loop, or in one of a second thread, beside children that are not ours."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from circus import get_arbiter
from circus.arbiter import Arbiter
from circus.exc import ConfigError
from circus.process import devnull
from tests.helpers import proc
from tests.helpers.waiting import DEADLINE, wait_until

# A program with an arbiter keeps one descriptor of it for its workers; opened now, it is no leak of a test.
devnull()

SLEEPER = {"name": "web", "cmd": "sleep 1000"}


@pytest.fixture
def sockets() -> Iterator[str]:
    """A directory whose name is short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="circus-") as directory:
        yield directory


@pytest.fixture(params=["native", "sigchld"])
def means(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How deaths are learned of."""
    if request.param != "native":
        monkeypatch.setenv("CIRCUS_REAPER", request.param)


def made(directory: str, *watchers: dict[str, Any], name: str = "its") -> Arbiter:
    return get_arbiter(
        list(watchers),
        controller=f"ipc://{directory}/{name}-control",
        pubsub_endpoint=f"ipc://{directory}/{name}-events",
        stats_endpoint=f"ipc://{directory}/{name}-stats",
        check_delay=1000,
    )


@contextlib.asynccontextmanager
async def running(arbiter: Arbiter) -> AsyncIterator[Arbiter]:
    """The arbiter as a task of the present loop, stopped afterwards as a program would do it."""
    ready = asyncio.Event()
    task = asyncio.create_task(arbiter.run(ready.set))
    await asyncio.wait([task, asyncio.ensure_future(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield arbiter
    finally:
        await asyncio.wait_for(arbiter.quit(), DEADLINE)
        await asyncio.wait_for(task, DEADLINE)


async def until(condition: Callable[[], Any]) -> Any:
    async with asyncio.timeout(DEADLINE):
        while not (found := condition()):  # noqa: ASYNC110 -- what is waited for is a state, seen from outside
            await asyncio.sleep(0.01)
        return found


def pids(arbiter: Arbiter) -> list[int]:
    return arbiter.get_watcher("web").get_active_pids()


async def status_of_a_child(code: int) -> int:
    """The exit status of a subprocess of this program, made the asyncio way."""
    child = await asyncio.create_subprocess_exec("sh", "-c", f"exit {code}")
    return await asyncio.wait_for(child.wait(), DEADLINE)


async def test_it_lives_in_the_loop_of_another_program(sockets: str) -> None:
    async with running(made(sockets, SLEEPER)) as arbiter:
        (old,) = await until(lambda: pids(arbiter))
        os.kill(old, signal.SIGKILL)
        (new,) = await until(lambda: (found := pids(arbiter)) and old not in found and found)
        assert proc.alive(new)
    assert not proc.alive(new)


@pytest.mark.usefixtures("means")
async def test_subprocesses_of_the_program_keep_their_statuses(sockets: str) -> None:
    async with running(made(sockets, SLEEPER | {"numprocesses": 5})) as arbiter:
        await until(lambda: len(pids(arbiter)) == 5)
        for round_ in range(3):
            for pid in pids(arbiter):
                os.kill(pid, signal.SIGKILL)
            codes = range(round_ * 10, round_ * 10 + 10)
            assert await asyncio.gather(*map(status_of_a_child, codes)) == list(codes)
        await until(lambda: len(pids(arbiter)) == 5)


@pytest.mark.usefixtures("means")
async def test_a_dead_child_of_the_program_stays_for_the_program(sockets: str) -> None:
    ours = subprocess.Popen(["sh", "-c", "exit 5"])  # noqa: ASYNC220 -- as a program with threads would
    async with running(made(sockets, SLEEPER)) as arbiter:
        (pid,) = await until(lambda: pids(arbiter))
        await until(lambda: not proc.alive(ours.pid))
        os.kill(pid, signal.SIGKILL)
        await until(lambda: (found := pids(arbiter)) and pid not in found)
        assert ours.wait() == 5


async def test_a_status_that_the_program_took_is_not_waited_for(sockets: str) -> None:
    # A program that waits for everybody, as some do: the end is known without its status.
    async with running(made(sockets, SLEEPER)) as arbiter:
        (pid,) = await until(lambda: pids(arbiter))
        watcher = arbiter.get_watcher("web")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)  # noqa: ASYNC222 -- at once, before the loop comes to it
        await until(lambda: (found := pids(arbiter)) and pid not in found)
        assert watcher.status() == "active"
        exits = arbiter.telemetry().watchers[0].counters.exits
        assert [(each.initiator, each.outcome) for each in exits if each.n] == [("external", "lost")]


async def test_signal_handlers_and_limits_of_the_program_are_left_alone(sockets: str) -> None:
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGQUIT)
    before = [signal.getsignal(signum) for signum in signals], resource.getrlimit(resource.RLIMIT_NOFILE), os.getcwd()
    async with running(made(sockets, SLEEPER)) as arbiter:
        await until(lambda: pids(arbiter))
        during = [signal.getsignal(s) for s in signals], resource.getrlimit(resource.RLIMIT_NOFILE), os.getcwd()
        assert during == before


@pytest.mark.usefixtures("means")
async def test_two_arbiters_live_side_by_side(sockets: str) -> None:
    first_one, second_one = made(sockets, SLEEPER, name="one"), made(sockets, SLEEPER, name="two")
    async with running(first_one) as one, running(second_one) as two:
        (first,) = await until(lambda: pids(one))
        (second,) = await until(lambda: pids(two))
        os.kill(first, signal.SIGKILL)
        await until(lambda: (found := pids(one)) and first not in found)
        assert pids(two) == [second]
        os.kill(second, signal.SIGKILL)
        await until(lambda: (found := pids(two)) and second not in found)


async def test_a_handler_of_sigchld_of_the_program_stays(sockets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRCUS_REAPER", "sigchld")
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGCHLD, heard.set)
    try:
        async with running(made(sockets, SLEEPER)) as arbiter:
            (pid,) = await until(lambda: pids(arbiter))
            heard.clear()
            os.kill(pid, signal.SIGKILL)
            await asyncio.wait_for(heard.wait(), DEADLINE)
            await until(lambda: (found := pids(arbiter)) and pid not in found)
    finally:
        assert loop.remove_signal_handler(signal.SIGCHLD)


async def test_an_arbiter_can_be_made_and_run_again(sockets: str) -> None:
    for _ in range(2):
        async with running(made(sockets, SLEEPER)) as arbiter:
            await until(lambda: pids(arbiter))


async def test_operations_can_be_awaited(sockets: str) -> None:
    async with running(made(sockets, SLEEPER | {"autostart": False})) as arbiter:
        watcher = arbiter.get_watcher("web")
        started = await watcher.start()
        assert started == {"started": watcher.get_active_pids(), "kept": []}
        assert await watcher.incr(2) == 3
        await watcher.stop()
        assert watcher.get_active_pids() == []


class InThread:
    """An arbiter in the loop of a second thread."""

    def __init__(self, make: Callable[[], Arbiter]) -> None:
        self._ready = threading.Event()
        self._make = make
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="arbiter")

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self.failure = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.arbiter = self._make()
        await self.arbiter.run(self._ready.set)

    def pids(self) -> list[int]:
        return asyncio.run_coroutine_threadsafe(_called(lambda: pids(self.arbiter)), self._loop).result(DEADLINE)

    def __enter__(self) -> InThread:
        self._thread.start()
        assert self._ready.wait(DEADLINE)
        assert self.failure is None
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(_awaited(self.arbiter.quit), self._loop)
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()
        assert self.failure is None


async def _called(function: Callable[[], Any]) -> Any:
    return function()


async def _awaited(begin: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(asyncio.CancelledError):  # the loop ends with the arbiter
        await begin()


@pytest.mark.usefixtures("means")
def test_it_lives_in_the_loop_of_a_second_thread(sockets: str) -> None:
    with InThread(lambda: made(sockets, SLEEPER | {"numprocesses": 3})) as thread:
        old = wait_until(lambda: len(found := thread.pids()) == 3 and found) or []
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        # Children of the main thread's are nobody's business but its own.
        assert [subprocess.run(["sh", "-c", f"exit {code}"], check=False).returncode for code in range(10)] == [
            *range(10)
        ]
        new = wait_until(lambda: len(found := thread.pids()) == 3 and not set(found) & set(old) and found) or []
        assert all(map(proc.alive, new))
    assert not any(map(proc.alive, new))


@pytest.mark.usefixtures("means")
def test_subprocesses_of_the_main_loop_keep_their_statuses_beside_a_thread(sockets: str) -> None:
    async def children() -> list[int]:
        return await asyncio.gather(*(status_of_a_child(code) for code in range(20)))

    with InThread(lambda: made(sockets, SLEEPER)) as thread:
        (pid,) = wait_until(thread.pids)
        os.kill(pid, signal.SIGKILL)
        assert asyncio.run(children()) == list(range(20))
        wait_until(lambda: (found := thread.pids()) and pid not in found)


def test_hooks_from_the_api_are_callables(sockets: str) -> None:
    asked: list[str] = []

    def hook(hook_name: str, **_: object) -> bool:
        asked.append(hook_name)
        return True

    with InThread(lambda: made(sockets, SLEEPER | {"hooks": {"before_start": hook, "after_stop": hook}})) as thread:
        wait_until(thread.pids)
    assert asked == ["before_start", "after_stop"]


def test_it_needs_no_more_than_what_is_imported(sockets: str) -> None:
    """A whole program, from `import circus` to its end, in an interpreter of its own."""
    text = f"""
import asyncio, circus

async def main():
    arbiter = circus.get_arbiter(
        [{{"cmd": "sleep 1000", "numprocesses": 2}}],
        controller="ipc://{sockets}/control", pubsub_endpoint="ipc://{sockets}/events",
        stats_endpoint="ipc://{sockets}/stats",
    )
    task = asyncio.create_task(arbiter.run())
    while arbiter.numprocesses() < 2:
        await asyncio.sleep(0.01)
    child = await asyncio.create_subprocess_exec("sh", "-c", "exit 3")
    print(arbiter.statuses(), await child.wait())
    await arbiter.quit()
    await task

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{'sleep': 'active'} 3\n", "")


def test_options_that_cannot_be_are_told_all_at_once() -> None:
    with pytest.raises(ConfigError, match=r"\[watcher:web\] cmd: a watcher needs a cmd to run"):
        get_arbiter([{"name": "web"}])
    with pytest.raises(ConfigError) as raised:
        get_arbiter([{"cmd": "sleep 1", "numprocesses": "many", "stop_signal": "SIGNOT", "hooks": {"before_run": len}}])
    assert {mistake.option for mistake in raised.value.mistakes} == {"numprocesses", "stop_signal"}
    with pytest.raises(ConfigError) as raised:
        get_arbiter(
            [
                {"name": "a", "numprocesses": "many", "env": "x"},
                {"name": "b", "cmd": "sleep 1"},
                {"name": "c", "cmd": "sleep 1", "stop_signal": "FOO", "singleton": True, "numprocesses": 2},
                {"name": "B", "cmd": "sleep 1"},
                {"numprocesses": 1},
            ],
            plugins=[{"name": "p"}],
        )
    assert sorted((mistake.section or "", mistake.option) for mistake in raised.value.mistakes) == [
        ("p", "use"),
        ("watcher:", "cmd"),
        ("watcher:", "name"),
        ("watcher:B", "name"),
        ("watcher:a", "cmd"),
        ("watcher:a", "env"),
        ("watcher:a", "numprocesses"),
        ("watcher:c", "numprocesses"),
        ("watcher:c", "stop_signal"),
    ]
