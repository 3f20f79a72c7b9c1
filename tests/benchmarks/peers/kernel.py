"""What the kernel says of a supervisor: its CPU and its memory, over all its processes and threads.

The processes of a supervisor are the one that was started and all below it but the children that it was given to
keep, which are told by the program they execute.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import select
import subprocess
import time
from collections.abc import Collection

from tests.helpers import proc

HEADING = re.compile(r"^([0-9a-f]+)-[0-9a-f]+ \S+ ([0-9a-f]+) \S+ (\d+)\s*(.*)$")
# Mapped by all that runs, so a share of them is right whoever else is there.
EVERYBODYS = re.compile(r"/(libc|ld-linux[^/]*|libc-[\d.]+)[.-]")


def program_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def own_processes(pid: int, children: Collection[str]) -> list[int]:
    """The supervisor's pids; `children` are the programs that it keeps alive."""
    return [pid, *(below for below in proc.descendants(pid) if program_of(below) not in children)]


def cpu_seconds(pids: Collection[int]) -> float:
    """CPU of all living threads up to now, in seconds."""
    nanoseconds = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    text = pathlib.Path(f"/proc/{pid}/task/{thread}/schedstat").read_text()
                    nanoseconds += int(text.split()[0])
    return nanoseconds / 1e9


def memory(pids: Collection[int]) -> float:
    """PSS in bytes of these processes together, as if nobody else mapped what they map.

    This benchmark runs on the same interpreter as some of them, and would take on a share of its pages; a supervisor
    alone on its machine carries them whole. What several of them map counts once.
    """
    shared: dict[tuple[str, str], int] = {}
    private = 0
    for pid in pids:
        key = None
        resident = 0
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
                if heading := HEADING.match(line):
                    path = heading[4]
                    key = (path, heading[2]) if path.startswith("/") and not EVERYBODYS.search(path) else None
                    continue
                name, _, value = line.partition(":")
                if name == "Rss":
                    resident = int(value.split()[0]) * 1024
                elif name == "Pss" and key is None:
                    private += int(value.split()[0]) * 1024
                elif name == "Private_Dirty" and key is not None:
                    # Its own copies of pages of a file (written data) are its own; the rest is one for all.
                    own = int(value.split()[0]) * 1024
                    private += own
                    shared[key] = max(shared.get(key, 0), resident - own)
    return private + sum(shared.values())


def wait_end(process: subprocess.Popen[bytes], within: float) -> int:
    """The status of a child as soon as it has ended; raises TimeoutError. (`Popen.wait` with a limit looks ever more
    rarely, up to 50 ms apart.)
    """
    handle = os.pidfd_open(process.pid)
    try:
        if not select.select([handle], [], [], within)[0]:
            raise TimeoutError(f"{process.args} runs on after {within:.0f} s")
    finally:
        os.close(handle)
    return process.wait()


def wait_gone(pids: Collection[int], deadline: float) -> float:
    """The monotonic time at which none of the processes lived any more; raises TimeoutError."""
    left = set(pids)
    while True:
        left = {pid for pid in left if proc.alive(pid)}
        now = time.monotonic()
        if not left:
            return now
        if now > deadline:
            raise TimeoutError(f"{len(left)} processes are still there")
        time.sleep(0.002)
