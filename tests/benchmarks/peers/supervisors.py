"""What every supervisor under measurement can be told, and what the children do that it keeps.

A supervisor has a directory of its own, is started on a job, and ended by its own signal; what it cannot do raises
Cannot with the reason, which goes into the table. Invariant: when `closed` returns nothing of it lives.
"""

from __future__ import annotations

import abc
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tests.benchmarks.peers import kernel
from tests.helpers import proc
from tests.workers import HERE

LONG = 120.0  # seconds that anything may take before it counts as failed


class Cannot(Exception):
    """This supervisor has no such thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be kept alive.

    `words` are the command, `{fd}` in them the number of the listening socket where there is a `port`. `output` is the
    file for what all of them write; without it nothing is captured. `variables` are for who cannot give words.
    """

    words: Sequence[str]
    count: int
    variables: Mapping[str, str] = field(default_factory=dict)
    output: pathlib.Path | None = None
    stats: bool = False
    port: int | None = None


class Client(Protocol):
    """An open connection. Each returns when the answer is there; raises Cannot."""

    def list(self) -> None: ...

    def stats(self) -> None: ...

    def status(self) -> None: ...

    def close(self) -> None: ...


class Supervisor(abc.ABC):
    """One supervisor's way to do it. `name` is its column."""

    name: str
    end_signal = signal.SIGTERM
    stats_prefixes: tuple[str, ...] = ("stat.",)
    """What tells the numbers of all its processes: its own way, and then that of circus 0.19."""

    def __init__(self, directory: pathlib.Path, programs: Programs) -> None:
        self.directory = directory
        self.programs = programs
        self.process: subprocess.Popen[bytes] | None = None

    # -- what each has its own way for ---------------------------------------------------------------------------

    @abc.abstractmethod
    def prepare(self, job: Job) -> list[str]:
        """Write what it reads, and return its command line."""

    def client(self) -> Client:
        raise Cannot("has no requests")

    def status_line(self) -> list[str]:
        raise Cannot("has no such command")

    def restart_line(self) -> list[str]:
        raise Cannot("has no such command")

    def reload_line(self) -> list[str]:
        raise Cannot("keeps no listening socket")

    def stats_endpoint(self) -> str:
        raise Cannot("has no stats")

    def version(self) -> str:
        return ""

    # -- the same for all ----------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        assert self.process is not None, "not started"
        return self.process.pid

    def environment(self, job: Job) -> dict[str, str]:
        """Without what could lead an interpreter to somebody else's code."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CIRCUS"))}
        return {**clean, **job.variables}

    def start(self, job: Job) -> float:
        """Start it; the monotonic time just before."""
        command = self.prepare(job)
        with (self.directory / "said").open("ab") as log:
            began = time.monotonic()
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment(job),
                cwd=self.directory,
            )
        return began

    def processes(self) -> list[int]:
        return kernel.own_processes(self.pid, self.programs.paths)

    def run(self, line: Sequence[str]) -> subprocess.Popen[bytes]:
        """One of its command lines, running; what it says is kept in a file."""
        with (self.directory / "said").open("ab") as log:
            environment = self.environment(Job(words=(), count=0))
            return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def said(self) -> str:
        """The end of what it wrote, for messages."""
        with contextlib.suppress(OSError):
            return (self.directory / "said").read_text(errors="replace")[-600:]
        return ""

    def close(self) -> None:
        """End all of it by force, if it still lives. It is told first, for one that restarts what was killed."""
        if self.process is None:
            return
        below = proc.descendants(self.process.pid)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for _ in range(100):
            below |= proc.own_children()
            left = {pid for pid in below if self._ours(pid)}
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                below |= tree_of(pid)
            reap()
            if not left:
                break
            time.sleep(0.05)

    def _ours(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return os.readlink(f"/proc/{pid}/cwd").startswith(str(self.directory)) and proc.alive(pid)
        return False


def tree_of(pid: int) -> set[int]:
    """The children of a process, without a look at all processes for each of thousands."""
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            found.update(map(int, pathlib.Path(f"/proc/{pid}/task/{thread}/children").read_text().split()))
    return found


def reap() -> None:
    """Take the status of all children that have ended; those of a supervisor became ours with its end."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


class Programs:
    """The children, compiled: they are small, so that what is measured is the supervisor. Raises RuntimeError."""

    NAMES = ("beacon", "writer", "responder", "requester")

    def __init__(self, directory: pathlib.Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise RuntimeError(
                "needs a C compiler (on Debian: apt install gcc libc6-dev): the times are taken by the children, "
                "and one in Python takes longer to start than what is measured"
            )
        self._directory = directory
        for name in self.NAMES:
            source = HERE / f"{name}.c"
            subprocess.run([compiler, "-O2", "-pthread", "-o", str(directory / name), str(source)], check=True)
        self.paths = frozenset(str((directory / name).resolve()) for name in self.NAMES)

    def path(self, name: str) -> str:
        return str(self._directory / name)


@contextlib.contextmanager
def closed(kind: type[Supervisor], programs: Programs, **keywords: object) -> Iterator[Supervisor]:
    """One of a kind in a directory of its own, of which nothing is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="circus-peer-") as name:
        made = kind(pathlib.Path(name).resolve(), programs, **keywords)
        try:
            yield made
        finally:
            made.close()
