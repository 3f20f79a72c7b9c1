"""Burns CPU in bursts: a fifth of a second of work in every half, so that whoever looks sees some of it."""

from __future__ import annotations

import time

while True:
    rounds = 0
    for _ in range(20):
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            sum(range(10_000))
            rounds += 1
        time.sleep(0.3)
    print(f"{rounds} rounds", flush=True)
