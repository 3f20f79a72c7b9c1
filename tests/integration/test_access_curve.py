"""CURVE: only clients whose key is known get to any of the three channels, and the key says what they may do."""

import asyncio
import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import time
import urllib.request

import pytest
import zmq

from circus.client import AsyncCircusClient, CircusClient, protect
from circus.consumer import CircusConsumer
from circus.core.access import Access, Rule
from circus.exc import CallError, EndpointError
from circus.keys import Pair, read_pair
from circus.runtime.curve import Authenticator
from circus.runtime.zmq_socket import LoopSocket, answering_socket
from circus.stats.client import StatsClient
from tests.helpers.curve import lets_in, make_key
from tests.helpers.daemon import Daemon, script
from tests.helpers.ports import reserved_port
from tests.helpers.waiting import DEADLINE, wait_until

WEB = "[watcher:web]\ncmd = sleep 1000\n"
OLD_PEER = b"\x01\x00\x02\x00{}"  # ZMTP 1.0: no identity, then a message
NO_ANSWER = 1.0  # seconds after which somebody who is never answered gives up


class Guarded:
    """A circusd on three ports with CURVE, and keys: its own, those it knows by role, and one of a stranger."""

    def __init__(self, circusd, tmp_path, ports, ini="", **keywords):
        self.server = make_key(tmp_path, "server")
        self.stranger = make_key(tmp_path, "stranger")
        self.admin, self.operator, self.reader = (make_key(tmp_path, name) for name in ("admin", "operate", "read"))
        sections = "".join(
            lets_in(key, key.file.name, f"my-{key.file.name}") for key in (self.admin, self.operator, self.reader)
        )
        names = ("endpoint", "pubsub_endpoint", "stats_endpoint")
        where = {name: f"tcp://127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)}
        options = {**where, "curve_secret_key_file": self.server.file, **keywords.pop("options", {})}
        self.daemon: Daemon = circusd(WEB + sections + ini, start=False, options=options, **keywords)
        self.daemon.endpoint, self.daemon.pubsub_endpoint, self.daemon.stats_endpoint = where.values()
        self.daemon.spawn()
        self.endpoint, self.events, self.stats = where.values()
        self.ask(self.admin, "numwatchers", timeout=DEADLINE)

    def ask(self, key, command, timeout=DEADLINE, **props):
        client = CircusClient(endpoint=self.endpoint, timeout=timeout, keys=key and key.to(self.server))
        try:
            return client.send_message(command, **props)
        finally:
            client.stop()

    def run(self, key, *words):
        environ = {**os.environ, **(key.environ(self.server) if key else {})}
        return subprocess.run(
            words, env=environ, capture_output=True, text=True, timeout=DEADLINE, check=False, stdin=subprocess.DEVNULL
        )


@pytest.fixture
def guarded(circusd, tmp_path):
    with reserved_port() as one, reserved_port() as two, reserved_port() as three:
        yield lambda ini="", **keywords: Guarded(circusd, tmp_path, (one, two, three), ini, **keywords)


def test_a_key_has_the_role_of_its_section(guarded):
    found = guarded()
    assert found.ask(found.reader, "list")["watchers"] == ["web"]
    refused = found.ask(found.reader, "stop", name="web")
    assert refused["errno"] == 7
    assert "curve:my-read,tcp:127.0.0.1 has the role read" in refused["reason"]
    assert found.ask(found.operator, "restart", name="web", waiting=True)["status"] == "ok"
    assert found.ask(found.operator, "set", name="web", options={"max_retry": 1})["errno"] == 7
    assert found.ask(found.admin, "set", name="web", options={"max_retry": 1})["status"] == "ok"


def test_the_audit_names_the_key(guarded):
    found = guarded()
    found.ask(found.operator, "stop", name="web", waiting=True)
    records = found.ask(found.reader, "events", record="command.finished")["records"]
    assert records[-1]["data"]["actor"] == "curve:my-operate,tcp:127.0.0.1"
    assert records[-1]["cause"]["actor"] == "curve:my-operate,tcp:127.0.0.1"


def test_nobody_gets_in_without_a_known_key(guarded):
    found = guarded()
    for key in (None, found.stranger):
        with pytest.raises(CallError, match="Timed out"):
            found.ask(key, "list", timeout=NO_ANSWER)
    wrong_server = found.admin.to(found.stranger)
    client = CircusClient(endpoint=found.endpoint, timeout=NO_ANSWER, keys=wrong_server)
    with pytest.raises(CallError, match="Timed out"):
        client.send_message("list")
    client.stop()
    assert f"names: {found.stranger.public}" in found.daemon.log_text()
    assert found.ask(found.admin, "list")


def test_events_and_samples_are_for_those_with_a_key(guarded):
    found = guarded()
    heard = []
    consumers = [
        CircusConsumer([""], endpoint=endpoint, keys=keys)
        for keys in (found.reader.to(found.server), found.stranger.to(found.server))
        for endpoint in (found.events, found.stats)
    ]
    consumers += [CircusConsumer([""], endpoint=endpoint) for endpoint in (found.events, found.stats)]

    def all_known_have_heard():
        found.ask(found.operator, "restart", name="web", waiting=True)
        heard.extend(number for number, consumer in enumerate(consumers) if consumer.receive(0.05))
        return {0, 1} <= set(heard)

    try:
        wait_until(all_known_have_heard)
        assert set(heard) == {0, 1}
    finally:
        for consumer in consumers:
            consumer.stop()


def test_the_stats_client_takes_keys(guarded):
    found = guarded()
    with StatsClient(found.stats, keys=found.reader.to(found.server)) as stats:
        watcher, _, stat = next(stats.iter_messages())
    assert watcher
    assert stat


async def test_the_asyncio_client_takes_keys(guarded):
    found = guarded()
    client = AsyncCircusClient(endpoint=found.endpoint, timeout=DEADLINE, keys=found.reader.to(found.server))
    try:
        assert (await client.send_message("list"))["watchers"] == ["web"]
    finally:
        client.stop()


def test_circusctl_by_options_and_by_environment(guarded):
    found = guarded()
    endpoint = ("--endpoint", found.endpoint)
    options = ("--curve-key", str(found.reader.file), "--curve-server", found.server.public)
    assert found.run(None, script("circusctl"), *endpoint, *options, "list").stdout == "web\n"
    assert found.run(found.reader, script("circusctl"), *endpoint, "list").stdout == "web\n"
    of_file = ("--curve-key", str(found.reader.file), "--curve-server", str(found.server.file))
    assert found.run(None, script("circusctl"), *endpoint, *of_file, "list").stdout == "web\n"
    refused = found.run(found.reader, script("circusctl"), *endpoint, "quit")
    assert refused.returncode == 3
    assert "needs the role admin" in refused.stderr


def test_circusctl_with_a_wrong_key_or_none_ends_and_says_what_it_may_be(guarded):
    found = guarded()
    words = (script("circusctl"), "--endpoint", found.endpoint, "--timeout", "1", "list")
    strange, none = found.run(found.stranger, *words), found.run(None, *words)
    assert (strange.returncode, none.returncode) == (1, 1)
    assert "does not know your CURVE key" in strange.stderr
    assert "asks for a CURVE key" in none.stderr


def test_keygen_makes_a_file_for_its_owner_alone_and_prints_the_public_key(tmp_path):
    words = [script("circusctl"), "keygen", "my.key"]
    made = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    file = tmp_path / "my.key"
    pair = read_pair(str(file))
    assert made.stdout == f"{pair.public}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (1, "my.key is there already, and may be in use\n")
    assert read_pair(str(file)) == pair


def test_what_is_wrong_with_a_key_file_is_said(guarded, tmp_path):
    found = guarded()
    loose = make_key(tmp_path, "loose")
    loose.file.chmod(0o644)
    for words in (("circusctl", "list"), ("circus-top", "--once")):
        told = found.run(loose, script(words[0]), "--endpoint", found.endpoint, *words[1:])
        assert told.returncode == 1
        assert f"chmod 600 {loose.file}" in told.stderr
        assert "Traceback" not in told.stderr
    half = subprocess.run(
        [script("circusctl"), "--endpoint", found.endpoint, "--curve-key", str(found.reader.file), "list"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "CURVE needs the public key of circusd" in half.stderr


def test_circusctl_follows_with_a_key(guarded):
    found = guarded()
    environ = {**os.environ, **found.reader.environ(found.server)}
    words = (script("circusctl"), "--endpoint", found.endpoint, "--json", "events", "--follow")
    with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, text=True) as following:
        until = time.monotonic() + DEADLINE
        for line in following.stdout:
            record = json.loads(line)
            found.ask(found.operator, "restart", name="web", waiting=True)
            if record["record"] == "command.finished" or time.monotonic() > until:
                break
        following.kill()
    assert record["data"]["command"] == "restart"


def test_circus_top_with_a_key(guarded):
    found = guarded()
    words = (script("circus-top"), "--endpoint", found.stats, "--once", "--timeout", "15")
    shown = found.run(None, *words, "--curve-key", str(found.reader.file), "--curve-server", found.server.public)
    assert "web" in shown.stdout, shown.stderr


def test_plugins_of_circusd_are_let_in_and_show_no_key(guarded, tmp_path):
    (tmp_path / "teller.py").write_text(TELLER)
    told = tmp_path / "told"
    plugin = f"[plugin:teller]\nuse = teller.Teller\nfile = {told}\n"
    found = guarded(plugin, env={"PYTHONPATH": str(tmp_path)})
    wait_until(lambda: told.exists() and "heard" in told.read_text(), what=found.daemon.log_text)
    assert "numwatchers" in told.read_text()
    assert "circus.keys" not in told.read_text()
    shown = json.dumps([found.ask(found.admin, what, name="plugin:teller") for what in ("options", "stats")])
    assert "curve" not in shown
    assert "circus.keys" not in shown
    assert not [line for line in found.run(None, "ps", "-eo", "args").stdout if "circus.keys" in line]
    records = found.ask(found.reader, "events", record="command.finished")["records"]
    assert records[-1]["data"]["actor"] == "curve:circusd,tcp:127.0.0.1"


def page(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def test_the_exporter_of_circusd_is_let_in(guarded):
    with reserved_port() as port:
        found = guarded(f"[exporter:prometheus]\nport = {port}\n")
        wait_until(lambda: "circus_up 1" in page(port), what=found.daemon.log_text)


def test_an_exporter_of_ones_own_needs_a_key_that_may_read(guarded):
    found = guarded()
    options = ("--curve-key", str(found.reader.file), "--curve-server", found.server.public)
    with reserved_port() as port:
        words = [script("circus-exporter"), "--endpoint", found.endpoint, *options, "--port", str(port)]
        with subprocess.Popen(words, stderr=subprocess.PIPE) as exporter:
            try:
                wait_until(lambda: "circus_up 1" in page(port), what=found.daemon.log_text)
            finally:
                exporter.terminate()
                exporter.communicate(timeout=DEADLINE)


TELLER = """
from circus.plugins import CircusPlugin

class Teller(CircusPlugin):
    name = "teller"

    def handle_init(self):
        self.loop.call_soon(self._ask)

    def _ask(self):
        self._tell(repr(sorted(self.config)))
        self._tell(repr(self.call("numwatchers")))
        self.call("restart", name="web")

    def handle_recv(self, data):
        self._tell("heard")

    def _tell(self, text):
        with open(self.config["file"], "a") as file:
            file.write(text + "\\\\n")
"""


def test_reloadconfig_lets_a_key_in_and_takes_roles_away(guarded):
    found = guarded()
    before = found.daemon.ini.read_text()
    waiting = CircusClient(endpoint=found.endpoint, timeout=DEADLINE, keys=found.operator.to(found.server))
    assert waiting.send_message("stop", name="web", waiting=True)["status"] == "ok"
    text = before.replace(found.operator.public, found.stranger.public)
    found.daemon.ini.write_text(text)
    changes = found.ask(found.admin, "reloadconfig", waiting=True)["changes"]
    assert [(each["subject"], each["name"]) for each in changes] == [("access", "my-operate")]
    assert found.ask(found.stranger, "start", name="web", waiting=True)["status"] == "ok"
    # On the connection that was let in before.
    assert waiting.send_message("stop", name="web")["errno"] == 7
    waiting.stop()


def test_mute_and_old_peers_are_shed(guarded):
    found = guarded()
    place = ("127.0.0.1", int(found.endpoint.rpartition(":")[2]))
    with socket.create_connection(place) as mute, socket.create_connection(place) as old:
        old.sendall(OLD_PEER)
        for peer in (mute, old):
            peer.settimeout(DEADLINE)
            while peer.recv(64):
                pass
    assert found.ask(found.admin, "list")


def test_a_pair_that_is_none_is_said_at_the_start(circusd, tmp_path):
    one, other = make_key(tmp_path, "one"), make_key(tmp_path, "other")
    one.file.write_text(one.file.read_text().replace(one.public, other.public))
    options = {"pubsub_endpoint": "tcp://127.0.0.1:0", "curve_secret_key_file": one.file}
    daemon = circusd(WEB, options=options, start=False).spawn()
    assert daemon.wait() == 1
    (line,) = [line for line in daemon.log_text().splitlines() if str(one.file) in line]
    assert "the secret key is not that of the public key" in line
    assert "Traceback" not in daemon.log_text()


# The handler by itself, with real sockets in the loop of the test.


class Doorkeeper:
    """A context with a handler that knows one key, and a ROUTER that asks for keys."""

    def __init__(self, tmp_path):
        self.server, self.known = make_key(tmp_path, "its"), make_key(tmp_path, "known")
        rule = Rule(name="x", role="read", keys=frozenset({self.known.public}))
        self.context = zmq.Context()
        pair = Pair(self.server.public, self.server.secret)
        self.handler = Authenticator(
            self.context, asyncio.get_running_loop(), pair, Access(own_uid=0, rules=(rule,), curve=True)
        )
        self.heard = asyncio.Queue()
        raw = answering_socket(self.context)
        self.handler.guard(raw)
        raw.bind("tcp://127.0.0.1:*")
        self.endpoint = raw.getsockopt(zmq.LAST_ENDPOINT).decode()
        self.socket = LoopSocket(raw, lambda frames: self.heard.put_nowait(frames[-1]), loop=asyncio.get_running_loop())

    def knock(self):
        client = self.context.socket(zmq.DEALER)
        client.setsockopt(zmq.LINGER, 0)
        protect(client, self.endpoint, self.known.to(self.server))
        client.connect(self.endpoint)
        client.send(b"hello")
        return client

    async def answer(self, seconds):
        try:
            return await asyncio.wait_for(self.heard.get(), seconds)
        except TimeoutError:
            return None

    def close(self):
        self.socket.close()
        self.handler.close()
        self.context.destroy(linger=0)


@pytest.fixture
async def door(tmp_path):
    made = Doorkeeper(tmp_path)
    yield made
    made.close()


async def test_the_key_of_each_message_is_known(door):
    client = door.knock()
    assert (await door.answer(DEADLINE)).get("User-Id") == door.known.public
    client.close()


async def test_without_a_handler_nobody_gets_in(door):
    door.handler.close()
    client = door.knock()
    assert await door.answer(NO_ANSWER) is None
    client.close()


async def test_sockets_that_need_no_key_go_on_beside_those_that_do(door):
    raw = answering_socket(door.context)
    raw.bind("tcp://127.0.0.1:*")
    client = door.context.socket(zmq.DEALER)
    client.connect(raw.getsockopt(zmq.LAST_ENDPOINT).decode())
    client.send(b"hello")
    heard = asyncio.Queue()
    socket = LoopSocket(raw, heard.put_nowait, loop=asyncio.get_running_loop())
    assert (await asyncio.wait_for(heard.get(), DEADLINE))[-1].bytes == b"hello"
    socket.close()
    client.close(0)


async def test_a_context_with_a_handler_of_somebody_else_is_refused(door):
    pair = Pair(door.server.public, door.server.secret)
    with pytest.raises(EndpointError, match="somebody else who lets clients in"):
        Authenticator(door.context, asyncio.get_running_loop(), pair, Access(own_uid=0))


async def test_nonsense_to_the_handler_is_passed_over(door):
    asking = door.context.socket(zmq.DEALER)
    asking.connect("inproc://zeromq.zap.01")
    for frames in ([b""], [b"", b"1.0"], [b"x"] * 9, [b"", b"2.0", *[b"x"] * 7], [b"", b"1.0", *[b"x"] * 4]):
        asking.send_multipart(frames)
    for number, credentials in ((b"7", [b"CURVE", b"short"]), (b"8", [b"CURVE"]), (b"9", [b"PLAIN", b"me", b"hush"])):
        asking.send_multipart([b"", b"1.0", number, b"circus", b"1.2.3.4", b"", *credentials])
    heard = []
    async with asyncio.timeout(DEADLINE):
        while len(heard) < 3:
            with contextlib.suppress(zmq.Again):
                heard.append(asking.recv_multipart(zmq.DONTWAIT))
            await asyncio.sleep(0.01)
    assert [frames[:4] for frames in heard] == [[b"", b"1.0", number, b"400"] for number in (b"7", b"8", b"9")]
    asking.close(0)


def test_a_daemon_that_asks_for_no_keys_does_not_load_what_it_would_take():
    program = "import circus.circusd, circus.arbiter, sys; print([name for name in sys.modules if 'curve' in name])"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
