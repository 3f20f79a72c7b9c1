"""Ends of processes, by each of the ways in which they are told."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import pathlib
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from circus.core.exit_status import LOST, ExitStatus
from circus.runtime import pidfds
from circus.runtime.fds import ROOM
from circus.runtime.reaper import Reaper
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

WAYS = ("thread", "here", "sigchld")
SECONDS = 10.0


def forbidden(*_: object) -> None:
    """In place of the making of a table: as in a container that forbids it (the last test has a real one)."""
    raise PermissionError


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How ends are told: by pidfds of a thread, by pidfds in our own table, by SIGCHLD."""
    if request.param == "here":
        monkeypatch.setattr(pidfds, "_have_own_table", forbidden)
    elif request.param == "sigchld":
        monkeypatch.setenv("CIRCUS_REAPER", "sigchld")
    return str(request.param)


class Ends:
    """Starts processes and keeps what is reported of them."""

    def __init__(self, *, own_strangers: bool = False) -> None:
        self.reaper = Reaper(asyncio.get_running_loop(), own_strangers=own_strangers)
        self.told: list[tuple[int, ExitStatus]] = []
        self.started: list[int] = []

    def start(self, *words: str) -> int:
        """A child that is watched."""
        pid = self.start_unwatched(*words)
        self.watch(pid)
        return pid

    def start_unwatched(self, *words: str) -> int:
        child = subprocess.Popen(words or ("sleep", "1000"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        child.returncode = 0  # the reaper waits for it
        self.started.append(child.pid)
        return child.pid

    def watch(self, pid: int) -> None:
        self.reaper.watch(pid, lambda pid, status: self.told.append((pid, status)))

    async def end(self, *pids: int) -> None:
        """Kill them and wait until that is told."""
        for pid in pids:
            self.reaper.send_signal(pid, signal.SIGKILL)
        await come(lambda: set(pids) <= {pid for pid, _ in self.told})

    async def close(self) -> None:
        self.reaper.close()
        for pid in self.started:
            if pid not in dict(self.told):
                wait_for(pid, killed=True)
        await come(lambda: not pidfd_threads())


async def come(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110  the kernel has no event for it
            await asyncio.sleep(0.01)


def wait_for(pid: int, *, killed: bool = False) -> None:
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        if killed:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@contextlib.contextmanager
def limit_of_descriptors(number: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def held(thread: threading.Thread | None = None) -> int:
    """How many pidfds this program has, or that thread of it."""
    found = proc.open_fds(thread=None if thread is None else thread.native_id)
    return sum("pidfd" in target for target in found.values())


def pidfd_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "circus-pidfds"]


@pytest.fixture
async def ends(way: str) -> AsyncIterator[Ends]:
    handler = signal.getsignal(signal.SIGCHLD)
    made = Ends()
    yield made
    await made.close()
    signal.signal(signal.SIGCHLD, handler)


@pytest.fixture
async def main(way: str) -> AsyncIterator[Ends]:
    """The same as in circusd, which reaps strangers too."""
    handler = signal.getsignal(signal.SIGCHLD)
    made = Ends(own_strangers=True)
    yield made
    await made.close()
    signal.signal(signal.SIGCHLD, handler)
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)  # orphans are not ours any longer


async def test_each_end_is_told_once_with_its_status(ends: Ends) -> None:
    long = [ends.start() for _ in range(100)]
    short = ends.start("sh", "-c", "exit 7")
    ends.reaper.sweep()
    await ends.end(*long)
    ends.reaper.sweep()
    await come(lambda: short in dict(ends.told))
    assert sorted(pid for pid, _ in ends.told) == sorted([*long, short])
    told = dict(ends.told)
    assert (told[short].code, {told[pid].signal for pid in long}) == (7, {"SIGKILL"})


async def test_whoever_ends_before_a_handle_is_taken_is_told(ends: Ends) -> None:
    pid = ends.start_unwatched("true")
    await come(lambda: not proc.alive(pid))
    ends.watch(pid)
    await come(lambda: bool(ends.told))
    assert [(each, status.code) for each, status in ends.told] == [(pid, 0)]


async def test_who_was_waited_for_by_somebody_else_is_lost_and_not_signalled(ends: Ends, way: str) -> None:
    pid = ends.start("true")
    wait_for(pid)
    with pytest.raises(ProcessLookupError):
        ends.reaper.send_signal(pid, signal.SIGTERM)
    if way == "sigchld":
        ends.reaper.sweep()
    await come(lambda: bool(ends.told))
    assert ends.told == [(pid, LOST)]


@pytest.mark.parametrize("way", ["thread", "here"], indirect=True)
async def test_a_pid_that_is_a_thread_of_somebody_by_now_is_lost_and_not_signalled(ends: Ends) -> None:
    """What was waited for by somebody else leaves its number to others, also to their threads."""
    over, hits = threading.Event(), []
    thread = threading.Thread(target=over.wait)
    thread.start()
    before = signal.signal(signal.SIGUSR1, lambda *_: hits.append(1))
    try:
        assert thread.native_id is not None
        ends.watch(thread.native_id)
        with pytest.raises(ProcessLookupError):
            ends.reaper.send_signal(thread.native_id, signal.SIGUSR1)
        await come(lambda: bool(ends.told))
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert (ends.told, hits) == ([(thread.native_id, LOST)], [])


async def test_a_report_may_end_everything(ends: Ends) -> None:
    for _ in range(3):
        ends.start()
    other = ends.start_unwatched("sleep", "0.1")
    closed = asyncio.Event()

    def close(*_: object) -> None:
        ends.reaper.close()
        closed.set()

    ends.reaper.watch(other, close)
    await asyncio.wait_for(closed.wait(), SECONDS)
    await come(lambda: not pidfd_threads())
    assert not ends.told


@pytest.mark.parametrize("way", ["thread"], indirect=True)
async def test_spawns_see_nothing_of_the_handles(ends: Ends) -> None:
    before = held()
    pids = [ends.start() for _ in range(10)]
    (thread,) = pidfd_threads()
    await come(lambda: held(thread) == 10)
    assert held() == before
    # Of the descriptors of this program the thread has what it needs, and nothing else stays open because of it.
    kinds = {target.rpartition(":")[2].strip("[]") for target in proc.open_fds(thread=thread.native_id).values()}
    assert kinds == {"/dev/null", "eventfd", "eventpoll", "pidfd"}
    await ends.end(*pids)
    await come(lambda: held(thread) == 0)


@pytest.mark.parametrize("way", ["thread", "here"], indirect=True)
async def test_a_reaper_that_was_just_made_can_be_closed(ends: Ends) -> None:
    before = proc.open_fds()
    for _ in range(50):
        other = Ends()
        other.start("true")
        await other.close()
    assert proc.open_fds() == before


@pytest.mark.parametrize("way", ["thread", "here"], indirect=True)
async def test_without_descriptors_ends_are_told_all_the_same(ends: Ends) -> None:
    first = ends.start()
    await asyncio.sleep(0.1)
    second = ends.start_unwatched()
    with limit_of_descriptors(3):
        ends.watch(second)
        await asyncio.sleep(0.1)
        await ends.end(second, first)
    assert sorted(pid for pid, _ in ends.told) == sorted([second, first])


@pytest.mark.parametrize("way", ["thread"], indirect=True)
async def test_the_limit_of_a_worker_around_its_spawn_keeps_no_handle_away(ends: Ends) -> None:
    ends.start()
    (thread,) = pidfd_threads()
    await come(lambda: held(thread) == 1)
    second = ends.start_unwatched()
    ROOM.turns += 1
    with limit_of_descriptors(3):
        ends.watch(second)
        await asyncio.sleep(0.1)
    ROOM.turns += 1
    await come(lambda: held(thread) == 2)


@pytest.mark.parametrize("way", ["thread", "here"], indirect=True)
async def test_what_is_found_when_a_handle_is_taken_wakes_the_loop(ends: Ends) -> None:
    """Nothing else goes on in the loop: what the thread finds must not wait for that."""
    pid = ends.start_unwatched("true")
    wait_for(pid)
    told = asyncio.Event()
    ends.reaper.watch(pid, lambda *_: told.set())
    async with asyncio.timeout(SECONDS):
        await told.wait()


async def test_a_report_that_fails_keeps_no_other_end_away(ends: Ends) -> None:
    loop, told = asyncio.get_running_loop(), []
    failures: list[object] = []
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def fail(pid: int, _: ExitStatus) -> None:
        told.append(pid)
        raise RuntimeError(pid)

    pids = [ends.start_unwatched("sleep", "0.2") for _ in range(3)]
    for pid in pids:
        ends.reaper.watch(pid, fail)
    await asyncio.sleep(0.05)
    for pid in pids:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222  the loop hears of all of them at once
    await come(lambda: len(told) == 3)
    await ends.end(ends.start())
    assert (sorted(told), len(failures)) == (pids, 3)


@pytest.mark.parametrize("way", ["thread", "here"], indirect=True)
async def test_who_ends_under_a_tracer_is_told_when_that_lets_go(ends: Ends) -> None:
    """It has ended for its tracer first, and its handle tells of that alone."""
    pid = ends.start()
    script = (
        "import ctypes, sys; ok = ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), 0, 0) == 0; "
        "print(ok, flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", script, str(pid)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tracer:  # noqa: ASYNC220
        assert tracer.stdin is not None
        assert tracer.stdout is not None
        seized = tracer.stdout.readline()
        if seized != b"True\n":
            pytest.skip("tracing is not permitted here")
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.5)
        assert not ends.told
        tracer.stdin.close()
        await come(lambda: bool(ends.told))
    assert [(each, status.signal) for each, status in ends.told] == [(pid, "SIGKILL")]


@pytest.mark.parametrize("way", ["thread", "here"], indirect=True)
async def test_sigchld_while_handles_are_given_up_disturbs_nothing(main: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    close = pidfds.Pidfds.close, pidfds.PidfdThread.close

    def closed(self: pidfds.Pidfds) -> None:
        close[isinstance(self, pidfds.PidfdThread)](self)
        signal.raise_signal(signal.SIGCHLD)

    main.start()
    await asyncio.sleep(0.1)
    monkeypatch.setattr(pidfds.Pidfds, "close", closed)
    monkeypatch.setattr(pidfds.PidfdThread, "close", closed)
    main.reaper.close()


@pytest.mark.parametrize("way", ["thread"], indirect=True)
async def test_where_the_table_cannot_even_be_tried_ends_are_told(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctypes", None)  # a Python that was built without it
    await ends.end(ends.start())
    assert not pidfd_threads()


@pytest.mark.parametrize("way", ["thread", "here"], indirect=True)
async def test_where_the_loop_can_wait_for_nothing_more_ends_are_told(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when all of the user's programs together have as much in epolls as he may have; it is over later."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = proc.open_fds()
    with monkeypatch.context() as patch:
        patch.setattr(asyncio.get_running_loop(), "add_reader", full)
        first = ends.start()
    assert proc.open_fds() == before
    await ends.end(first, ends.start())


@pytest.mark.parametrize("way", ["thread"], indirect=True)
async def test_a_thread_that_is_busy_can_be_closed(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    for _ in range(30):
        thread = pidfds.PidfdThread(print, print, print)
        for _ in range(100):
            thread.open(os.getpid())
        thread.hurry()
        await asyncio.sleep(0.001)
        thread.close()
    await come(lambda: not pidfd_threads())
    assert not failures


async def test_strangers_are_reaped_also_when_one_of_ours_ends_with_them(main: Ends) -> None:
    """Nobody else sweeps here, and one SIGCHLD may stand for several ends."""
    for _ in range(20):
        before = main.reaper.strangers
        # As daemons do it: their parent is gone, so they are ours, in sessions of their own.
        pid = main.start("sh", "-c", "setsid sleep 0.05 & setsid sleep 0.05 & exit 0")
        await come(lambda before=before: main.reaper.strangers == before + 2)  # type: ignore[misc]
        assert pid in dict(main.told)


NO_CLOSE_RANGE = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, 436), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""A seccomp filter: close_range (436 everywhere) is answered by EPERM, all else is allowed."""


def test_where_close_range_is_forbidden_deaths_are_told_by_pidfds_of_our_own(
    circusd: Callable[..., Daemon], tmp_path: pathlib.Path
) -> None:
    script = tmp_path / "filter.py"
    script.write_text(NO_CLOSE_RANGE)
    daemon = circusd(
        "[watcher:web]\ncmd = sleep 1000\nnumprocesses = 3\n",
        through=[sys.executable, str(script)],
        options={"check_delay": 1000},
    )
    pids = daemon.wait_pids("web", 3)
    wait_until(lambda: sum("pidfd" in target for target in proc.open_fds(daemon.pid).values()) == 3)
    os.kill(pids[0], signal.SIGKILL)
    daemon.wait_pids("web", 3, without=[pids[0]])


def test_a_low_limit_of_workers_keeps_no_handle_away(circusd: Callable[..., Daemon]) -> None:
    """Their soft limit is in force in circusd around each spawn, while its thread takes handles on those before."""
    daemon = circusd(
        "[watcher:web]\ncmd = sleep 1000\nnumprocesses = 300\nrlimit_nofile = 250\n",
        through=["prlimit", "--nofile=256:4096"],
        options={"check_delay": 1000},
    )
    pids = daemon.wait_pids("web", 300)
    wait_until(lambda: proc.pidfds(daemon.pid) == 300)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    daemon.wait_pids("web", 300, without=pids)
