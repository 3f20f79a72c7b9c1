"""Somebody who reads the numbers of every process: listener.py ENDPOINT PREFIX

Says a line once something has come. From the first line on its standard input it notes when the numbers of each process
come, and at the end of its input it tells as JSON of how many processes, and the 99th percentile of how old they were
when the next ones came, in seconds.
"""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Iterator

import zmq


def pids_in(topic: bytes, body: bytes) -> Iterator[int]:
    """The processes whose numbers are in a message, those of the daemon and of its sockets left out."""
    if topic.startswith(b"sample."):
        if topic != b"sample.-":
            yield from (process["pid"] for process in json.loads(body)["processes"])
    elif topic.count(b".") == 2 and not topic.startswith((b"stat.circus.", b"stat.sockets.")):
        pid = topic.rpartition(b".")[2]
        if pid.isdigit():
            yield int(pid)


def main() -> None:
    endpoint, prefix = sys.argv[1:]
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    source = context.socket(zmq.SUB)
    source.setsockopt(zmq.RCVHWM, 0)
    source.setsockopt(zmq.SUBSCRIBE, prefix.encode())
    source.connect(endpoint)
    source.recv_multipart()
    print("heard", flush=True)
    poller = zmq.Poller()
    poller.register(source, zmq.POLLIN)
    poller.register(sys.stdin.fileno(), select.POLLIN)
    last: dict[int, float] = {}
    ages: list[float] = []
    counting = False
    while True:
        ready = dict(poller.poll())
        if sys.stdin.fileno() in ready:
            if not sys.stdin.readline():
                break
            counting = True
            last.clear()
        if source not in ready:
            continue
        for _ in range(1000):
            try:
                topic, body = source.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            now = time.monotonic()
            if not counting:
                continue
            for pid in pids_in(topic, body):
                if pid in last:
                    ages.append(now - last[pid])
                last[pid] = now
    # A process of which nothing came again is as old as the end.
    ended = time.monotonic()
    ages += [ended - at for at in last.values() if ended - at > 1.0]
    ages.sort()
    p99 = ages[min(len(ages) - 1, int(0.99 * len(ages)))] if ages else float("inf")
    print(json.dumps({"processes": len(last), "p99": p99}), flush=True)


if __name__ == "__main__":
    main()
