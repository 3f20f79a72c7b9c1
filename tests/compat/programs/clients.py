"""The clients: asking, from threads and from coroutines, and listening to events."""

import asyncio
import json
import sys
import threading

import zmq

from circus.arbiter import Arbiter
from circus.client import AsyncCircusClient, CircusClient, cast_message, make_json, make_message
from circus.consumer import CircusConsumer
from circus.exc import CallError
from circus.watcher import Watcher

place = sys.argv[1]
CONTROL, EVENTS = f"ipc://{place}/c", f"ipc://{place}/p"

print(sorted(make_message("list", name="x").items()), sorted(cast_message("list", name="x").items()))
print(sorted(json.loads(make_json("quit", waiting=True)).items()))


def current_loop():
    try:
        from tornado.ioloop import IOLoop
    except ImportError:
        return None  # ours takes the running one
    return IOLoop.current()


def plain(reply):
    return sorted((key, value) for key, value in reply.items() if key not in ("time", "id", "tb"))


def ask():
    with_context = zmq.Context()
    client = CircusClient(context=with_context, endpoint=CONTROL, timeout=20)
    print(
        plain(client.send_message("numwatchers")),
        plain(client.call({"command": "status", "properties": {"name": "web"}})),
    )
    print(
        plain(client.send_message("nonsense")), plain(client.call(make_message("get", name="web", keys=["priority"])))
    )
    try:
        client.call("quit")
    except DeprecationWarning:
        print("DeprecationWarning")
    client.stop()
    nobody = CircusClient(endpoint=f"ipc://{place}/nobody", timeout=0.2)
    try:
        nobody.send_message("list")
    except CallError as error:
        print("CallError", error)
    nobody.stop()
    with_context.destroy(linger=0)


def listen(subscribed, topics):
    with CircusConsumer(["watcher.web."], endpoint=EVENTS, timeout=0.2) as consumer:
        for topic, message in consumer:
            subscribed.set()
            if topic.endswith(b".ping"):
                continue
            topics.append((topic, sorted(set(json.loads(message)) - {"watcher"})))  # which ours adds
            if topic.endswith(b".stop"):
                break


async def main():
    arbiter = Arbiter(
        [
            Watcher("web", "sleep 1000", graceful_timeout=5, priority=3),
            Watcher("other", "sleep 1000", graceful_timeout=5),
        ],
        CONTROL,
        EVENTS,
        multicast_endpoint="",
        check_delay=-1,
        loop=current_loop(),
    )
    await arbiter.start()
    await asyncio.get_running_loop().run_in_executor(None, ask)

    client = AsyncCircusClient(endpoint=CONTROL, timeout=20)
    print(plain(await client.send_message("list")))
    print(plain(await client.call({"command": "numprocesses", "properties": {}})))
    subscribed, topics = threading.Event(), []
    thread = threading.Thread(target=listen, args=(subscribed, topics))
    thread.start()
    while not subscribed.is_set():
        arbiter.get_watcher("web").notify_event("ping", {})
        await asyncio.sleep(0.05)
    print(plain(await client.send_message("stop", name="other", waiting=True)))
    print(plain(await client.send_message("start", name="other", waiting=True)) != [])
    print(plain(await client.send_message("stop", name="web", waiting=True)))
    await asyncio.get_running_loop().run_in_executor(None, thread.join)
    print(topics)
    client.stop()
    await arbiter.stop()


asyncio.run(main())
