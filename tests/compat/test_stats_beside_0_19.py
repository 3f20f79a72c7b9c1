"""Our circusd-stats beside the circusd of circus 0.19.0, heard by the clients of both, with psutil as the judge."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import zmq

from circus.stats.client import StatsClient
from tests.helpers import proc, real
from tests.helpers.channels import Caller, NoAnswer
from tests.helpers.daemon import script
from tests.helpers.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.real

INI = """
[circus]
endpoint = {place}/control
pubsub_endpoint = {place}/events
multicast_endpoint =
check_delay = 0.2

[socket:web]
host = 127.0.0.1
port = 0

[watcher:Web One]
cmd = sleep 1000
numprocesses = 2
"""


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CIRCUS"))}


class Pair:
    """circusd 0.19.0 and our circusd-stats beside it."""

    def __init__(self, directory: pathlib.Path, place: str) -> None:
        self.place = place
        self.ini = directory / "circus.ini"
        self.ini.write_text(INI.format(place=place))
        self.log = directory / "stats.log"
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self.caller = Caller(f"{place}/control", self.context)
        self.start_daemon()
        self.wait_pids(2)
        with self.log.open("ab") as log:
            self.stats = subprocess.Popen(
                [script("circusd-stats"), "--endpoint", f"{place}/control", "--pubsub", f"{place}/events",
                 "--statspoint", f"{place}/stats"], stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def start_daemon(self) -> None:
        self.daemon = subprocess.Popen(
            [real.old_circus("circusd"), str(self.ini)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=clean_environment(), cwd=self.ini.parent,
        )  # fmt: skip

    def call(self, command: str, **properties: Any) -> dict[str, Any]:
        return self.caller.call(command, timeout=2.0, **properties)

    def wait_pids(self, count: int, without: tuple[int, ...] = ()) -> list[int]:
        def there() -> list[int]:
            try:
                pids: list[int] = self.call("list", name="web one").get("pids", [])
            except NoAnswer:
                return []
            return pids if len(pids) == count and not set(pids) & set(without) else []

        return wait_until(there)

    def heard_by_0_19(self, until: str) -> Any:
        """What its StatsClient hears, as {watcher: {subtopic: stat}}, until an expression over that is true."""
        program = (
            "import json, sys\nfrom circus.stats.client import StatsClient\nheard = {}\n"
            "for watcher, subtopic, stat in StatsClient(endpoint=sys.argv[1]):\n"
            "    heard.setdefault(watcher, {})[str(subtopic)] = stat\n"
            f"    if {until}: break\n"
            "print(json.dumps(heard))"
        )
        done = subprocess.run(
            [real.old_circus("python"), "-c", program, f"{self.place}/stats"],
            capture_output=True, text=True, timeout=2 * DEADLINE, env=clean_environment(), cwd=self.ini.parent,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def told_of(self, pids: list[int]) -> bool:
        """Whether our client hears exactly these pids of the watcher, in the next messages about it."""
        with StatsClient(f"{self.place}/stats") as client:
            sums = [stat for name, subtopic, stat in _first(client, 20) if (name, subtopic) == ("web_one", None)]
        return bool(sums) and sorted(sums[-1]["pid"]) == sorted(pids)

    def close(self) -> None:
        for process in (self.stats, self.daemon):
            end(process)
        self.caller.close()
        self.context.destroy(linger=0)


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM until it is heeded: circusd 0.19 drops one that comes while it looks after its watchers."""

    def ended() -> bool:
        process.terminate()
        return process.poll() is not None

    wait_until(ended, pause=0.5)


def _first(client: StatsClient, count: int) -> list[Any]:
    return [stat for _, stat in zip(range(count), client, strict=False)]


@pytest.fixture
def pair(tmp_path: pathlib.Path) -> Iterator[Pair]:
    place = tempfile.mkdtemp(prefix="circus-")
    made = Pair(tmp_path, f"ipc://{place}")
    yield made
    made.close()
    shutil.rmtree(place)


def test_the_client_of_0_19_hears_of_processes_sockets_and_circus_itself(pair: Pair) -> None:
    heard = pair.heard_by_0_19("{'web_one', 'sockets', 'circus'} <= set(heard) and 'None' in heard['sockets']")
    pids = pair.wait_pids(2)
    processes = {int(subtopic): stat for subtopic, stat in heard["web_one"].items() if subtopic != "None"}
    assert set(processes) == set(pids)
    for pid, stat in processes.items():
        judge = psutil.Process(pid)
        assert (stat["pid"], stat["cmdline"], stat["username"]) == (pid, "sleep", judge.username())
        assert (stat["subtopic"], stat["name"], stat["nice"]) == (pid, None, judge.nice())
        assert abs(stat["create_time"] - judge.create_time()) < 1
        assert abs(stat["mem"] - judge.memory_percent("rss")) < 0.01
    own = {stat.get("name"): stat.get("pid") for subtopic, stat in heard["circus"].items() if subtopic != "None"}
    assert own == {"circusd": pair.daemon.pid, "circusd-stats": pair.stats.pid}
    port = pair.call("listsockets")["sockets"][0]["port"]
    assert heard["sockets"]["None"] == {"addresses": [f"127.0.0.1:{port}"], "reads": 0}


def test_a_process_that_was_replaced_is_told_no_more(pair: Pair) -> None:
    """Also after a reload, of which 0.19 tells no reap at all."""
    before = pair.wait_pids(2)
    wait_until(lambda: pair.told_of(before))
    pair.call("reload", name="web one")
    after = pair.wait_pids(2, without=tuple(before))
    wait_until(lambda: pair.told_of(after))


def test_one_that_lives_through_its_grace_is_told_on(pair: Pair) -> None:
    """A kill event is not a death."""
    (pid, other) = pair.wait_pids(2)
    wait_until(lambda: pair.told_of([pid, other]))
    os.kill(pid, signal.SIGSTOP)
    # Of two signals that wait the kernel delivers SIGTERM first.
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    pair.call("kill", name="web one", pid=pid, graceful_timeout=1000)
    try:
        assert pair.told_of([pid, other])
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_circusd_that_comes_again_is_found_again(pair: Pair) -> None:
    before = pair.wait_pids(2)
    wait_until(lambda: pair.told_of(before))
    end(pair.daemon)
    wait_until(lambda: not any(proc.alive(pid) for pid in before))
    pair.start_daemon()
    after = pair.wait_pids(2, without=tuple(before))
    wait_until(lambda: pair.told_of(after))
