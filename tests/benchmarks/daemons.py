"""The daemon under measurement, and what the kernel says about it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from tests.helpers.daemon import REPOSITORY, Daemon

PROCESSES = 1_000
SLEEP = "/bin/sleep 100000"


def as_installed() -> dict[str, object]:
    """Keywords for a daemon without the import hooks of an editable installation, which a user's does not carry."""
    path = os.pathsep.join([str(REPOSITORY), sysconfig.get_path("purelib")])
    return {"through": [sys.executable, "-S"], "env": {"PYTHONPATH": path}}


@contextlib.contextmanager
def daemon(ini: str, **keywords: object) -> Iterator[Daemon]:
    """A real circusd on the text, stopped afterwards."""
    with tempfile.TemporaryDirectory(prefix="circus-bench-") as directory:
        made = Daemon(ini, pathlib.Path(directory), **keywords)  # type: ignore[arg-type] # handed through as they are
        try:
            yield made.start(60.0)
        finally:
            forced = made.stop(60.0)
            if forced:
                print(f"   left behind and ended: {len(forced)} ({forced[0]})")


@contextlib.contextmanager
def sleepers(count: int = PROCESSES, *, watchers: int = 1, extra: str = "", **keywords: object) -> Iterator[Daemon]:
    """A daemon with so many sleeping processes, evenly over some watchers, all of them running."""
    ini = "".join(
        f"[watcher:sleeper{number}]\ncmd = {SLEEP}\nnumprocesses = {count // watchers}\n{extra}\n"
        for number in range(watchers)
    )
    with daemon(ini, **keywords) as made:
        for number in range(watchers):
            made.wait_pids(f"sleeper{number}", count // watchers, 60.0)
        yield made


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """CPU of all threads from the scheduler's own nanosecond count, and how often a thread went to sleep."""

    cpu_seconds: float
    wake_ups: int

    def __sub__(self, other: Usage) -> Usage:
        return Usage(cpu_seconds=self.cpu_seconds - other.cpu_seconds, wake_ups=self.wake_ups - other.wake_ups)


def usage(pid: int) -> Usage:
    """What a process has used up to now. Threads that have ended are not in it; the daemon's live as long as it."""
    nanoseconds = wake_ups = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        here = pathlib.Path(f"/proc/{pid}/task/{thread}")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            nanoseconds += int((here / "schedstat").read_text().split()[0])
            for line in (here / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches:"):
                    wake_ups += int(line.split()[1])
    return Usage(cpu_seconds=nanoseconds / 1e9, wake_ups=wake_ups)
