"""Everything that can reach circusd through ssh, through a real sshd on the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from circus.client import AsyncCircusClient, CircusClient
from circus.consumer import CircusConsumer
from circus.stats.client import StatsClient
from tests.conftest import CircusD
from tests.helpers.daemon import Daemon, script
from tests.helpers.ports import reserved_port
from tests.helpers.ssh import Sshd
from tests.helpers.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.real

INI = "[watcher:web]\ncmd = sleep 1000\nnumprocesses = 2\n"


@pytest.fixture
def sshd(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    with Sshd(tmp_path / "ssh") as server:
        monkeypatch.setenv("PATH", server.path)
        yield server


@pytest.fixture
def daemon(circusd: CircusD) -> Iterator[Daemon]:
    with contextlib.ExitStack() as held:
        ports = [held.enter_context(reserved_port()) for _ in range(3)]
        control, events, stats = (f"tcp://127.0.0.1:{port}" for port in ports)
        made = circusd(
            INI,
            start=False,
            options={"endpoint": control, "pubsub_endpoint": events, "stats_endpoint": stats},
        )
        made.endpoint, made.pubsub_endpoint, made.stats_endpoint = control, events, stats
        made.start()
        made.wait_pids("web", 2)
        yield made


def ran(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [script(name), *words],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2 * DEADLINE, env=os.environ,
    )  # fmt: skip


def test_circusctl_with_a_key(daemon: Daemon, sshd: Sshd) -> None:
    through = ["--ssh", sshd.server, "--ssh_keyfile", str(sshd.keyfile), "--timeout", "20"]
    listed = ran("circusctl", "--endpoint", daemon.endpoint, *through, "numprocesses", "web")
    assert (listed.returncode, listed.stdout, listed.stderr) == (0, "2\n", "")
    with subprocess.Popen(
        [script("circusctl"), "--endpoint", daemon.pubsub_endpoint, *through, "listen", "watcher.web"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=os.environ,
    ) as listening:  # fmt: skip
        assert listening.stdout is not None
        lines: list[str] = []
        os.set_blocking(listening.stdout.fileno(), False)

        def heard() -> bool:
            daemon.ok("incr", name="web")
            lines.extend(listening.stdout or [])
            return any(line.startswith("watcher.web.spawn: {") for line in lines)

        wait_until(heard, pause=0.2)
        listening.terminate()


def test_clients_in_python(daemon: Daemon, sshd: Sshd) -> None:
    with CircusClient(endpoint=daemon.endpoint, ssh_server=sshd.server, ssh_keyfile=str(sshd.keyfile)) as client:
        assert client.send_message("numwatchers")["numwatchers"] == 1
    sshd.use_key_by_default()
    with CircusClient(endpoint=daemon.endpoint, ssh_server=sshd.server) as client:
        assert client.send_message("numwatchers")["numwatchers"] == 1


def test_the_client_for_asyncio(daemon: Daemon, sshd: Sshd) -> None:
    async def ask(client: AsyncCircusClient) -> int:
        try:
            return int((await client.send_message("numwatchers"))["numwatchers"])
        finally:
            client.stop()

    # Made outside the loop: ssh takes its time.
    client = AsyncCircusClient(
        endpoint=daemon.endpoint, ssh_server=sshd.server, ssh_keyfile=str(sshd.keyfile), timeout=DEADLINE
    )
    assert asyncio.run(ask(client)) == 1


def test_consumers_in_python(daemon: Daemon, sshd: Sshd) -> None:
    sshd.use_key_by_default()
    with CircusConsumer(["watcher."], endpoint=daemon.pubsub_endpoint, ssh_server=sshd.server) as consumer:
        wait_until(lambda: daemon.ok("incr", name="web") and consumer.receive(0.2))
    with StatsClient(daemon.stats_endpoint, sshd.server) as stats:
        assert {name for _, (name, _, _) in zip(range(10), stats, strict=False)} >= {"web", "circus"}


def test_circus_top(daemon: Daemon, sshd: Sshd) -> None:
    sshd.use_key_by_default()
    done = ran("circus-top", "--json", "--endpoint", daemon.stats_endpoint, "--ssh", sshd.server, "--timeout", "20")
    assert done.returncode == 0, done.stderr
    assert [watcher["name"] for watcher in json.loads(done.stdout)["watchers"]] == ["web"]


def test_circusd_stats(daemon: Daemon, sshd: Sshd) -> None:
    sshd.use_key_by_default()
    with tempfile.TemporaryDirectory(prefix="circus-") as place:
        program = subprocess.Popen(
            [script("circusd-stats"), "--endpoint", daemon.endpoint, "--pubsub", daemon.pubsub_endpoint,
             "--statspoint", f"ipc://{place}/stats", "--ssh", sshd.server],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ,
        )  # fmt: skip
        with StatsClient(f"ipc://{place}/stats") as stats:
            pids = next(stat["pid"] for name, subtopic, stat in stats if (name, subtopic) == ("web", None))
        assert sorted(pids) == sorted(daemon.pids("web"))
        program.terminate()
        _, err = program.communicate(timeout=DEADLINE)
        assert (program.returncode, "Traceback" in err) == (0, False)


def test_a_host_that_is_not_known_is_one_clear_line(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sshd(tmp_path / "ssh", known=False) as server:
        monkeypatch.setenv("PATH", server.path)
        done = ran("circusctl", "--ssh", server.server, "--ssh_keyfile", str(server.keyfile), "list")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"no tunnel to tcp://127.0.0.1:5555 through {server.server}: The authenticity of the host")


def test_a_key_that_is_not_taken_is_one_clear_line(sshd: Sshd) -> None:
    done = ran("circusctl", "--ssh", sshd.server, "list")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"no tunnel to tcp://127.0.0.1:5555 through {sshd.server}: ")


def test_daemons_of_this_machine_are_not_meant(circusd: CircusD, sshd: Sshd, tmp_path: pathlib.Path) -> None:
    """Without an endpoint, a daemon with automatic endpoints here is no candidate for one there."""
    circusd(INI, options={"endpoint": None, "pubsub_endpoint": None, "stats_endpoint": None}, start=False)
    done = ran("circusctl", "--ssh", sshd.server, "--ssh_keyfile", str(sshd.keyfile), "--timeout", "0.5", "list")
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "Timed out.")
    assert "tcp://127.0.0.1:5555" in done.stderr
