"""Opens files until it has so many descriptors, and keeps them: `open_fds.py NUMBER`."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    wanted = int(sys.argv[1])
    while os.open(os.devnull, os.O_RDONLY) < wanted - 1:
        pass
    print("ready", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
