"""From the death of one of 1,000 processes to its replacement running, told by the replacement itself."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import signal
import tempfile
import time
from collections.abc import Iterator

from tests.benchmarks.bare import start_bare
from tests.benchmarks.bare_respawn import keep_bare
from tests.benchmarks.beacon import Beacons
from tests.benchmarks.daemons import PROCESSES, daemon
from tests.benchmarks.report import Row, median, percentile

KILLS = 300
TURN = 50
ROUNDS = 3


def replaced(beacons: Beacons, alive: set[int]) -> list[float]:
    """Milliseconds from the death of one to the word of the next, some times in a row."""
    latencies = []
    for _ in range(TURN):
        victim = random.choice(sorted(alive))
        alive.discard(victim)
        killed = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        said = beacons.next(killed + 10.0)
        alive.add(said.pid)
        latencies.append((said.at - killed) * 1e3)
        time.sleep(0.005)  # so that one replacement does not overlap the next death
    return latencies


def run() -> Iterator[Row]:
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="circus-beacon-")))
        beacons = stack.enter_context(Beacons(directory))
        bare = []
        for _ in range(ROUNDS):
            with start_bare(PROCESSES, beacons.command) as seconds:
                bare.append(seconds)
                beacons.gather(PROCESSES, 60.0)
        # No delay between lives: the same slot is killed several times in these few seconds.
        made = stack.enter_context(
            daemon(
                f"[watcher:b]\ncmd = {' '.join(beacons.command)}\nnumprocesses = {PROCESSES}\nbackoff = 0\n"
                "max_retry = -1\n"
            )
        )
        alive = {said.pid for said in beacons.gather(PROCESSES, 60.0)}
        made.wait_status("b", "active", 60.0)
        latencies: list[float] = []
        floor: list[float] = []
        with keep_bare(PROCESSES, beacons.command):
            bare_alive = {said.pid for said in beacons.gather(PROCESSES, 60.0)}
            # In turns, so that whatever else this machine does falls upon both.
            for _ in range(KILLS // TURN):
                latencies += replaced(beacons, alive)
                floor += replaced(beacons, bare_alive)
        spread = ", ".join(f"p{share * 100:.0f} {percentile(latencies, share):.1f}" for share in (0.9, 0.99))
        yield Row(
            what="death to replacement running, p50", measured=median(latencies), unit="ms", target=2.0, note=spread
        )
        yield Row(what=f"the same, worst of {KILLS}", measured=max(latencies), unit="ms", target=15.0)
        yield Row(
            what="the same, p50: ratio to a bare asyncio loop",
            measured=median(latencies) / median(floor),
            unit="times",
            note=f"that one p50 {median(floor):.2f}, p99 {percentile(floor, 0.99):.1f}, worst {max(floor):.1f} ms",
        )

        back = []
        for _ in range(ROUNDS):
            killed = time.monotonic()
            for pid in alive:
                os.kill(pid, signal.SIGKILL)
            signalled = time.monotonic() - killed
            returned = beacons.gather(PROCESSES, 60.0)
            back.append(max(said.at for said in returned) - killed)
            alive = {said.pid for said in returned}
        yield Row(
            what=f"{PROCESSES} killed at once, all back: ratio to the bare loop",
            measured=median(back) / median(bare),
            unit="times",
            target=2.0,
            note=f"{median(back):.2f} s against {median(bare):.2f} s; the kills alone took {signalled:.2f} s",
        )
