"""What a pass over 1,000 processes costs the daemon, publishing included, and how soon `stats` has its answer.

The sampler and its channel run in a loop of this process, on processes that it started, with a subscriber in a process
of its own. Intervals are shortened together, so that a pass has its share of the slow tier.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import zmq

from circus.runtime.clock import SystemClock
from circus.runtime.listener import listen
from circus.stats.channel import StatsChannel
from circus.stats.procfs import Procfs
from circus.stats.sampler import Sampler
from tests.benchmarks.report import Row, median, percentile

PROCESSES = 1_000
WATCHERS = 4
INTERVAL = 0.2
SLOW_INTERVAL = 15 * INTERVAL
PASSES = 30
TICK = 0.001

SUBSCRIBER = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.setsockopt(zmq.SUBSCRIBE, sys.argv[2].encode())
socket.connect(sys.argv[1])
while True:
    socket.recv_multipart()
"""


@contextlib.contextmanager
def sleepers() -> Iterator[list[int]]:
    """The pids of so many sleeping children."""
    children = [
        subprocess.Popen(["/bin/sleep", "100000"], stdin=subprocess.DEVNULL, close_fds=False) for _ in range(PROCESSES)
    ]
    try:
        yield [child.pid for child in children]
    finally:
        for child in children:
            child.kill()
        for child in children:
            child.wait()


@contextlib.contextmanager
def subscriber(endpoint: str, prefix: str) -> Iterator[None]:
    """Somebody who reads everything below a prefix."""
    child = subprocess.Popen([sys.executable, "-c", SUBSCRIBER, endpoint, prefix])
    try:
        yield
    finally:
        child.kill()
        child.wait()


@contextlib.asynccontextmanager
async def channel(pids: list[int], directory: str) -> AsyncIterator[StatsChannel]:
    """The daemon's part: everything registered, nobody listening yet."""
    clock = SystemClock()
    sampler = Sampler(clock, slow_interval=SLOW_INTERVAL, ended_cpu=lambda _: (0.0, 0.0))
    for number, pid in enumerate(pids):
        sampler.add(f"sleeper{number % WATCHERS}", number // WATCHERS + 1, pid, number, clock.time())
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    listener = listen(f"ipc://{directory}/stats.sock")
    made = StatsChannel(
        listener, context, loop=asyncio.get_running_loop(), clock=clock, sampler=sampler, boot="bench", version="0",
        started=clock.time(), endpoint="", pubsub_endpoint="", interval=INTERVAL,
    )  # fmt: skip
    gc.collect()
    gc.freeze()
    try:
        yield made
    finally:
        gc.unfreeze()
        made.close()
        listener.close()
        context.term()


def bare(pids: list[int]) -> float:
    """Microseconds of the two reads that nothing can avoid, on kept descriptors and without looking at them."""
    fds = [(os.open(f"/proc/{pid}/stat", os.O_RDONLY), os.open(f"/proc/{pid}/statm", os.O_RDONLY)) for pid in pids]

    def reads() -> None:
        for stat, statm in fds:
            os.pread(stat, 1024, 0)
            os.pread(statm, 128, 0)

    try:
        return microseconds(reads, len(pids))
    finally:
        for pair in fds:
            for fd in pair:
                os.close(fd)


def parsed(pids: list[int]) -> float:
    """Microseconds of our reader on kept descriptors."""
    procfs = Procfs()
    readers = [procfs(pid) for pid in pids]

    def reads() -> None:
        for reader in readers:
            reader.read()

    try:
        reads()
        return microseconds(reads, len(pids))
    finally:
        for reader in readers:
            reader.close()


def microseconds(work: Callable[[], None], count: int) -> float:
    taken = []
    for _ in range(9):
        began = time.process_time()
        work()
        taken.append((time.process_time() - began) / count * 1e6)
    return median(taken)


async def passes(pids: list[int], prefix: str, directory: str) -> tuple[float, float, list[float]]:
    """(microseconds of CPU a process and pass, milliseconds a pass takes, lags of a ticker in milliseconds)."""
    lags: list[float] = []
    async with channel(pids, directory) as made:
        with subscriber(f"ipc://{directory}/stats.sock", prefix):
            # The first pass opens descriptors and reads the slow tier of all; it takes some until that has spread.
            await asyncio.sleep((PASSES + 3) * INTERVAL)
            before, began = made.passes, time.process_time()
            await asyncio.sleep(PASSES * INTERVAL)
            used, counted = time.process_time() - began, made.passes - before
            # The ticker costs more than the pass, so it runs in passes that are not measured.
            until = made.passes + PASSES // 2
            while made.passes < until:
                due = time.perf_counter() + TICK
                await asyncio.sleep(TICK)
                lags.append((time.perf_counter() - due) * 1e3)
            took = made.pass_duration.sum / made.passes * 1e3
        return used / counted / len(pids) * 1e6, took, lags


async def answers(pids: list[int], directory: str) -> dict[str, tuple[float, float]]:
    """Milliseconds of CPU and of waiting for `all_infos`, by what was known before."""
    found = {}
    async with channel(pids, directory) as made:

        async def ask() -> tuple[float, float]:
            cpu, wall = time.process_time(), time.perf_counter()
            await made.all_infos()
            return (time.process_time() - cpu) * 1e3, (time.perf_counter() - wall) * 1e3

        found["nothing known"] = await ask()
        for known, pause in (("old samples", INTERVAL * 1.1), ("fresh samples", 0.0)):
            taken = []
            for _ in range(7):
                await asyncio.sleep(pause)
                taken.append(await ask())
            found[known] = (median([cpu for cpu, _ in taken]), median([wall for _, wall in taken]))
    return found


def run() -> Iterator[Row]:
    with sleepers() as pids, tempfile.TemporaryDirectory(prefix="circus-bench-") as directory:

        def measure(work: Coroutine[Any, Any, Any]) -> Any:
            return asyncio.run(work)

        floor = bare(pids)
        yield Row(what="pread of stat and statm, nothing else", measured=floor, unit="us a process")
        reader = parsed(pids)
        yield Row(
            what="reader", measured=reader, unit="us a process", note=f"{reader / floor:.2f} times the bare reads"
        )
        for prefix, target in (("sample.", 15.0), ("stat.", None), ("", None)):
            used, took, lags = measure(passes(pids, prefix, directory))
            whom = f"subscriber of '{prefix}'"
            yield Row(
                what=f"pass, {whom}",
                measured=used,
                unit="us a process",
                target=target,
                note=f"{used / floor:.2f} times the bare reads; {took:.0f} ms a pass",
            )
            yield Row(
                what=f"loop lag, {whom}",
                measured=percentile(lags, 0.99),
                unit="ms (p99)",
                target=5.0,
                note=f"p50 {median(lags):.2f}, worst {max(lags):.1f}; the ticker alone has about 0.1",
            )
        for known, (cpu, wall) in measure(answers(pids, directory)).items():
            yield Row(
                what=f"infos of all, {known}",
                measured=cpu,
                unit="ms of CPU",
                target=20.0,
                note=f"{cpu / PROCESSES * 1e3 / floor:.2f} times the bare reads; answered after {wall:.0f} ms",
            )


if __name__ == "__main__":
    from tests.benchmarks.report import table

    print(pathlib.Path(__file__).name)
    print(table(run()))
