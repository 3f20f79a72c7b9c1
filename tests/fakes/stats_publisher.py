"""The channels of a daemon as circus-top sees them: a real XPUB that publishes what it is told to, a real ROUTER that
answers `telemetry` and `globaloptions`.

It runs in a thread of its own, so that it can stand before a real circus-top. By hand it is a fleet to look at:
`python -m tests.fakes.stats_publisher DIRECTORY --watchers 20 --processes 50`.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Self

import msgspec
import zmq

from circus.wire import samples, topics
from circus.wire.samples import DaemonSample, ProcessSample, Totals, WatcherSample
from circus.wire.snapshot import Telemetry
from tests.fakes import fleet
from tests.helpers.waiting import wait_until

Message = tuple[bytes, bytes]
MEMORY = 16 * 2**30


class StatsPublisher:
    """Publishes what `messages` returns, every `interval` seconds while somebody listens, and answers commands.

    `telemetry` is what it answers to the command of that name; None: it answers nothing at all.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        messages: Callable[[], Iterable[Message]],
        telemetry: Callable[[], Telemetry] | None = None,
        interval: float = 0.05,
    ) -> None:
        self.endpoint = f"ipc://{directory}/control.sock"
        self.stats_endpoint = f"ipc://{directory}/stats.sock"
        self.subscriptions: set[bytes] = set()
        self.asked: list[dict[str, Any]] = []
        self.telemetry = telemetry
        self._messages = messages
        self._interval = interval
        self._end = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stats-publisher", daemon=True)

    def __enter__(self) -> Self:
        self._end.clear()
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(10)

    def wait_for_subscription(self, prefix: bytes) -> None:
        wait_until(lambda: prefix in self.subscriptions, what=lambda: self.subscriptions)

    def _run(self) -> None:
        with zmq.Context() as context, context.socket(zmq.XPUB) as stats, context.socket(zmq.ROUTER) as control:
            for socket, endpoint in ((stats, self.stats_endpoint), (control, self.endpoint)):
                socket.setsockopt(zmq.LINGER, 0)
                socket.bind(endpoint)
            self._ready.set()
            due = time.monotonic()
            while not self._end.is_set():
                wait = max(0.0, min(due - time.monotonic(), 0.02))
                for socket, _ in zmq_poll((stats, control), wait):
                    if socket is stats:
                        told = stats.recv()
                        (self.subscriptions.add if told[0] else self.subscriptions.discard)(told[1:])
                        due = time.monotonic() if told[0] else due
                    else:
                        self._answer(control)
                if time.monotonic() >= due:
                    due = time.monotonic() + self._interval
                    if self.subscriptions:
                        for topic, body in self._messages():
                            stats.send_multipart([topic, body])

    def _answer(self, control: zmq.Socket[bytes]) -> None:
        peer, body = control.recv_multipart()
        request = json.loads(body)
        self.asked.append(request)
        if self.telemetry is None:
            return
        if request["command"] == "telemetry":
            reply = msgspec.to_builtins(self.telemetry())
        else:
            reply = {"status": "ok", "options": {"stats_endpoint": self.stats_endpoint}}
        control.send_multipart([peer, msgspec.json.encode({**reply, "id": request["id"]})])


def zmq_poll(sockets: Iterable[zmq.Socket[bytes]], seconds: float) -> list[tuple[Any, int]]:
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    return poller.poll(int(seconds * 1000))


def message(sample: WatcherSample | DaemonSample) -> Message:
    name = sample.watcher if isinstance(sample, WatcherSample) else None
    return topics.sample_topic(name), samples.encode(sample)


class Fleet:
    """Watchers whose processes use CPU and memory at random, sampled once a call."""

    def __init__(self, endpoint: str, watchers: int = 3, processes: int = 4, interval: float = 1.0) -> None:
        self.watchers, self.processes, self.interval = watchers, processes, interval
        self.endpoint = endpoint
        self.seq = 0
        self.began = time.time()
        self._random = random.Random(7)
        self._cpu = [[self._random.random() * 100 for _ in range(processes)] for _ in range(watchers)]

    def messages(self) -> list[Message]:
        self.seq += 1
        now = time.time()
        found = [message(self._sample(index, now)) for index in range(self.watchers)]
        own = fleet.daemon_sample(
            self.seq, self.watchers * self.processes, time=now, started=self.began - 3600, endpoint=self.endpoint,
            interval_seconds=self.interval, machine_memory_bytes=MEMORY, cpu_user_seconds=self.seq * 0.01,
        )  # fmt: skip
        return [*found, message(own)]

    def _sample(self, index: int, now: float) -> WatcherSample:
        found: list[ProcessSample] = []
        for wid in range(1, self.processes + 1):
            self._cpu[index][wid - 1] += self._random.random() * self.interval
            found.append(
                fleet.process(
                    wid,
                    self.pid(index, wid),
                    started=self.began - 60 * wid,
                    cpu_user_seconds=self._cpu[index][wid - 1],
                    cpu_system_seconds=0.0,
                    resident_bytes=self._random.randrange(10**7, 10**8),
                )
            )
        totals = Totals(
            len(found), sum(one.cpu_user_seconds or 0.0 for one in found), 0.0,
            sum(one.resident_bytes or 0 for one in found),
        )  # fmt: skip
        return fleet.sample(f"watcher-{index:02}", seq=self.seq, time=now, interval_seconds=self.interval,
                            processes=found, totals=totals)  # fmt: skip

    def pid(self, index: int, wid: int) -> int:
        return 10_000 + index * self.processes + wid

    def telemetry(self) -> Telemetry:
        return fleet.telemetry(
            *(
                fleet.watcher(
                    f"watcher-{index:02}",
                    self.processes,
                    slots=fleet.slots(self.processes, self.pid(index, 0)),
                    last_exit=fleet.last_exit(time=self.began),
                )
                for index in range(self.watchers)
            ),
            time=time.time(),
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--watchers", type=int, default=20)
    parser.add_argument("--processes", type=int, default=10)
    options = parser.parse_args()
    made = Fleet(f"ipc://{options.directory}/control.sock", options.watchers, options.processes)
    with StatsPublisher(options.directory, made.messages, made.telemetry, interval=1.0) as publisher:
        print(publisher.stats_endpoint, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
