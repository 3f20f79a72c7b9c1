"""circus-top and StatsClient before real sockets: a publisher that a test controls, and the real circusd."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import pty
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

from circus.exc import CallError
from circus.guessing import refuses
from circus.runtime.listener import Listener, listen
from circus.runtime.private_directory import private_directory
from circus.stats.client import StatsClient
from circus.stats.viewer.addresses import find_stats
from circus.stats.viewer.following import Following
from circus.stats.viewer.subscription import Subscription
from circus.stats.viewer.view import View
from circus.tunnel import tunnel
from circus.wire.endpoints import DEFAULT_CONTROL, DEFAULT_STATS
from circus.wire.snapshot import Telemetry
from tests.conftest import CircusD
from tests.fakes.stats_publisher import Fleet, Message, StatsPublisher
from tests.helpers import proc
from tests.helpers.daemon import script
from tests.helpers.waiting import DEADLINE, wait_until

default_is_free = pytest.mark.skipif(
    not (refuses(DEFAULT_CONTROL) and refuses(DEFAULT_STATS)), reason="a circusd runs at the default addresses"
)


@pytest.fixture
def directory() -> Iterator[pathlib.Path]:
    """A short path: the one of tmp_path may not fit into the address of a unix socket."""
    with tempfile.TemporaryDirectory(prefix="circus-") as made:
        yield pathlib.Path(made)


@pytest.fixture
def fleet(directory: pathlib.Path) -> Fleet:
    return Fleet(f"ipc://{directory}/control.sock", watchers=2, processes=3, interval=0.3)


def top(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [script("circus-top"), *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
        timeout=DEADLINE,
    )


def document(*arguments: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    done = top("--json", *arguments, env=env)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def stat(topic: str, **fields: Any) -> Message:
    return topic.encode(), json.dumps(fields).encode()


def stats_of_0_19() -> list[Message]:
    """What circusd-stats of circus 0.19 publishes in a second."""
    info = {"mem_info1": "1.50M", "mem_info2": "2.44M", "cpu": 2.5, "mem": 0.006, "age": 2.01, "name": None}
    return [
        stat("stat.my.app.7", pid=7, subtopic=7, **info),
        stat("stat.my.app.8", pid=8, subtopic=8, **info),
        stat("stat.my.app", pid=[7, 8], cpu=2.5, mem=0.012, age=2.01),
        stat("stat.circus.5", pid=5, subtopic=5, **{**info, "name": "circusd"}),
        stat("stat.circus", pid=[5], cpu=2.5, mem=0.006, age=2.01),
        stat("stat.sockets.9", fd=9, subtopic=9, reads=4, address="127.0.0.1:80"),
    ]


# -- StatsClient --------------------------------------------------------------------------------------------------------


def test_stats_client_yields_watcher_subtopic_and_stat(directory: pathlib.Path) -> None:
    with StatsPublisher(directory, stats_of_0_19) as publisher:
        found: dict[tuple[str, str | None], dict[str, Any]] = {}
        with StatsClient(publisher.stats_endpoint) as client:
            for watcher, subtopic, told in client:
                found[watcher, subtopic] = told
                if watcher == "sockets":
                    break
    assert set(found) == {("my.app", "7"), ("my.app", "8"), ("my.app", None), ("circus", "5"), ("circus", None),
                          ("sockets", "9")}  # fmt: skip
    assert found["my.app", "7"]["cpu"] == 2.5


def test_stats_client_asks_for_nothing_but_stats(directory: pathlib.Path) -> None:
    with StatsPublisher(directory, stats_of_0_19) as publisher, StatsClient(publisher.stats_endpoint):
        publisher.wait_for_subscription(b"stat.")
        assert publisher.subscriptions == {b"stat."}


def test_stats_client_passes_over_what_is_no_object(directory: pathlib.Path) -> None:
    def messages() -> list[Message]:
        return [(b"stat.a", b"{"), (b"stat.b", b"[1]"), stat("stat.c", pid=[])]

    with StatsPublisher(directory, messages) as publisher, StatsClient(publisher.stats_endpoint) as client:
        assert next(iter(client)) == ("c", None, {"pid": []})


def test_stats_client_ends_when_it_is_stopped(directory: pathlib.Path) -> None:
    with StatsPublisher(directory, stats_of_0_19) as publisher:
        client = StatsClient(publisher.stats_endpoint)
        seen = []
        for told in client:
            seen.append(told)
            client.stop()
        assert len(seen) == 1


def test_stats_client_leaves_the_context_that_it_was_given(directory: pathlib.Path) -> None:
    with zmq.Context() as context, StatsPublisher(directory, stats_of_0_19) as publisher:
        client = StatsClient(publisher.stats_endpoint, context=context)
        next(iter(client))
        client.stop()
        assert not context.closed


# -- once ---------------------------------------------------------------------------------------------------------------


def test_a_table_is_printed(directory: pathlib.Path, fleet: Fleet) -> None:
    with StatsPublisher(directory, fleet.messages, fleet.telemetry, fleet.interval) as publisher:
        done = top("--once", "--endpoint", publisher.stats_endpoint)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Circus Top   circusd 1.0.0, pid 77")
    (heading,) = [line for line in lines if line.startswith("WATCHER / PID")]
    assert "CPU (%)" in heading
    first = lines[lines.index(heading) + 1]
    assert first.startswith("watcher-00 3/3")
    assert "active" in first
    assert "exit_error 3" in first
    assert "(" not in lines[-1], "a note: " + lines[-1]


def test_a_document_is_printed(directory: pathlib.Path, fleet: Fleet) -> None:
    with StatsPublisher(directory, fleet.messages, fleet.telemetry, fleet.interval) as publisher:
        found = document("--endpoint", publisher.stats_endpoint)
    assert found["notes"] == []
    assert [watcher["name"] for watcher in found["watchers"]] == ["watcher-00", "watcher-01"]
    processes = [process for watcher in found["watchers"] for process in watcher["processes"]]
    assert [process["pid"] for process in processes] == [10001, 10002, 10003, 10004, 10005, 10006]
    assert all(isinstance(process["cpu_percent"], float) for process in processes)
    assert all(process["state"] == "running" for process in processes)


def test_exits_are_asked_for_after_the_last_sample(directory: pathlib.Path, fleet: Fleet) -> None:
    passes, asked = 0, list[int]()

    def messages() -> list[Message]:
        nonlocal passes
        passes += 1
        return list(fleet.messages())

    def telemetry() -> Telemetry:
        asked.append(passes)
        return fleet.telemetry()

    with StatsPublisher(directory, messages, telemetry, fleet.interval) as publisher:
        document("--endpoint", publisher.stats_endpoint)
    (when,) = asked
    assert when >= 2


def test_rows_can_be_sorted_and_filtered(directory: pathlib.Path, fleet: Fleet) -> None:
    with StatsPublisher(directory, fleet.messages, fleet.telemetry, fleet.interval) as publisher:
        found = document("--endpoint", publisher.stats_endpoint, "--sort", "cpu", "--filter", "watcher-01")
    (watcher,) = found["watchers"]
    used = [process["cpu_percent"] for process in watcher["processes"]]
    assert used == sorted(used, reverse=True)


def test_without_an_answer_of_the_control_channel_the_table_says_what_is_missing(
    directory: pathlib.Path, fleet: Fleet
) -> None:
    with StatsPublisher(directory, fleet.messages, None, fleet.interval) as publisher:
        found = document("--endpoint", publisher.stats_endpoint)
    assert found["watchers"][0]["restarts"] is None
    (note,) = found["notes"]
    assert "no states, restarts and exits" in note
    assert publisher.endpoint in note


def test_one_sample_alone_gives_no_cpu_and_says_why(directory: pathlib.Path, fleet: Fleet) -> None:
    with StatsPublisher(directory, fleet.messages, fleet.telemetry, interval=3600.0) as publisher:
        found = document("--endpoint", publisher.stats_endpoint, "--timeout", "1")
    assert found["watchers"][0]["cpu_percent"] is None
    assert any("two samples" in note for note in found["notes"])


def test_without_a_daemon_it_says_so_and_fails(directory: pathlib.Path) -> None:
    done = top("--once", "--endpoint", f"ipc://{directory}/nobody.sock", "--timeout", "0.3")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"circus-top: no circusd answers at ipc://{directory}/nobody.sock within 0.3 s\n"


def test_an_endpoint_that_is_none_is_explained() -> None:
    done = top("--once", "--endpoint", "localhost:5557")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "expected tcp://HOST:PORT" in done.stderr


def test_somebody_else_on_the_endpoint_is_told(directory: pathlib.Path) -> None:
    with StatsPublisher(directory, lambda: [(b"sample.web", b'{"nothing": "we know"}')]) as publisher:
        done = top("--once", "--endpoint", publisher.stats_endpoint, "--timeout", "0.5")
    assert done.returncode == 1
    assert "not in a way that this release" in done.stderr


def test_from_0_19_it_prints_what_that_gives(directory: pathlib.Path) -> None:
    with StatsPublisher(directory, stats_of_0_19) as publisher:
        found = document("--endpoint", publisher.stats_endpoint)
    assert found["source"] == "stat"
    assert [watcher["name"] for watcher in found["watchers"]] == ["circus", "my.app"]
    assert [process["pid"] for process in found["watchers"][1]["processes"]] == [7, 8]
    assert found["watchers"][0]["processes"][0]["name"] == "circusd"
    assert found["sockets"] == [{"address": "127.0.0.1:80", "hits": 4}]


def test_the_stats_of_0_19_are_not_asked_of_a_daemon_that_samples(directory: pathlib.Path, fleet: Fleet) -> None:
    with StatsPublisher(directory, fleet.messages, fleet.telemetry, fleet.interval) as publisher:
        seen: set[bytes] = set()
        watched = publisher.subscriptions
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.01):
                seen.update(watched.copy())

        watcher = threading.Thread(target=watch)
        watcher.start()
        document("--endpoint", publisher.stats_endpoint)
        ended.set()
        watcher.join()
    assert seen == {b"sample."}


def test_a_reader_that_has_seen_enough_is_no_error(directory: pathlib.Path) -> None:
    many = Fleet(f"ipc://{directory}/control.sock", watchers=20, processes=100, interval=0.3)
    with StatsPublisher(directory, many.messages, many.telemetry, many.interval) as publisher:
        command = f"{script('circus-top')} --json --endpoint {publisher.stats_endpoint} | head -1"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=DEADLINE)
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_the_version_is_told() -> None:
    from circus import __version__

    assert top("--version").stdout == f"{__version__}\n"


def test_ssh_without_its_library_or_its_server_is_one_clear_line() -> None:
    done = top("--once", "--ssh", "nobody@127.0.0.1:1", "--timeout", "0.3")
    assert done.returncode == 1
    assert done.stderr.startswith("circus-top: ")
    assert "Traceback" not in done.stderr


def test_unix_sockets_are_refused_through_ssh() -> None:
    with pytest.raises(CallError, match="only tcp"):
        tunnel("ipc:///run/stats.sock", "somebody@somewhere")


def listening(directory: pathlib.Path, name: str) -> list[Listener]:
    """The channels of a daemon that was started with automatic endpoints, at which nobody answers."""
    private_directory(f"{directory}/circus/{name}")
    return [listen(f"ipc://{directory}/circus/{name}/{channel}") for channel in ("control.sock", "stats.sock")]


@default_is_free
def test_one_of_several_daemons_has_to_be_chosen_and_that_is_told_at_once(directory: pathlib.Path) -> None:
    listeners = listening(directory, "a-1") + listening(directory, "b-1")
    done = top("--once", "--timeout", "1e9", env={"CIRCUS_RUNTIME_DIR": str(directory)})
    for listener in listeners:
        listener.close()
    assert (done.returncode, done.stdout) == (1, "")
    names = [f"  ipc://{directory}/circus/{name}/stats.sock" for name in ("a-1", "b-1")]
    assert done.stderr.splitlines() == ["circus-top: 2 circusd run; choose one with --endpoint:", *names]


@default_is_free
def test_where_nobody_listens_is_told_at_once(directory: pathlib.Path) -> None:
    done = top("--once", "--timeout", "1e9", env={"CIRCUS_RUNTIME_DIR": str(directory)})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "circus-top: no circusd runs here: nobody listens at tcp://127.0.0.1:5557, nor below "
    )


# -- the search ---------------------------------------------------------------------------------------------------------


def test_the_only_daemon_is_found_by_its_directory(directory: pathlib.Path, fleet: Fleet) -> None:
    home = directory / "circus" / "demo"
    home.mkdir(parents=True)
    with StatsPublisher(home, fleet.messages, fleet.telemetry, fleet.interval) as publisher:
        assert find_stats({"CIRCUS_RUNTIME_DIR": str(directory)}) == publisher.stats_endpoint


def test_a_daemon_elsewhere_is_asked_where_it_publishes(directory: pathlib.Path, fleet: Fleet) -> None:
    with StatsPublisher(directory, fleet.messages, fleet.telemetry, fleet.interval) as publisher:
        moved = directory / "elsewhere"
        (directory / "control.sock").rename(moved)
        assert find_stats({"CIRCUSCTL_ENDPOINT": f"ipc://{moved}"}) == publisher.stats_endpoint


def test_without_any_daemon_the_default_of_0_19_is_left(directory: pathlib.Path) -> None:
    nobody = f"ipc://{directory}/nobody.sock"
    assert find_stats({"CIRCUSCTL_ENDPOINT": nobody}) == "tcp://127.0.0.1:5557"


# -- following ----------------------------------------------------------------------------------------------------------


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


class Live:
    """A `Following` in a task, as the live view has it."""

    def __init__(self, endpoint: str, search: Callable[[], str] | None = None) -> None:
        self.view = View(process_timeout=0.5)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.subscription = Subscription(self.view, self._context, endpoint, now=time.monotonic())
        self.following = Following(self.subscription, search=search)

    async def __aenter__(self) -> Live:
        self._task = asyncio.create_task(self.following.run(lambda: None))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.subscription.close()
        self._context.term()


async def test_the_live_view_follows_samples_and_telemetry(directory: pathlib.Path, fleet: Fleet) -> None:
    with StatsPublisher(directory, fleet.messages, fleet.telemetry, interval=0.05) as publisher:
        async with Live(publisher.stats_endpoint) as live:
            await until(lambda: live.view.watchers and live.view.watchers["watcher-00"].restarts is not None)
            await until(lambda: live.view.cpu_percent() is not None)
            assert live.following.problem is None


async def test_the_live_view_outlives_the_daemon_and_finds_the_next(directory: pathlib.Path, fleet: Fleet) -> None:
    fleet.interval = 0.05
    with StatsPublisher(directory, fleet.messages, fleet.telemetry, interval=0.05) as publisher:
        live = Live(publisher.stats_endpoint)
        await live.__aenter__()
        await until(lambda: live.view.processes() == 6)
    await until(lambda: live.following.silent_seconds() is not None)
    await until(lambda: live.view.processes() == 0)
    for name in ("control.sock", "stats.sock"):
        (directory / name).unlink(missing_ok=True)
    with StatsPublisher(directory, fleet.messages, fleet.telemetry, interval=0.05):
        await until(lambda: live.view.processes() == 6)
        await until(lambda: live.view.watchers["watcher-00"].state == "active")
        assert live.following.silent_seconds() is None
        await live.__aexit__()


async def test_the_live_view_finds_a_daemon_that_starts_elsewhere_later(directory: pathlib.Path, fleet: Fleet) -> None:
    with StatsPublisher(directory, fleet.messages, fleet.telemetry, interval=0.05) as publisher:
        async with Live(f"ipc://{directory}/nobody.sock", search=lambda: publisher.stats_endpoint) as live:
            await until(lambda: live.view.processes() == 6)
            assert live.following.endpoint == publisher.stats_endpoint


async def test_the_live_view_says_when_the_control_channel_is_deaf(directory: pathlib.Path, fleet: Fleet) -> None:
    with StatsPublisher(directory, fleet.messages, None, interval=0.05) as publisher:
        async with Live(publisher.stats_endpoint) as live:
            await until(lambda: live.following.problem)
            assert "no states, restarts and exits" in (live.following.problem or "")
            publisher.telemetry = fleet.telemetry
            await until(lambda: live.following.problem is None)


async def test_the_live_view_follows_0_19(directory: pathlib.Path) -> None:
    with StatsPublisher(directory, stats_of_0_19) as publisher:
        async with Live(publisher.stats_endpoint) as live:
            await until(lambda: live.view.processes() == 3)
            assert live.view.legacy


async def test_who_waits_for_a_daemon_takes_news_once_and_leaves_the_loop_alone(directory: pathlib.Path) -> None:
    async with Live(f"ipc://{directory}/nobody.sock") as live:
        live.following._grown.set()
        await until(lambda: not live.following._grown.is_set())


# -- the real thing -----------------------------------------------------------------------------------------------------

INI = """
[watcher:my.web]
cmd = /bin/sleep 1000
numprocesses = 2

[watcher:idle]
cmd = /bin/sleep 1000
autostart = False
"""


def test_the_real_daemon_is_shown(circusd: CircusD) -> None:
    daemon = circusd(INI)
    pids = daemon.wait_pids("my.web", 2)
    found = document("--endpoint", daemon.stats_endpoint)
    idle, web = found["watchers"]
    assert found["notes"] == []
    assert (idle["name"], idle["state"], idle["processes"]) == ("idle", "stopped", [])
    assert (web["name"], web["state"], web["desired"]) == ("my.web", "active", 2)
    assert {process["pid"] for process in web["processes"]} == set(pids)
    assert all(process["resident_bytes"] > 0 and process["memory_percent"] > 0 for process in web["processes"])


def test_restarts_and_last_exits_of_the_real_daemon_are_shown(circusd: CircusD) -> None:
    daemon = circusd(INI)
    killed = daemon.wait_pids("my.web", 2)[0]
    os.kill(killed, 9)
    daemon.wait_pids("my.web", 2, without=[killed])
    web = document("--endpoint", daemon.stats_endpoint)["watchers"][1]
    assert web["restarts"] == 1
    assert (web["last_exit"]["pid"], web["last_exit"]["signal"]) == (killed, "SIGKILL")


async def test_the_stats_client_hears_dotted_names_of_the_real_daemon(circusd: CircusD) -> None:
    daemon = circusd(INI)
    pids = {str(pid) for pid in daemon.wait_pids("my.web", 2)}

    def hear() -> set[str]:
        heard = set()
        with StatsClient(daemon.stats_endpoint) as client:
            for watcher, subtopic, _ in client:
                if watcher == "my.web" and subtopic is not None:
                    heard.add(subtopic)
                if heard == pids:
                    return heard
        return heard

    async with asyncio.timeout(DEADLINE):
        assert await asyncio.to_thread(hear) == pids


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_live_view_in_a_terminal_shows_the_real_daemon_and_leaves_with_q(circusd: CircusD) -> None:
    daemon = circusd(INI)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS="120", LINES="30")
        os.execv(script("circus-top"), ["circus-top", "--endpoint", daemon.stats_endpoint])
    shown = bytearray()
    try:
        until_time = time.monotonic() + DEADLINE
        while b"my.web" not in shown or b"active" not in shown:
            assert time.monotonic() < until_time, shown.decode(errors="replace")
            if select.select([terminal], [], [], 0.1)[0]:
                shown += os.read(terminal, 65536)
        os.write(terminal, b"q")
        with contextlib.suppress(OSError):  # how the end of a terminal is read
            while os.read(terminal, 65536):
                pass
        ended = wait_until(lambda: (told := os.waitpid(pid, os.WNOHANG))[0] and told)
    finally:
        os.close(terminal)
        if proc.alive(pid):
            os.kill(pid, 9)
            os.waitpid(pid, 0)
    assert ended == (pid, 0)
    assert b"Circus Top" in shown
