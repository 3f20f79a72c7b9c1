"""The floor of a replacement: an asyncio loop that starts the next process when a pidfd tells of an end, and nothing else.

`bare_respawn.py COUNT PROGRAM [WORD...]` keeps so many alive until SIGTERM, then kills them. `keep_bare` is the same
from a benchmark.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence


async def keep(count: int, command: Sequence[str]) -> None:
    loop = asyncio.get_running_loop()
    alive: set[int] = set()
    ending = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    null = os.open("/dev/null", os.O_RDWR)

    def start() -> None:
        child = subprocess.Popen(
            command, stdin=null, stdout=null, stderr=null, close_fds=False, start_new_session=True, env={}
        )
        child.returncode = 0  # the status is taken by wait4 below
        alive.add(child.pid)
        pidfd = os.pidfd_open(child.pid)
        loop.add_reader(pidfd, gone, pidfd, child.pid)

    def gone(pidfd: int, pid: int) -> None:
        os.wait4(pid, os.WNOHANG)
        loop.remove_reader(pidfd)
        os.close(pidfd)
        alive.discard(pid)
        start()

    for _ in range(count):
        start()
    await ending.wait()
    for pid in alive:
        os.kill(pid, signal.SIGKILL)  # reaped by the benchmark, which adopts them


@contextlib.contextmanager
def keep_bare(count: int, command: Sequence[str]) -> Iterator[None]:
    """So many of the command are kept alive until the block ends."""
    with subprocess.Popen([sys.executable, __file__, str(count), *command]) as bare:
        try:
            yield
        finally:
            bare.terminate()


if __name__ == "__main__":
    asyncio.run(keep(int(sys.argv[1]), sys.argv[2:]))
