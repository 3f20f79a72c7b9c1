"""zmq sockets in the loop: they never spin, never sleep through input, never block."""

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys

import pytest
import zmq

from circus.runtime.subscriptions import Subscriptions
from circus.runtime.zmq_socket import LoopSocket, PublishingSocket, answering_socket, publishing_socket
from tests.helpers.control import short_directory, until
from tests.helpers.waiting import DEADLINE


class Counted(LoopSocket):
    reads = 0

    def _read(self):
        self.reads += 1
        super()._read()


@pytest.fixture
def place():
    with short_directory() as directory:
        context = zmq.Context()
        yield context, f"ipc://{directory}/s"
        context.destroy(linger=0)


def connected(context, endpoint, kind=zmq.DEALER):
    client = context.socket(kind)
    client.setsockopt(zmq.LINGER, 0)
    client.connect(endpoint)
    return client


def readable(fd):
    return bool(select.select([fd], [], [], 0)[0])


async def test_a_bound_socket_without_traffic_is_not_read_again_and_again(place):
    context, endpoint = place
    socket = answering_socket(context)
    socket.bind(endpoint)
    assert readable(socket.FD), "libzmq has something to say after a bind; without that nothing is tested here"
    with contextlib.closing(Counted(socket, lambda _: None, loop=asyncio.get_running_loop())) as served:
        client = connected(context, endpoint)
        for _ in range(200):  # a spinning reader is called in every turn
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        assert served.reads < 20
        client.close()


async def test_input_is_read_although_a_send_took_the_news_of_it_away(place):
    context, endpoint = place
    socket = answering_socket(context)
    socket.bind(endpoint)
    got = []
    with contextlib.closing(LoopSocket(socket, got.append, loop=asyncio.get_running_loop())) as served:
        client, other = connected(context, endpoint), connected(context, endpoint)
        client.send(b"first")
        other.send(b"second")
        await until(lambda: len(got) == 2)
        # From here on the loop does not run until the send is done.
        other.send(b"third")
        assert select.select([socket.FD], [], [], DEADLINE)[0], "the third message never arrived"
        while readable(socket.FD):
            served.send([got[0][0], b"answer"])
        assert not readable(socket.FD), "the send left the descriptor readable: nothing is tested here"
        await until(lambda: len(got) == 3)
        assert got[2][-1].bytes == b"third"


async def test_sending_while_handling_loses_nothing(place):
    context, endpoint = place
    socket = answering_socket(context)
    socket.bind(endpoint)
    box = []

    def echo(frames):
        box[0].send([frames[0], frames[-1]])

    with contextlib.closing(LoopSocket(socket, echo, loop=asyncio.get_running_loop())) as served:
        box.append(served)
        client = connected(context, endpoint)
        for number in range(500):
            client.send(b"%d" % number)
        answers = []

        def all_back():
            with contextlib.suppress(zmq.Again):
                while True:
                    answers.append(client.recv(zmq.DONTWAIT))
            return len(answers) == 500

        await until(all_back)
        assert answers == [b"%d" % number for number in range(500)]


async def test_a_flood_leaves_turns_to_others(place):
    context, endpoint = place
    socket = answering_socket(context)
    socket.bind(endpoint)
    loop = asyncio.get_running_loop()
    order = []
    client = connected(context, endpoint)
    for _ in range(300):
        client.send(b"x")
    assert select.select([socket.FD], [], [], DEADLINE)[0]

    def tick():
        order.append("tick")
        if order.count("message") < 300:
            loop.call_soon(tick)

    with contextlib.closing(LoopSocket(socket, lambda _: order.append("message"), loop=loop, budget=10)):
        loop.call_soon(tick)
        await until(lambda: order.count("message") == 300)
    runs = "".join("m" if each == "message" else " " for each in order).split()
    assert max(map(len, runs)) <= 20


async def test_an_exception_of_the_handler_does_not_end_the_reading(place):
    context, endpoint = place
    socket = answering_socket(context)
    socket.bind(endpoint)
    loop = asyncio.get_running_loop()
    got, told = [], []
    loop.set_exception_handler(lambda _, story: told.append(story))

    def handle(frames):
        got.append(frames[-1].bytes)
        if got[-1] == b"bad":
            raise RuntimeError("as planned")

    with contextlib.closing(LoopSocket(socket, handle, loop=loop)):
        client = connected(context, endpoint)
        for body in (b"bad", b"good"):
            client.send(body)
        await until(lambda: len(got) == 2)
    assert "as planned" in str(told[0]["exception"])


async def test_what_nobody_takes_is_counted_and_does_not_wait(place):
    context, _ = place
    served = LoopSocket(context.socket(zmq.PUSH), None, loop=asyncio.get_running_loop())
    assert not served.send([b"nobody is there"])
    assert served.drops == 1
    served.close()
    assert not served.send([b"closed"])
    assert served.drops == 2


async def test_an_answer_to_somebody_who_left_is_counted(place):
    context, endpoint = place
    socket = answering_socket(context)
    socket.bind(endpoint)
    with contextlib.closing(LoopSocket(socket, None, loop=asyncio.get_running_loop())) as served:
        assert not served.send([b"never seen", b"hello"])
        assert served.drops == 1


async def test_closing_twice_is_harmless(place):
    context, _ = place
    served = LoopSocket(context.socket(zmq.DEALER), None, loop=asyncio.get_running_loop())
    served.close()
    served.close()
    assert served.closed


async def test_the_peer_on_a_unix_socket_is_known(place):
    context, endpoint = place
    socket = answering_socket(context)
    socket.bind(endpoint)
    got = []
    with contextlib.closing(LoopSocket(socket, got.append, loop=asyncio.get_running_loop())):
        client = connected(context, endpoint)
        client.send(b"hello")
        await until(lambda: got)
        client.close()
        assert got[0][-1].get("Peer-Address") == f"localhost:{os.getuid()}:{os.getgid()}:{os.getpid()}"


async def test_subscribers_are_counted_as_they_come_and_leave(place):
    context, endpoint = place
    socket = publishing_socket(context)
    socket.bind(endpoint)
    subscriptions = Subscriptions()
    with contextlib.closing(LoopSocket(socket, subscriptions, loop=asyncio.get_running_loop())):
        first, second = (connected(context, endpoint, zmq.SUB) for _ in range(2))
        for client in (first, second):
            client.subscribe(b"stat.")
        await until(lambda: subscriptions.counts() == {"stat.": 2})
        first.unsubscribe(b"stat.")
        await until(lambda: subscriptions.counts() == {"stat.": 1})
        second.close()
        await until(lambda: not subscriptions)


async def test_a_subscriber_that_is_killed_is_counted_out(place):
    context, endpoint = place
    socket = publishing_socket(context)
    socket.bind(endpoint)
    subscriptions = Subscriptions()
    program = "import sys, zmq; s = zmq.Context().socket(zmq.SUB); s.subscribe(b''); s.connect(sys.argv[1]); s.recv()"
    with contextlib.closing(LoopSocket(socket, subscriptions, loop=asyncio.get_running_loop())):
        subscriber = subprocess.Popen([sys.executable, "-c", program, endpoint])  # noqa: ASYNC220 - it is only started
        try:
            await until(lambda: subscriptions.wants(b"anything"))
        finally:
            subscriber.send_signal(signal.SIGKILL)
            subscriber.wait()
        await until(lambda: not subscriptions)


async def test_a_slow_subscriber_costs_messages_is_noticed_and_takes_nothing_from_others(place, caplog):
    context, endpoint = place
    socket = publishing_socket(context, queue=10)
    socket.bind(endpoint)
    subscriptions = Subscriptions()
    loop = asyncio.get_running_loop()
    with contextlib.closing(PublishingSocket(socket, subscriptions, loop=loop, channel="events")) as served:
        slow = connected(context, endpoint, zmq.SUB)
        slow.setsockopt(zmq.RCVHWM, 10)
        slow.subscribe(b"")
        fast = connected(context, endpoint, zmq.SUB)
        fast.setsockopt(zmq.RCVHWM, 0)
        fast.subscribe(b"to")
        await until(lambda: len(subscriptions) == 2)
        # More than the kernel takes for the slow one.
        for number in range(2000):
            body = b"%d %s" % (number, b"x" * 1000)
            served.send([b"topic", body])
            await until(lambda: fast.poll(0))
            assert fast.recv_multipart() == [b"topic", body]
    assert 1 <= served.drops < 2000
    assert caplog.text.count("a subscriber of the events channel reads too slowly and misses messages") == 1
