"""Burns CPU in bursts: four seconds of work in every ten."""

from __future__ import annotations

import time

while True:
    until = time.monotonic() + 4.0
    rounds = 0
    while time.monotonic() < until:
        sum(range(10_000))
        rounds += 1
    print(f"{rounds} rounds", flush=True)
    time.sleep(6.0)
