"""Takes its time before it is ready, and when it is stopped: `slow_start.py START_SECONDS [STOP_SECONDS]`.

Prints `starting`, `ready`, `stopping`. A SIGTERM while it starts is answered as quickly as one later.
"""

from __future__ import annotations

import signal
import sys
import time


def main() -> None:
    start = float(sys.argv[1])
    stop = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0

    def on_term(_signum: int, _frame: object) -> None:
        print("stopping", flush=True)
        time.sleep(stop)
        sys.exit(0)

    signal.signal(signal.SIGTERM, on_term)
    print("starting", flush=True)
    time.sleep(start)
    print("ready", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
