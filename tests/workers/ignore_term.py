"""Ignores SIGTERM (or the signals named on its command line) and lives on, so that only SIGKILL ends it.

Says `ready` on standard output once the signals are ignored, and one line for each signal that came.
"""

from __future__ import annotations

import os
import signal
import sys


def tell(signum: int, _: object) -> None:
    os.write(1, f"{signal.Signals(signum).name}\n".encode())  # print may be at work already


def main() -> None:
    for name in sys.argv[1:] or ["SIGTERM"]:
        signal.signal(signal.Signals[name], tell)
    print("ready", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
