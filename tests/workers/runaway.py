"""A worker whose descendants run away: `runaway.py FILE`.

Three of them, each of which forks its successor every 300 ms, ends, and leaves the session; all ignore SIGTERM, the
worker does not. The file is there once they run.
"""

from __future__ import annotations

import os
import pathlib
import signal
import sys
import time


def run_away() -> None:
    while True:
        os.setsid()
        time.sleep(0.3)
        if os.fork():
            os._exit(0)


def main() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in range(3):
        if not os.fork():
            run_away()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    pathlib.Path(sys.argv[1]).touch()
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
