"""Peers that do harm, each for real: they say nothing, too much, or nonsense, read nothing, come and vanish by thousands.

circusd answers others meanwhile, its watchers live, and afterwards it has no more descriptors and hardly more memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import shutil
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import zmq

from circus.wire.endpoints import auto_endpoints
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import DEADLINE, wait_until

Start = Callable[..., Daemon]

INI = "[watcher:web]\ncmd = sleep 1000\nnumprocesses = 2\n"
GREETING = b"\xff" + b"\0" * 8 + b"\x7f" + b"\x03\x01" + b"NULL".ljust(20, b"\0") + b"\0" + b"\0" * 31
OLD_PEER = b"\x01\x00" + b"\x03\x00{}"  # no identity, and a message of two bytes
NOISE = random.Random(19).randbytes(4096)
MEGABYTE = 1 << 20


@pytest.fixture
def daemon(circusd: Start) -> Daemon:
    made = circusd(INI)
    made.wait_pids("web", 2)
    return made


def resident(daemon: Daemon) -> int:
    """Bytes of memory."""
    return int(pathlib.Path(f"/proc/{daemon.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_fds(daemon: Daemon) -> int:
    """How many descriptors, without the files of /proc that the sampler keeps once somebody has asked for samples."""
    return sum(not target.startswith("/proc/") for target in proc.open_fds(daemon.pid).values())


@contextlib.contextmanager
def unharmed(daemon: Daemon, most_growth: int = 8 * MEGABYTE) -> Iterator[None]:
    """The same processes, descriptors and about the memory afterwards, and answers all the time."""
    pids = daemon.pids("web")
    fds = open_fds(daemon)
    memory = resident(daemon)
    yield
    assert daemon.ok("numprocesses", name="web")["numprocesses"] == 2
    assert daemon.pids("web") == pids
    wait_until(lambda: open_fds(daemon) <= fds, what=lambda: f"{fds} were open, now {proc.open_fds(daemon.pid)}")
    assert resident(daemon) - memory < most_growth
    daemon.ok("restart", name="web", waiting=True)
    assert "Traceback" not in daemon.log_text()


def path(endpoint: str) -> str:
    return endpoint.removeprefix("ipc://")


def raw(endpoint: str) -> socket.socket:
    """A plain connection."""
    made = socket.socket(socket.AF_UNIX)
    try:
        made.connect(path(endpoint))  # waits while the backlog is full, which it would not with a timeout
    except BaseException:
        made.close()
        raise
    made.settimeout(DEADLINE)
    return made


def greeted(endpoint: str, kind: bytes) -> socket.socket:
    """A connection after ZMTP's handshake, spoken by hand."""
    made = raw(endpoint)
    made.sendall(GREETING)
    got = b""
    while len(got) < 64:
        got += made.recv(64 - len(got))
    words = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    made.sendall(b"\x04" + bytes([len(words)]) + words)
    made.recv(512)
    return made


def ended(peer: socket.socket) -> bool:
    """Whether circusd has closed the connection; what it says before that does not matter."""
    try:
        while peer.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


@pytest.mark.parametrize("channel", ["endpoint", "pubsub_endpoint", "stats_endpoint"])
def test_clients_that_connect_and_vanish_leave_nothing(daemon: Daemon, channel: str) -> None:
    endpoint = getattr(daemon, channel)
    with unharmed(daemon):
        for number in range(2000):
            with contextlib.suppress(BlockingIOError), raw(endpoint) as peer:
                if number % 4 == 1:
                    peer.sendall(GREETING[: number % 64])
            if number % 4 == 2:
                greeted(endpoint, b"DEALER" if channel == "endpoint" else b"SUB").close()
            if number % 100 == 0:
                daemon.ok("numwatchers")


def test_clients_that_ask_and_vanish_before_the_answer_leave_nothing(daemon: Daemon) -> None:
    request = json.dumps({"id": "x", "command": "telemetry", "properties": {}}).encode()
    with unharmed(daemon):
        for number in range(500):
            with greeted(daemon.endpoint, b"DEALER") as peer:
                peer.sendall(b"\x02" + struct.pack(">Q", len(request)) + request)
            if number % 50 == 0:
                daemon.ok("numwatchers")


@pytest.mark.parametrize("channel", ["endpoint", "pubsub_endpoint", "stats_endpoint"])
@pytest.mark.parametrize("says", [b"", GREETING[:30], GREETING], ids=["nothing", "half a greeting", "a greeting alone"])
def test_mute_clients_are_shed(daemon: Daemon, channel: str, says: bytes) -> None:
    with unharmed(daemon), contextlib.ExitStack() as stack:
        peers = [stack.enter_context(raw(getattr(daemon, channel))) for _ in range(200)]
        for peer in peers:
            peer.sendall(says)
        daemon.ok("numwatchers")
        assert all(ended(peer) for peer in peers)


@pytest.mark.parametrize("channel", ["endpoint", "pubsub_endpoint", "stats_endpoint"])
@pytest.mark.parametrize(
    "says",
    [NOISE, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", OLD_PEER, GREETING + NOISE, GREETING + b"\xff" * 64],
    ids=["noise", "http", "ZMTP 1.0", "noise after a greeting", "all ones after a greeting"],
)
def test_nonsense_does_no_harm(daemon: Daemon, channel: str, says: bytes) -> None:
    """It is shed, and so are peers of ZMTP 1.0, which nonsense may look like: they would not have to greet."""
    with unharmed(daemon), contextlib.ExitStack() as stack:
        peers = [stack.enter_context(raw(getattr(daemon, channel))) for _ in range(100)]
        for peer in peers:
            with contextlib.suppress(OSError):
                peer.sendall(says)
        daemon.ok("numwatchers")
        assert all(ended(peer) for peer in peers)


@pytest.mark.parametrize("size", [17 * MEGABYTE, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
def test_a_message_that_says_to_be_enormous_is_shed_and_no_memory_kept_for_it(daemon: Daemon, size: int) -> None:
    with unharmed(daemon), greeted(daemon.endpoint, b"DEALER") as peer:
        with contextlib.suppress(OSError):
            peer.sendall(b"\x02" + struct.pack(">Q", size) + b"x" * MEGABYTE)
        assert ended(peer)


@pytest.mark.parametrize("channel", ["pubsub_endpoint", "stats_endpoint"])
def test_a_subscription_that_is_enormous_is_shed(daemon: Daemon, channel: str) -> None:
    with unharmed(daemon), greeted(getattr(daemon, channel), b"SUB") as peer:
        with contextlib.suppress(OSError):
            peer.sendall(b"\x02" + struct.pack(">Q", 2 * MEGABYTE) + b"\x01" + b"x" * 2 * MEGABYTE)
        assert ended(peer)


def test_the_largest_requests_are_answered_one_after_the_other(daemon: Daemon) -> None:
    """15 MB each: within the limit, and gone again afterwards."""
    with unharmed(daemon, 40 * MEGABYTE):
        for _ in range(10):
            reply = daemon.call("list", name="x" * 15 * MEGABYTE, timeout=60)
            assert reply["status"] == "error"
            assert len(reply["reason"]) < MEGABYTE


def test_a_request_that_comes_byte_by_byte_keeps_nobody_waiting(daemon: Daemon) -> None:
    body = b'{"id": "slow", "command": "numwatchers"}'
    with unharmed(daemon), greeted(daemon.endpoint, b"DEALER") as peer:
        for byte in b"\x00" + bytes([len(body)]) + body:
            peer.sendall(bytes([byte]))
            daemon.ok("numwatchers")
        assert b"slow" in peer.recv(65536)


def test_a_client_that_reads_no_replies_costs_replies_and_no_memory(daemon: Daemon) -> None:
    request = json.dumps({"id": "x", "command": "telemetry", "properties": {}}).encode()
    frame = b"\x02" + struct.pack(">Q", len(request)) + request
    with unharmed(daemon, 32 * MEGABYTE), greeted(daemon.endpoint, b"DEALER") as peer:
        for _ in range(200):
            peer.sendall(frame * 50)
            daemon.ok("numwatchers")
        wait_until(lambda: control_drops(daemon) > 0)


MANY = "".join(f"[watcher:idle{number}]\ncmd = sleep 1000\nautostart = False\n" for number in range(200))


def test_large_replies_that_nobody_fetches_take_no_memory(circusd: Start) -> None:
    """1,500 of half a megabyte: what libzmq would keep of them is half a gigabyte."""
    daemon = circusd(INI + MANY)
    daemon.wait_pids("web", 2)
    size = len(json.dumps(daemon.ok("telemetry")))
    assert size > 300_000
    request = b'{"id": "x", "command": "telemetry"}'
    frame = b"\x00" + bytes([len(request)]) + request
    with unharmed(daemon, 48 * MEGABYTE), greeted(daemon.endpoint, b"DEALER") as peer:
        for _ in range(150):
            peer.sendall(frame * 10)
            daemon.ok("numwatchers")
        wait_until(lambda: daemon.ok("telemetry")["arbiter"]["commands"]["telemetry"] >= 1500)
        assert control_drops(daemon) >= 1000


def test_large_replies_reach_who_fetches_them_however_many_were_asked_for_at_once(circusd: Start) -> None:
    daemon = circusd(INI + MANY)
    with daemon.caller() as client:
        for number in range(300):
            client.send_raw(json.dumps({"id": number, "command": "telemetry"}).encode())
        replies = [json.loads(client.receive_raw() or b"null") for _ in range(300)]
    assert [reply["id"] for reply in replies] == list(range(300))
    assert all(reply["status"] == "ok" for reply in replies)


def control_drops(daemon: Daemon) -> int:
    with daemon.stats("sample.-") as stats:
        (message,) = stats.wait_for_topic("sample.-")
        drops: int = message.body["drops"]["control"]
        return drops


DEAF = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.setsockopt(zmq.RCVHWM, 1)
socket.subscribe(b"")
socket.connect(sys.argv[1])
print("there", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def deaf(endpoint: str) -> Iterator[None]:
    """A process that subscribes to everything and reads nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", DEAF, endpoint], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.kill()


def test_a_subscriber_that_never_reads_costs_its_messages_and_nobody_else_s(daemon: Daemon) -> None:
    def flood(count: int) -> None:
        # Two records a command.
        for _ in range(count):
            daemon.ok("incr", name="web", nb=0)

    def dropped() -> int:
        counts: dict[str, int] = daemon.ok("telemetry")["arbiter"]["events_dropped"]
        return counts["lifecycle"]

    with daemon.events("lifecycle.-.command.finished") as events, deaf(daemon.pubsub_endpoint):
        subscribers = lambda: daemon.ok("telemetry")["arbiter"]["subscribers"]  # noqa: E731
        wait_until(lambda: subscribers() >= 2)
        flood(9000)  # beyond what may wait for one subscriber, and beyond what the journal keeps
        full = resident(daemon)
        flood(9000)
        assert resident(daemon) - full < 8 * MEGABYTE
        events.wait_for_topic("lifecycle.-.command.finished", count=18000)
        assert dropped() >= 1
        assert "a subscriber of the events channel reads too slowly and misses messages" in daemon.log_text()


@pytest.mark.parametrize(("channel", "stem"), [("pubsub_endpoint", b"log."), ("stats_endpoint", b"sample.")])
def test_a_subscriber_with_tens_of_thousands_of_topics_keeps_nobody_waiting(
    daemon: Daemon, channel: str, stem: bytes
) -> None:
    """Each subscription used to cost more than the one before."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        # libzmq itself may keep what it had to remember: 30,000 topics.
        with unharmed(daemon, 32 * MEGABYTE), context.socket(zmq.SUB) as greedy:
            greedy.setsockopt(zmq.LINGER, 0)
            greedy.setsockopt(zmq.SNDHWM, 0)
            for number in range(30_000):
                greedy.subscribe(stem + b"%d." % number)
            greedy.connect(getattr(daemon, channel))
            wait_until(lambda: subscribers(daemon, channel) >= 1000)
            with daemon.events("watcher.web.updated", "lifecycle.-.command.finished") as events:
                for _ in range(20):
                    daemon.ok("incr", name="web", nb=0)
                events.wait_for_topic("lifecycle.-.command.finished", count=20)
        wait_until(lambda: subscribers(daemon, channel) < 10)
    finally:
        context.destroy(0)


def subscribers(daemon: Daemon, channel: str) -> int:
    if channel == "pubsub_endpoint":
        count: int = daemon.ok("telemetry")["arbiter"]["subscribers"]
        return count
    with daemon.stats("sample.-") as stats:
        (message,) = stats.wait_for_topic("sample.-")
        return len(message.body["subscribers"])


def test_operations_that_wait_by_thousands_are_limited_and_a_stop_gets_through(circusd: Start) -> None:
    ignoring = pathlib.Path(__file__).parents[1] / "workers/ignore_term.py"
    daemon = circusd(f"[watcher:slow]\ncmd = {sys.executable} {ignoring}\ngraceful_timeout = 3\n")
    (pid,) = daemon.wait_pids("slow", 1)
    wait_until(lambda: "ready" in daemon.log_text())
    restart = json.dumps({"command": "restart", "msg_type": "cast", "properties": {"name": "slow"}}).encode()
    with daemon.caller() as flooding:
        for _ in range(1500):
            flooding.send_raw(restart)
        answer = flooding.call("restart", name="slow", waiting=True)
    assert answer["status"] == "error"
    assert answer["reason"] == "1000 operations wait for 'slow' already; ask again later"
    daemon.ok("stop", name="slow", waiting=True)
    assert daemon.status("slow") == "stopped"
    assert not proc.alive(pid)


@pytest.fixture
def automatic(tmp_path: pathlib.Path) -> Iterator[Daemon]:
    """A daemon whose endpoints are automatic."""
    names = ("endpoint", "pubsub_endpoint", "stats_endpoint")
    made = Daemon(
        "[circus]\ncheck_delay = 0.1\n[watcher:web]\ncmd = sleep 1000\n", tmp_path, options=dict.fromkeys(names, "auto")
    )
    found = auto_endpoints(str(made.ini), made.environ, os.geteuid())
    made.endpoint, made.pubsub_endpoint, made.stats_endpoint = (found[name] for name in names)
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.mark.parametrize("with_directory", [False, True])
def test_sockets_that_somebody_removed_are_bound_anew_and_who_is_connected_stays(
    automatic: Daemon, with_directory: bool
) -> None:
    """As it happens to a runtime directory when its user logs out."""
    events = automatic.events("watcher.")
    control = pathlib.Path(automatic.endpoint.removeprefix("ipc://"))
    before = {path.name for path in control.parent.iterdir()}
    if with_directory:
        shutil.rmtree(control.parents[1])
    else:
        control.unlink()
    again = before if with_directory else {control.name}
    wait_until(lambda: automatic.log_text().count("was removed by somebody, and is there again") == len(again))
    assert stat.S_IMODE(control.parent.stat().st_mode) == 0o700
    assert {path.name for path in control.parent.iterdir()} == before
    assert stat.S_IMODE(control.stat().st_mode) == 0o600
    with automatic.caller() as newcomer:
        assert newcomer.call("numwatchers")["numwatchers"] == 1
    automatic.ok("restart", name="web", waiting=True)
    events.wait_for_topic("watcher.web.start")
    late = automatic.events("watcher.")
    automatic.ok("stop", name="web", waiting=True)
    late.wait_for_topic("watcher.web.stop")
    events.wait_for_topic("watcher.web.stop")
    automatic.ok("quit")
    assert automatic.wait() == 0
    assert not control.parent.exists()


def test_where_sockets_cannot_be_bound_anew_it_is_said_once(circusd: Start) -> None:
    daemon = circusd("[circus]\ncheck_delay = 0.05\n[watcher:web]\ncmd = sleep 1000\n")
    control = pathlib.Path(daemon.endpoint.removeprefix("ipc://"))
    shutil.rmtree(control.parent)
    wait_until(lambda: "cannot be bound anew" in daemon.log_text())
    assert daemon.status("web") == "active"
    control.parent.mkdir()
    wait_until(lambda: daemon.log_text().count("is there again") == 3)
    assert daemon.log_text().count(f"{daemon.endpoint} was removed, and cannot be bound anew") == 1
