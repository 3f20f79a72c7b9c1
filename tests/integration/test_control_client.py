"""The clients: a call ends within its time, with its own reply or an error."""

import asyncio
import json
import threading

import pytest
import zmq

from circus.client import (
    AsyncCircusClient,
    CircusClient,
    cast_message,
    find_endpoint,
    make_json,
    make_message,
    running_daemons,
)
from circus.exc import CallError
from circus.runtime.listener import listen
from circus.runtime.private_directory import private_directory
from tests.fakes.arbiter import FakeWatcher
from tests.helpers.control import served, short_directory, until

SOON = 0.05


class Chatterbox(threading.Thread):
    """A ROUTER that answers every request with replies to others, again and again, and to it after `wrong` of them."""

    def __init__(self, wrong):
        super().__init__()
        self.wrong, self.context, self.leave = wrong, zmq.Context(), threading.Event()
        self.socket = self.context.socket(zmq.ROUTER)
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")

    def run(self):
        asked = None
        while not self.leave.is_set():
            if self.socket.poll(5):
                asked = self.socket.recv_multipart()
            if asked is not None:
                mine = self.wrong == 0
                self.wrong -= 1
                body = json.loads(asked[1]) if mine else {"id": "another"}
                self.socket.send_multipart([asked[0], json.dumps(body).encode()])
        self.context.destroy(linger=0)

    def __enter__(self):
        self.start()
        return f"tcp://127.0.0.1:{self.port}"

    def __exit__(self, *_):
        self.leave.set()
        self.join()


def test_requests_are_made_as_of_old():
    assert make_message("list", name="web") == {"command": "list", "properties": {"name": "web"}}
    assert cast_message("stop")["msg_type"] == "cast"
    assert json.loads(make_json("list", name="web")) == make_message("list", name="web")


async def test_a_command_is_asked_and_answered():
    async with served([FakeWatcher("web")]) as daemon:
        with CircusClient(endpoint=daemon.endpoint) as client:
            reply = await asyncio.to_thread(client.send_message, "list", name="web")
            error = await asyncio.to_thread(client.send_message, "list", name="nope")
    assert reply["status"] == "ok"
    assert error["reason"] == "program nope not found"


@pytest.mark.parametrize("timeout", [-1, float("inf"), 1e30])
async def test_a_timeout_may_be_for_ever(timeout):
    async with served([FakeWatcher("web")]) as daemon:
        with CircusClient(endpoint=daemon.endpoint, timeout=timeout) as client:
            assert (await asyncio.to_thread(client.send_message, "list"))["status"] == "ok"


async def test_a_request_is_left_as_it_was():
    async with served([FakeWatcher("web")]) as daemon:
        request = make_message("list")
        with CircusClient(endpoint=daemon.endpoint) as client:
            reply = await asyncio.to_thread(client.call, request)
    assert request == make_message("list")
    assert len(reply["id"]) == 32


def test_nobody_there_is_a_time_out():
    with (
        short_directory() as directory,
        CircusClient(endpoint=f"ipc://{directory}/nobody", timeout=SOON) as client,
        pytest.raises(CallError, match=r"^Timed out\.$"),
    ):
        client.send_message("list")


def test_replies_to_others_are_passed_over():
    with Chatterbox(wrong=5) as endpoint, CircusClient(endpoint=endpoint) as client:
        assert client.send_message("list")["command"] == "list"


def test_replies_to_others_do_not_prolong_a_call():
    with (
        Chatterbox(wrong=-1) as endpoint,
        CircusClient(endpoint=endpoint, timeout=SOON) as client,
        pytest.raises(CallError, match="Timed out"),
    ):
        client.send_message("list")


def test_a_bad_endpoint_is_told():
    with pytest.raises(CallError, match="cannot connect to 'nonsense'"):
        CircusClient(endpoint="nonsense")


def test_what_has_no_json_form_is_told():
    with CircusClient() as client, pytest.raises(CallError, match="no JSON form"):
        client.send_message("list", name=object())


def test_a_text_is_no_request():
    with CircusClient() as client, pytest.raises(DeprecationWarning):
        client.call("list")


async def test_the_asyncio_client_asks_and_is_answered():
    async with served([FakeWatcher("web")]) as daemon:
        client = AsyncCircusClient(endpoint=daemon.endpoint)
        assert (await client.send_message("status", name="web"))["status"] == "active"
        assert (await client.send_message("list"))["watchers"] == ["web"]
        client.stop()


async def test_asyncio_calls_may_overlap():
    async with served([FakeWatcher("web")]) as daemon:
        web = daemon.arbiter.watchers["web"]
        web.hold = asyncio.get_running_loop().create_future()
        client = AsyncCircusClient(endpoint=daemon.endpoint)
        slow = asyncio.create_task(client.send_message("incr", name="web", waiting=True))
        await until(lambda: web.done)
        replies = await asyncio.gather(*(client.send_message("list") for _ in range(20)))
        assert all(reply["watchers"] == ["web"] for reply in replies)
        web.hold.set_result(None)
        assert (await slow)["numprocesses"] == 2
        client.stop()


async def test_an_asyncio_call_ends_within_its_time():
    async with served([FakeWatcher("web")]) as daemon:
        daemon.arbiter.watchers["web"].hold = asyncio.get_running_loop().create_future()
        client = AsyncCircusClient(endpoint=daemon.endpoint, timeout=SOON)
        with pytest.raises(CallError, match=r"^Timed out\.$"):
            await client.send_message("incr", name="web", waiting=True)
        assert (await client.send_message("list"))["status"] == "ok"
        client.stop()


async def test_replies_to_others_do_not_prolong_an_asyncio_call():
    with Chatterbox(wrong=-1) as endpoint:
        client = AsyncCircusClient(endpoint=endpoint, timeout=SOON)
        with pytest.raises(CallError, match="Timed out"):
            await client.send_message("list")
        client.stop()


async def test_a_stopped_asyncio_client_leaves_nobody_waiting():
    with short_directory() as directory:
        client = AsyncCircusClient(endpoint=f"ipc://{directory}/nobody", timeout=60)
        call = asyncio.create_task(client.send_message("list"))
        await asyncio.sleep(0.01)
        client.stop()
        with pytest.raises(CallError):
            await call


async def test_a_client_finds_a_daemon_that_came_back():
    with short_directory() as directory:
        endpoint = f"ipc://{directory}/control"
        with CircusClient(endpoint=endpoint) as client:
            for _ in range(2):
                async with served([FakeWatcher("web")], endpoint):
                    assert (await asyncio.to_thread(client.send_message, "list"))["status"] == "ok"


def instances(directory, *names):
    listeners = []
    for name in names:
        private_directory(f"{directory}/circus/{name}")
        listeners.append(listen(f"ipc://{directory}/circus/{name}/control.sock"))
    return listeners


def test_the_only_daemon_is_found():
    with short_directory() as directory:
        (listener,) = instances(directory, "web-1")
        environ = {"CIRCUS_RUNTIME_DIR": str(directory)}
        assert running_daemons(environ) == [listener.endpoint]
        assert find_endpoint(environ) == listener.endpoint
        listener.close()
        assert find_endpoint(environ) == "tcp://127.0.0.1:5555"


def test_a_dead_daemon_is_not_counted():
    with short_directory() as directory:
        dead, alive = instances(directory, "dead-1", "alive-1")
        dead._sock.close()  # as kill -9 leaves it: the path is still there
        assert running_daemons({"CIRCUS_RUNTIME_DIR": str(directory)}) == [alive.endpoint]
        for listener in (dead, alive):
            listener.close()


def test_one_of_several_is_not_guessed():
    with short_directory() as directory:
        listeners = instances(directory, "a-1", "b-1")
        assert find_endpoint({"CIRCUS_RUNTIME_DIR": str(directory)}) == "tcp://127.0.0.1:5555"
        for listener in listeners:
            listener.close()


def test_a_named_endpoint_is_not_looked_for():
    assert find_endpoint({"CIRCUSCTL_ENDPOINT": "ipc:///x", "CIRCUS_RUNTIME_DIR": "/nowhere"}) == "ipc:///x"
