"""Burns CPU in bursts: `burn.py [CPU_SECONDS] [IDLE_SECONDS]`, busy first. Idle 0 keeps one core busy."""

from __future__ import annotations

import sys
import time


def main() -> None:
    busy = float(sys.argv[1]) if len(sys.argv) > 1 else 0.2
    idle = float(sys.argv[2]) if len(sys.argv) > 2 else 0.3
    while True:
        until = time.process_time() + busy
        while time.process_time() < until:
            sum(range(1000))
        if idle:
            time.sleep(idle)


if __name__ == "__main__":
    main()
