"""An idle daemon with 1,000 processes and nobody listening."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.benchmarks.daemons import PROCESSES, sleepers, usage
from tests.benchmarks.report import Row

SECONDS = 30.0
CHECK_DELAY = 5.0


def run() -> Iterator[Row]:
    with sleepers() as made:
        time.sleep(3.0)  # what follows the start: a last answer, a last timer
        before, began = usage(made.pid), time.monotonic()
        time.sleep(SECONDS)
        used, seconds = usage(made.pid) - before, time.monotonic() - began
        yield Row(
            what=f"idle CPU with {PROCESSES} processes",
            measured=used.cpu_seconds / seconds * 100,
            unit="% of a core",
            target=0.05,
            note=f"{used.cpu_seconds * 1e3:.1f} ms in {seconds:.0f} s",
        )
        yield Row(
            what="wake-ups of all threads",
            measured=used.wake_ups / seconds,
            unit="a second",
            note=f"the safety sweep alone is one in {CHECK_DELAY:.0f} s",
        )
