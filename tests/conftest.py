"""Fixtures for every test: the real circusd, and the watch over what a test leaves behind.

A test fails when it leaves a child process (also an orphan further down: this process is a subreaper, so it adopts
them), a file descriptor or an asyncio task, and when code of Circus blocks the loop of a coroutine test.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import pathlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, TypeVar

import pytest
import zmq

from tests.helpers import proc
from tests.helpers.daemon import Daemon

# What must never happen in the loop. File calls are left out: a supervisor opens logs and reads /proc, on purpose.
BLOCKING = (
    "time.sleep",
    "threading.Lock.acquire",
    "socket.socket.connect",
    "socket.socket.recv",
    "socket.socket.accept",
)
T = TypeVar("T")
PATIENCE = 2.0  # a child that was just signalled, or a socket that libzmq closes in its own time


def pytest_configure(config: pytest.Config) -> None:
    del config
    if sys.platform == "linux":
        proc.become_subreaper()
    # pyzmq opens descriptors of its own once for the whole process, when it first lets go of an uncopied message.
    tracker = zmq.Frame(b"x", copy=False, track=True, copy_threshold=0).tracker
    assert tracker is not None
    tracker.wait()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Coroutine tests also run under the watch for tasks and blocking calls."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.fixturenames[:0] = ["_no_leaked_task", "_no_blocked_loop"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Put the daemons' logs into the report of a test that failed."""
    del call
    report: Any = yield
    if report.failed:
        for daemon in [made for node in item.listchain() for made in getattr(node, "_daemons", ())]:
            report.sections.append((f"log of circusd, {daemon.ini}", daemon.log_text()[-20_000:]))
    return report


@pytest.fixture(autouse=True)
def _no_leak() -> Iterator[None]:
    """Fail a test that leaves a child process or a file descriptor behind."""
    if sys.platform != "linux":
        yield
        return
    children, fds = proc.own_children(), proc.open_fds()
    yield
    leaked = _settle(lambda: _living(proc.own_children() - children))
    told = [f"process {proc.describe(pid)}" for pid in sorted(leaked)]
    for pid in leaked:
        proc.end(pid)
    kept = _settle(lambda: {fd: to for fd, to in proc.open_fds().items() if fd not in fds and _counts(to)})
    told += [f"file descriptor {fd} to {to}" for fd, to in sorted(kept.items())]
    if told:
        pytest.fail("left behind: " + "; ".join(told))


def _living(pids: set[int]) -> set[int]:
    """Those that live; adopted ones that have ended are reaped, as init would."""
    living = set()
    for pid in pids:
        if proc.alive(pid):
            living.add(pid)
        else:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
    return living


def _counts(target: str) -> bool:
    """False for what Python and its libraries open once for the whole process."""
    return target not in {"/dev/urandom", "/dev/random"} and ".hypothesis" not in target


def _settle(leaks: Callable[[], T]) -> T:
    """What is still there after a moment of patience."""
    found = leaks()
    if found:
        gc.collect()
        until = time.monotonic() + PATIENCE
        while found and time.monotonic() < until:
            time.sleep(0.01)
            found = leaks()
    return found


@pytest.fixture
async def _no_leaked_task() -> AsyncIterator[None]:
    """Fail a coroutine test whose loop still has tasks when it is done."""
    before = asyncio.all_tasks()
    yield
    for _ in range(10):
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0.01)
    pytest.fail("left behind: " + "; ".join(f"task {task!r}" for task in left))


@pytest.fixture
def _no_blocked_loop() -> Iterator[None]:
    """Fail a coroutine test in which code of Circus blocks the loop."""
    from blockbuster import BlockBuster

    blockbuster = BlockBuster(scanned_modules=["circus", "circus_exporters"])
    watched = [blockbuster.functions[name] for name in BLOCKING if name in blockbuster.functions]
    for function in watched:
        function.activate()
    try:
        yield
    finally:
        for function in watched:
            function.deactivate()


CircusD = Callable[..., Daemon]


@pytest.fixture
def circusd(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[CircusD]:
    """Start the real circusd on an ini text: `circusd(text, env=…, arguments=[…], options={…}, start=True)`.

    Returns once the daemon answers; with `start=False` it is made and not started. All are stopped afterwards, and
    one that leaves a process behind fails the test.
    """
    daemons: list[Daemon] = []
    request.node._daemons = daemons

    def make(ini: str = "", *, start: bool = True, **keywords: Any) -> Daemon:
        daemon = Daemon(ini, tmp_path / f"circusd-{len(daemons)}", **keywords)
        daemons.append(daemon)
        if start:
            daemon.start()
        return daemon

    yield make
    forced = [told for daemon in daemons for told in daemon.stop()]
    if forced:
        pytest.fail("not stopped cleanly: " + "; ".join(forced))
