"""circusd-stats as a program: beside our circusd, where it cannot work, and how it ends."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import psutil
import pytest
import zmq

from circus import __version__
from circus.stats import backlog
from circus.stats.client import StatsClient
from circus.stats.collector import BaseStatsCollector
from circus.stats.streamer import StatsStreamer
from tests.conftest import CircusD
from tests.helpers.daemon import Daemon, script
from tests.helpers.waiting import DEADLINE, wait_until
from tests.workers import python

INI = "[watcher:Web One]\ncmd = sleep 1000\nnumprocesses = 2\n"


@pytest.fixture
def place() -> Iterator[str]:
    directory = tempfile.mkdtemp(prefix="circus-")
    yield directory
    shutil.rmtree(directory)


def started(daemon: Daemon, place: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [script("circusd-stats"), "--endpoint", daemon.endpoint, "--pubsub", daemon.pubsub_endpoint,
         "--statspoint", f"ipc://{place}/stats", *words],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def sums(place: str, watcher: str) -> list[int]:
    """The pids in the next sums of a watcher."""
    with StatsClient(f"ipc://{place}/stats") as client:
        return next(sorted(stat["pid"]) for name, subtopic, stat in client if (name, subtopic) == (watcher, None))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_it_publishes_until_it_is_told_to_end(circusd: CircusD, place: str, signum: int) -> None:
    daemon = circusd(INI)
    pids = sorted(daemon.wait_pids("web one", 2))
    program = started(daemon, place)
    assert sums(place, "web_one") == pids
    assert sums(place, "circus") == sorted([daemon.pid, program.pid])
    os.kill(pids[0], signal.SIGKILL)
    after = sorted(daemon.wait_pids("web one", 2, without=pids[:1]))
    wait_until(lambda: sums(place, "web_one") == after)
    program.send_signal(signum)
    _, err = program.communicate(timeout=DEADLINE)
    assert (program.returncode, "Traceback" in err) == (0, False)
    assert not pathlib.Path(place, "stats").exists()


def seconds(text: str) -> float:
    minutes, _, rest = text.partition(":")
    return int(minutes) * 60 + float(rest)


def test_its_cpu_times_lie_between_what_psutil_reads_before_and_after(circusd: CircusD, place: str) -> None:
    daemon = circusd(f"[watcher:burn]\ncmd = {python('burn', 1000, 0)}\n")
    (pid,) = daemon.wait_pids("burn", 1)
    program = started(daemon, place)
    judge = psutil.Process(pid)
    with StatsClient(f"ipc://{place}/stats") as client:
        stats = (stat for name, subtopic, stat in client if (name, subtopic) == ("burn", str(pid)))
        before = sum(judge.cpu_times()[:2])
        next(stats)  # it may have been read before we looked
        told = next(stat for stat in stats if stat["cpu"] > 0)
        after = sum(judge.cpu_times()[:2])
    tick = 0.02
    assert before - tick <= seconds(told["ctime"]) <= after + tick
    program.terminate()
    program.communicate(timeout=DEADLINE)


def test_it_waits_for_a_circusd_that_is_not_there_yet(circusd: CircusD, place: str) -> None:
    daemon = circusd(INI, start=False)
    program = started(daemon, place)
    wait_until(lambda: pathlib.Path(place, "stats").exists())
    daemon.start()
    pids = sorted(daemon.wait_pids("web one", 2))
    wait_until(lambda: sums(place, "web_one") == pids)
    program.terminate()
    program.communicate(timeout=DEADLINE)


def test_it_refuses_to_measure_strangers(circusd: CircusD, place: str) -> None:
    """Where circusd is on another machine, its pids are those of others here."""
    daemon = circusd(INI)
    program = """if True:
        from circus.stats import main, streamer

        class Elsewhere(streamer.StatsStreamer):
            def _check_here(self, daemon):
                super()._check_here({**daemon, "pid": 2**22})

        streamer.StatsStreamer = Elsewhere
        main()
    """
    done = subprocess.run(
        [sys.executable, "-c", program, "--endpoint", daemon.endpoint, "--pubsub", daemon.pubsub_endpoint,
         "--statspoint", f"ipc://{place}/stats"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE,
    )  # fmt: skip
    assert done.returncode == 1
    assert "is no process of this machine" in done.stderr.splitlines()[-1]


def test_an_address_that_is_taken_is_told(circusd: CircusD) -> None:
    daemon = circusd(INI)
    done = subprocess.run(
        [script("circusd-stats"), "--endpoint", daemon.endpoint, "--statspoint", daemon.stats_endpoint],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"circusd-stats: statspoint = {daemon.stats_endpoint}: ")
    assert line.endswith("circusd 1.0 publishes its statistics itself")


def test_its_version() -> None:
    done = subprocess.run([script("circusd-stats"), "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the queues of others")
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_queue_of_a_socket_is_seen_from_outside(family: int, host: str) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        try:
            listening.bind((host, 0))
        except OSError:
            pytest.skip(f"no {host} here")
        listening.listen(8)
        port = listening.getsockname()[1]
        told = [{"fd": 7, "name": "web", "host": host, "port": port}, {"fd": 8, "name": "ux", "path": "/run/ux"}]
        row = {"fd": 7, "subtopic": 7, "address": f"{host}:{port}"}
        assert backlog.queues(told) == [row | {"reads": 0}]
        with socket.create_connection((host, port)), socket.create_connection((host, port)):
            wait_until(lambda: backlog.queues(told) == [row | {"reads": 2}])


def test_events_say_which_processes_there_are(place: str) -> None:
    streamer = StatsStreamer(f"ipc://{place}/c", f"ipc://{place}/e", f"ipc://{place}/s")
    tell = streamer.handle_recv
    try:
        tell([b"watcher.dot.ted.spawn", b'{"process_pid": 11}'])
        tell([b"watcher.dot.ted.spawn", b'{"process_pid": 12}'])
        tell([b"watcher.other.spawn", b'{"process_pid": 21}'])
        tell([b"watcher.circushttpd.spawn", b'{"process_pid": 31}'])
        assert streamer.get_pids("Dot.Ted") == [11, 12]
        assert sorted(streamer.get_pids()) == [11, 12, 21, 31]
        assert streamer.get_circus_pids() == {31: "circushttpd"}
        tell([b"watcher.dot.ted.kill", b'{"process_pid": 11}'])
        tell([b"watcher.dot.ted.updated", b"{}"])
        assert streamer.get_pids("dot.ted") == [11, 12]
        tell([b"watcher.dot.ted.reap", b'{"process_pid": 11, "exit_code": 0}'])
        tell([b"watcher.circushttpd.reap", b'{"process_pid": 31, "exit_code": 0}'])
        assert (streamer.get_pids("dot.ted"), streamer.get_circus_pids()) == ([12], {})
        tell([b"watcher.dot.ted.stop", b"{}"])
        tell([b"watcher.other.remove", b"{}"])
        assert streamer.get_pids() == []
        for nonsense in (b"", b"[]", b"{}", b"nonsense", b'{"process_pid": "x"}'):
            tell([b"watcher.web.spawn", nonsense])
        assert streamer.get_pids() == []
    finally:
        streamer.stop()
        streamer.start()


def test_a_collector_of_ones_own_publishes_what_it_yields(place: str) -> None:
    class Answer(BaseStatsCollector):
        def collect_stats(self):
            yield {"subtopic": 42, "answer": 42}
            self.streamer.stop()

    streamer = StatsStreamer(f"ipc://{place}/c", f"ipc://{place}/e", f"ipc://{place}/s", delay=0.01)
    Answer(streamer, "Ultimate", 0.01).start()
    with StatsClient(f"ipc://{place}/s") as client:
        streamer.start()
        assert next(iter(client)) == ("ultimate", "42", {"subtopic": 42, "answer": 42})


@pytest.mark.parametrize(
    "answer", [{}, {"info": None}, {"info": {"pid": "x", "cmdline": "circusd"}}, {"info": {"pid": []}}]
)
def test_what_is_no_circusd_is_told(place: str, answer: dict[str, object]) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    somebody = context.socket(zmq.ROUTER)
    somebody.bind(f"ipc://{place}/c")
    program = subprocess.Popen(
        [script("circusd-stats"), "--endpoint", f"ipc://{place}/c", "--pubsub", f"ipc://{place}/e",
         "--statspoint", f"ipc://{place}/s"],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert somebody.poll(DEADLINE * 1000)
    peer, request = somebody.recv_multipart()
    somebody.send_multipart([peer, json.dumps({"status": "ok", "id": json.loads(request)["id"], **answer}).encode()])
    _, err = program.communicate(timeout=DEADLINE)
    context.destroy(linger=0)
    assert (program.returncode, "Traceback" in err) == (1, False)
    assert f"circusd-stats: what answers at ipc://{place}/c is no circusd: " in err
