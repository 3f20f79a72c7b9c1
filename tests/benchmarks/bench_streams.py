"""How fast the output of workers gets into a file, beside what `cat` needs for the same; and whether lines get torn."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from circus.stream import FileStream
from circus.stream.redirector import Redirector
from tests.benchmarks.report import Row

MEGABYTES = 200
ROUNDS = 5
LINE = b"x" * 99 + b"\n"
WRITERS = 50
LINES_PER_WRITER = 20_000

# Writes its lines in pieces of 4,096 bytes, as most programs do: nearly every write ends within a line.
TORN_WRITER = """
import os, sys
mark = sys.argv[1]
block = b"".join(f"{mark} {number:08d} {'=' * (number % 90)} {mark}\\n".encode() for number in range(int(sys.argv[2])))
for start in range(0, len(block), 4096):
    os.write(1, block[start:start + 4096])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What a redirector needs to know of a process."""

    pid: int
    wid: int
    stdout: object
    stderr: None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    wall: float
    cpu: float


def through_cat(source: Path, target: Path) -> Cost:
    """`cat source | cat > target`, and what the second one cost."""
    with target.open("wb") as out:
        started = time.perf_counter()
        first = subprocess.Popen(["cat", str(source)], stdout=subprocess.PIPE)
        second = subprocess.Popen(["cat"], stdin=first.stdout, stdout=out)
        first.stdout.close()
        _pid, _status, usage = os.wait4(second.pid, 0)
        second.returncode = 0
        wall = time.perf_counter() - started
        first.wait()
    return Cost(wall=wall, cpu=usage.ru_utime + usage.ru_stime)


async def through_us(commands: list[list[str]], stream: FileStream) -> Cost:
    """The same through a redirector and a file stream."""
    loop = asyncio.get_running_loop()
    redirector = Redirector(stream, None)
    redirector.report(on_chunk=lambda *_: None)
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    children = [start(command) for command in commands]
    workers = [Worker(pid=child.pid, wid=number, stdout=child.stdout) for number, child in enumerate(children, 1)]
    redirector.start()
    for worker in workers:
        redirector.add_redirections(worker)
    await asyncio.gather(*(ended(loop, child) for child in children))
    for worker in workers:
        redirector.remove_redirections(worker)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    redirector.close()
    stream.close()
    return Cost(wall=wall, cpu=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, close_fds=False)


async def ended(loop: asyncio.AbstractEventLoop, child: subprocess.Popen[bytes]) -> None:
    pidfd = os.pidfd_open(child.pid)
    over = loop.create_future()
    loop.add_reader(pidfd, lambda: over.done() or over.set_result(None))
    await over
    loop.remove_reader(pidfd)
    os.close(pidfd)
    child.wait()


def one_writer(folder: Path) -> Iterator[Row]:
    source = folder / "source"
    source.write_bytes(LINE * (MEGABYTES * 1_000_000 // len(LINE)))
    size = source.stat().st_size
    kinds: dict[str, dict[str, object]] = {
        "FileStream": {},
        "FileStream with time_format": {"time_format": "%H:%M:%S"},
        "FileStream rotated at 50 MB": {"max_bytes": 50_000_000, "backup_count": 3},
    }
    taken: dict[str, list[Cost]] = {"cat": []} | {kind: [] for kind in kinds}
    for _ in range(ROUNDS):
        for name, costs in taken.items():
            target = folder / "target"
            if name == "cat":
                costs.append(through_cat(source, target))
            else:
                stream = FileStream(str(target), **kinds[name])
                costs.append(asyncio.run(through_us([["cat", str(source)]], stream)))
            for each in folder.glob("target*"):
                each.unlink()
    base = best(taken["cat"])
    for name in kinds:
        cost = best(taken[name])
        speeds = f"{size / cost.wall / 1e6:.0f} MB/s beside {size / base.wall / 1e6:.0f}"
        yield Row(
            what=f"one writer of 100-byte lines, {name}", measured=cost.wall / base.wall, unit="x cat", note=speeds
        )
        work = f"{cost.cpu / size * 1e8:.3f} s per 100 MB beside {base.cpu / size * 1e8:.3f}"
        yield Row(what="  its CPU", measured=cost.cpu / base.cpu, unit="x cat", note=work)


def best(costs: list[Cost]) -> Cost:
    return Cost(wall=min(each.wall for each in costs), cpu=min(each.cpu for each in costs))


def many_writers(folder: Path) -> Iterator[Row]:
    target = folder / "shared"
    commands = [
        [sys.executable, "-I", "-S", "-c", TORN_WRITER, f"w{number:02d}", str(LINES_PER_WRITER)]
        for number in range(WRITERS)
    ]
    cost = asyncio.run(through_us(commands, FileStream(str(target))))
    lines = target.read_bytes().split(b"\n")
    torn = sum(not is_whole(line) for line in lines[:-1]) + bool(lines[-1])
    note = f"{target.stat().st_size / 1e6:.0f} MB, {cost.cpu:.2f} s CPU with starting them"
    yield Row(what=f"torn lines of {WRITERS} writers on one file", measured=torn, unit="", target=0, note=note)
    yield Row(what="lost lines", measured=WRITERS * LINES_PER_WRITER - len(lines) + 1, unit="", target=0)


def is_whole(line: bytes) -> bool:
    words = line.split(b" ")
    return len(words) == 4 and words[0] == words[3] and len(words[2]) == int(words[1]) % 90


def run() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        yield from one_writer(Path(name))
        yield from many_writers(Path(name))
