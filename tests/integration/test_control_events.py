"""The events channel: what is published reaches who asked for it, and costs nothing when nobody did."""

import asyncio
import contextlib
import threading

import pytest
import zmq

from circus.consumer import CircusConsumer
from circus.ports import Sink
from circus.publisher import EventPublisher
from circus.runtime.listener import listen
from tests.helpers.control import short_directory, until
from tests.helpers.waiting import DEADLINE


@pytest.fixture
async def channel():
    with short_directory() as directory:
        listener, context = listen(f"ipc://{directory}/events"), zmq.Context()
        publisher = EventPublisher(listener, context, loop=asyncio.get_running_loop())
        yield publisher, listener.endpoint
        publisher.close()
        await asyncio.to_thread(context.destroy, 0)
        listener.close()


def received(consumer):
    found = consumer.receive(DEADLINE)
    assert found is not None, "nothing came"
    return found


def as_sink(publisher: Sink) -> Sink:
    return publisher


async def test_a_subscriber_gets_its_topics_and_no_others(channel):
    publisher, endpoint = channel
    sink = as_sink(publisher)
    with CircusConsumer(["watcher.web."], endpoint=endpoint) as consumer:
        await until(lambda: sink.wants(b"watcher.web.spawn"))
        assert not sink.wants(b"watcher.api.spawn")
        for topic in (b"watcher.api.spawn", b"watcher.web.spawn"):
            sink.send(topic, b"{}")
        assert await asyncio.to_thread(received, consumer) == (b"watcher.web.spawn", b"{}")
    assert publisher.published == {"watcher": 1, "lifecycle": 0, "log": 0}
    assert publisher.dropped == {"watcher": 0, "lifecycle": 0, "log": 0, "log:limit": 0}


async def test_nothing_is_sent_when_nobody_listens(channel):
    publisher, _ = channel
    publisher.send(b"watcher.web.spawn", b"{}")
    assert publisher.published["watcher"] == 0


@pytest.mark.parametrize(("prefix", "switched_on"), [(b"", False), (b"lo", False), (b"log", True), (b"log.web.", True)])
async def test_only_a_subscription_that_names_them_switches_lines_of_output_on(channel, prefix, switched_on):
    publisher, endpoint = channel
    with CircusConsumer([prefix], endpoint=endpoint):
        await until(lambda: publisher.wants(b"log.web.1.stdout"))
        assert publisher.log_prefixes == ((prefix,) if switched_on else ())
    await until(lambda: not publisher.wants(b"log.web.1.stdout"))
    assert publisher.log_prefixes == ()


async def test_lines_of_output_beyond_the_limit_are_counted_and_hold_up_nothing_else(channel):
    publisher, endpoint = channel
    with CircusConsumer([b"log.", b"watcher."], endpoint=endpoint) as consumer:
        await until(lambda: publisher.wants(b"log.web.1.stdout") and publisher.wants(b"watcher."))
        for _ in range(100):
            publisher.send(b"log.web.1.stdout", b"x" * 100_000)
        publisher.send(b"watcher.web.spawn", b"{}")
        publisher.skip(b"log.web.1.stdout")
        sent, dropped = publisher.published["log"], publisher.dropped["log:limit"]
        assert 40 <= sent < 100
        assert sent + dropped == 101
        assert publisher.drops == 0
        topics = [(await asyncio.to_thread(received, consumer))[0] for _ in range(sent + 1)]
        assert topics == [b"log.web.1.stdout"] * sent + [b"watcher.web.spawn"]


async def test_all_topics_are_wanted_by_who_takes_all(channel):
    publisher, endpoint = channel
    with CircusConsumer([b""], endpoint=endpoint):
        await until(lambda: publisher.wants(b"lifecycle.-.arbiter.started"))


async def test_who_leaves_is_not_published_for(channel):
    publisher, endpoint = channel
    with CircusConsumer(["watcher."], endpoint=endpoint):
        await until(lambda: publisher.wants(b"watcher.web.spawn"))
    await until(lambda: not publisher.wants(b"watcher.web.spawn"))


async def test_the_last_events_leave_before_the_channel_closes(channel):
    publisher, endpoint = channel
    with CircusConsumer(["lifecycle."], endpoint=endpoint) as consumer:
        await until(lambda: publisher.wants(b"lifecycle.x"))
        for number in range(100):
            publisher.send(b"lifecycle.x", b"%d" % number)
        publisher.close()
        bodies = [(await asyncio.to_thread(received, consumer))[1] for _ in range(100)]
    assert bodies == [b"%d" % number for number in range(100)]


async def test_a_consumer_iterates_until_it_is_stopped(channel):
    publisher, endpoint = channel
    consumer = CircusConsumer(["watcher."], endpoint=endpoint, timeout=0.01)
    got, enough = [], threading.Event()

    def consume():
        for message in consumer:
            got.append(message)
            enough.set()
            break
        with contextlib.suppress(StopIteration):
            next(iter(consumer.iter_messages()))

    await until(lambda: publisher.wants(b"watcher.web.spawn"))
    publisher.send(b"watcher.web.spawn", b"{}")
    thread = threading.Thread(target=consume)
    thread.start()
    await until(enough.is_set)
    consumer.stop()
    await asyncio.to_thread(thread.join, DEADLINE)
    assert got == [(b"watcher.web.spawn", b"{}")]
