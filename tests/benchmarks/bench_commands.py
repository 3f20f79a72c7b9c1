"""How soon commands are answered with 1,000 processes alive."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.benchmarks.daemons import PROCESSES, sleepers
from tests.benchmarks.report import Row, median, percentile
from tests.helpers.daemon import Daemon


def round_trips(made: Daemon, command: str, count: int, pause: float = 0.0, **properties: str) -> list[float]:
    """Milliseconds of so many requests, one at a time."""
    taken = []
    for _ in range(count):
        time.sleep(pause)
        began = time.perf_counter()
        made.ok(command, timeout=60.0, **properties)
        taken.append((time.perf_counter() - began) * 1e3)
    return taken


def run() -> Iterator[Row]:
    with sleepers() as made:
        round_trips(made, "list", 20)
        asked: tuple[tuple[str, int, float, float | None, dict[str, str]], ...] = (
            ("list", 300, 0.0, 2.0, {}),
            ("list", 300, 0.0, 2.0, {"name": "sleeper0"}),
            ("status", 300, 0.0, None, {}),
            # Apart in time, so that each has to look anew: nobody else asks for samples here.
            ("stats", 15, 1.2, 20.0, {}),
            ("stats", 15, 0.0, 20.0, {}),
            ("stats", 15, 1.2, 20.0, {"name": "sleeper0"}),
            ("telemetry", 50, 0.0, None, {}),
        )
        for command, count, pause, target, properties in asked:
            taken = round_trips(made, command, count, pause, **properties)
            named = " of one watcher" if properties else ""
            how = f", {pause} s apart" if pause else ""
            yield Row(
                what=f"{command}{named} with {PROCESSES} processes{how}",
                measured=median(taken),
                unit="ms",
                target=target,
                note=f"p99 {percentile(taken, 0.99):.1f}, worst {max(taken):.1f}",
            )
