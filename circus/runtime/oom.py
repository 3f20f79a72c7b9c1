"""Whether the kernel killed a process because memory ran out: proof, or silence.

Two witnesses: the line that the kernel logs with the pid of its victim, and the counter of the memory group that this
program and its processes are in. By its status alone such an end cannot be told from `kill -9`. Invariant: an answer
names a fact that can be looked up, and no kill is claimed twice.
"""

from __future__ import annotations

import os
import re
import time
from typing import Final

import msgspec

from circus.runtime.fds import ROOM

_KMSG: Final = "/dev/kmsg"
_LINES: Final = 20_000
"""So many lines of the kernel are read at once at most; a flood must not hold the loop up."""
_LINE: Final = re.compile(rb"oom-kill:.*\bpid=(\d+)\b|Killed process (\d+) ")
_DRIFT_SECONDS: Final = 60.0
"""What the clock of the kernel's log may be behind ours after a long time; a pid is hardly given anew within it."""
_NEAR: Final = 0.9
"""The share of its limit that a group must have reached before its counter is believed."""


def ways() -> frozenset[str]:
    """Which witnesses are asked: `kmsg` and `counter`, or those that CIRCUS_OOM_BY names, as tests do."""
    named = os.environ.get("CIRCUS_OOM_BY")
    return frozenset(("kmsg", "counter") if not named else named.split(","))


class Witness:
    """Asked at the end of a process that SIGKILL ended. Made at the start: what happened before is none of its business."""

    def __init__(self) -> None:
        by = ways()
        self._log = _KernelLog.open() if "kmsg" in by else None
        self._group = _own_group() if "counter" in by else None
        self._counted = self._seen = self._group.kills() if self._group is not None else 0

    def ask(self, pid: int, seconds: float) -> str | None:
        """The proof that a process, which lived for so many seconds, died of an OOM kill; None where there is none."""
        line = self._log.about(pid, seconds) if self._log is not None else None
        if line is not None:
            self._counted += 1
            return line
        if self._group is None:
            return None
        kills = self._group.kills()
        if kills <= self._counted or not self._group.was_full():
            return None
        self._counted += 1
        return self._group.sentence(kills)

    def refresh(self) -> None:
        """Forget kills of others that are older than the last call: a later end is not to be taken for one of them."""
        if self._group is not None:
            self._counted, self._seen = max(self._counted, self._seen), self._group.kills()

    def close(self) -> None:
        """Let go of both."""
        if self._log is not None:
            self._log.close()
        if self._group is not None:
            self._group.close()


class _KernelLog:
    """The kernel's messages from the moment of opening."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._victims: dict[int, tuple[float, str]] = {}

    @classmethod
    def open(cls) -> _KernelLog | None:
        try:
            fd = os.open(_KMSG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            os.lseek(fd, 0, os.SEEK_END)
            os.read(fd, 8192)
        except BlockingIOError:
            pass  # it can be read, and there is nothing new
        except OSError:
            os.close(fd)
            return None
        return cls(fd)

    def about(self, pid: int, seconds: float) -> str | None:
        self._read()
        moment, line = self._victims.pop(pid, (0.0, ""))
        # Older lines are about another process that had the pid before.
        return line if line and moment >= time.monotonic() - seconds - _DRIFT_SECONDS else None

    def _read(self) -> None:
        for _ in range(_LINES):
            try:
                record = os.read(self._fd, 8192)
            except BrokenPipeError:
                continue  # lines were overwritten before we came; the next read goes on after them
            except OSError:
                return
            found = _LINE.search(record)
            if found is not None:
                head, _, text = record.partition(b";")
                moment = int(head.split(b",")[2]) / 1e6
                pid = int(found.group(1) or found.group(2))
                line = text.split(b"\n", 1)[0].decode(errors="replace")
                # The first line about a victim says more than those after it.
                if pid not in self._victims or moment - self._victims[pid][0] > 1.0:
                    self._victims[pid] = (moment, line)

    def close(self) -> None:
        os.close(self._fd)


class _Group(msgspec.Struct, frozen=True):
    """A memory group: its directory and the names of its files, which differ between the versions."""

    path: str
    events: str
    limit: str
    peaks: tuple[str, ...]
    fd: int
    """Of `events`, kept: the counter is asked for at each SIGKILL, before the next process is started."""

    def kills(self) -> int:
        try:
            text = os.pread(self.fd, 4096, 0)
        except OSError:  # the group is gone
            return 0
        _, found, rest = text.partition(b"oom_kill ")
        return int(rest.split(maxsplit=1)[0]) if found else 0

    def close(self) -> None:
        os.close(self.fd)

    def was_full(self) -> bool:
        peak, limit = self._numbers()
        return peak is None or limit is None or peak >= _NEAR * limit

    def sentence(self, kills: int) -> str:
        peak, limit = self._numbers()
        used = f"; {peak} of {limit} bytes were used" if peak is not None and limit is not None else ""
        return f"oom_kill of {self.path} has risen to {kills}{used}"

    def _numbers(self) -> tuple[int | None, int | None]:
        peak = next(
            (int(text) for name in self.peaks if (text := _text(f"{self.path}/{name}").strip()).isdigit()), None
        )
        limit = _text(f"{self.path}/{self.limit}").strip()
        return peak, int(limit) if limit.isdigit() else None


def _own_group() -> _Group | None:
    """The memory group that this program is in; None where no kill in it would be counted."""
    mounts = [line.split(" - ") for line in _text("/proc/self/mountinfo").splitlines()]
    for line in _text("/proc/self/cgroup").splitlines():
        number, names, path = line.split(":", 2)
        if "memory" in names.split(","):
            points = [left.split()[4] for left, right in mounts if right.startswith("cgroup ") and "memory" in right]
            files: tuple[str, str, tuple[str, ...]] = (
                "memory.oom_control",
                "memory.limit_in_bytes",
                ("memory.max_usage_in_bytes",),
            )
        elif number == "0":
            points = [left.split()[4] for left, right in mounts if right.startswith("cgroup2 ")]
            files = ("memory.events", "memory.max", ("memory.peak", "memory.current"))
        else:
            continue
        for point in points:
            directory, (events, limit, peaks) = f"{point}{path}".rstrip("/"), files
            try:
                fd = ROOM.move_up(os.open(f"{directory}/{events}", os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                continue
            if b"oom_kill " in os.pread(fd, 4096, 0):
                return _Group(directory, events, limit, peaks, fd)
            os.close(fd)
    return None


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
