"""How soon commands are answered with 1,000 processes alive."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from tests.benchmarks.daemons import PROCESSES, sleepers
from tests.benchmarks.report import Row, median, percentile
from tests.helpers.daemon import Daemon


def round_trips(made: Daemon, command: str, count: int, pause: float = 0.0, **properties: str) -> list[float]:
    """Milliseconds from so many requests to their replies, one at a time; what the client does with them is not in it."""
    request = json.dumps({"id": "bench", "command": command, "properties": properties}).encode()
    taken = []
    with made.caller() as caller:
        for _ in range(count):
            time.sleep(pause)
            began = time.perf_counter()
            caller.send_raw(request)
            reply = caller.receive_raw(60.0)
            taken.append((time.perf_counter() - began) * 1e3)
            assert reply is not None
            assert json.loads(reply)["status"] != "error"
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
