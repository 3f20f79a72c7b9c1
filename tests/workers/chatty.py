"""Writes numbered lines on standard output and standard error: `chatty.py COUNT [PAUSE_SECONDS] [WIDTH]`.

COUNT 0 means for ever. Lines are `out 1`, `err 1`, `out 2` …, filled up with dots to WIDTH. Waits afterwards.
"""

from __future__ import annotations

import itertools
import signal
import sys
import time


def main() -> None:
    count = int(sys.argv[1])
    pause = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    width = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    for number in itertools.count(1) if count == 0 else range(1, count + 1):
        print(f"out {number}".ljust(width, "."), flush=True)
        print(f"err {number}".ljust(width, "."), flush=True, file=sys.stderr)
        if pause:
            time.sleep(pause)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
