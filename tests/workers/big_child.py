"""A small process with two children, a small one and a big one: `big_child.py FILE [BYTES]`. FILE gets their pids as JSON."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys


def forked(size: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    kept = b"\x01" * size
    while kept is not None:
        signal.pause()
    return 0


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children that end leave nothing behind
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 100 << 20
    pids = {"small": forked(0), "big": forked(size)}
    beside = pathlib.Path(sys.argv[1] + ".part")
    beside.write_text(json.dumps(pids))
    beside.rename(sys.argv[1])
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
