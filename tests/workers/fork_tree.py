"""A worker with descendants: `fork_tree.py FILE [--daemon] [--deaf]`.

Two children, the first of which has one child; with `--daemon` also one that forked twice and left for a session of
its own. The file gets one JSON object once all of them live: pids by role. None of them ends by itself; with `--deaf`
all but the worker ignore SIGTERM.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys


def forked(body: object = None) -> int:
    """The pid of a child that runs `body` and then waits for ever."""
    pid = os.fork()
    if pid:
        return pid
    if callable(body):
        body()
    while True:
        signal.pause()


def main() -> None:
    target = pathlib.Path(sys.argv[1])
    if "--deaf" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    read_end, write_end = os.pipe()
    pids = {
        "worker": os.getpid(),
        "child": forked(lambda: os.write(write_end, b"grandchild %d\n" % forked())),
        "sibling": forked(),
    }
    wanted = 1
    if "--daemon" in sys.argv:
        wanted = 2
        first = os.fork()
        if not first:
            os.setsid()
            os.write(write_end, b"daemon %d\n" % forked())
            os._exit(0)
        os.waitpid(first, 0)
    heard = b""
    while heard.count(b"\n") < wanted:
        heard += os.read(read_end, 4096)
    for line in heard.decode().splitlines():
        role, pid = line.split()
        pids[role] = int(pid)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    beside = target.with_suffix(".part")
    beside.write_text(json.dumps(pids))
    beside.rename(target)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
