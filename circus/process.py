"""One process: how it is launched, and what is known of it while it lives.

Knows nothing of why it runs. A watcher's is started with what its launcher has worked out for all of them and waited for
by the reaper; one that a program makes for itself works all that out alone, and waits when it is asked. Invariant: a
status is collected by the one who owns it; looking at a watcher's process takes nothing from the reaper.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import IO, Any, Final, NamedTuple

from circus.handover import ProcessRecord
from circus.runtime.argv import Command
from circus.runtime.fds import devnull
from circus.runtime.launch import Launch, start
from circus.runtime.offspring import Offspring
from circus.runtime.reaper import Reaper
from circus.spec.watcher import WatcherSpec

__all__ = ["DEAD_OR_ZOMBIE", "OTHER", "RUNNING", "UNEXISTING", "Launch", "Process", "devnull"]

RUNNING: Final = 0
DEAD_OR_ZOMBIE: Final = 1
UNEXISTING: Final = 2
OTHER: Final = 3

_UNKNOWN_CODE = 255
"""What a process is said to have ended with when somebody else took its status, as asyncio says it."""


class _Seat(NamedTuple):
    """What a launcher has ready for the one process that it makes now."""

    generation: int
    command: Command
    launch: Launch
    reaper: Reaper
    inherit: Sequence[int]
    stdin: int | None
    given: Mapping[str, Any]
    made: list[int]


_SEAT: ContextVar[_Seat | None] = ContextVar("seat of the process that is being made", default=None)


class Process(Offspring):
    """A process.

    Made by itself it is started at once unless `spawn` says no: with exactly the environment `env`, and with pipes for
    its output unless told otherwise. `watcher` is whose process it is; `use_fds` lets it have all descriptors that are
    inheritable. Text is expanded as in a watcher's `cmd` and `args`.

    Attributes:
        wid: its slot.
        pid: its process id, 0 before the start.
        generation: which process of the watcher it is.
        started: Unix time of the start.
        stdout: the read end of its output, None when it is not captured.
        stderr: the same for its errors.
        stopping: its end was asked for.
        redirected: somebody reads its output.

    Raises:
        SpawnError: nothing was started.
    """

    __slots__ = (
        "__dict__", "_code", "_looked", "_monotonic", "_over", "_reaper", "args", "close_child_stderr",
        "close_child_stdin", "close_child_stdout", "cmd", "env", "executable", "generation", "gid", "name", "pid",
        "pipe_stderr", "pipe_stdout", "redirected", "rlimits", "shell", "started", "stderr", "stdout", "stopping", "uid",
        "use_fds", "watcher", "wid", "working_dir",
    )  # fmt: skip

    def __init__(  # noqa: PLR0917 - 0.19's signature
        self,
        name: str,
        wid: int,
        cmd: str,
        args: str | Sequence[str] | None = None,
        working_dir: str | None = None,
        shell: bool = False,
        uid: int | str | None = None,
        gid: int | str | None = None,
        env: Mapping[str, str] | None = None,
        rlimits: Mapping[str, int | None] | None = None,
        executable: str | None = None,
        use_fds: bool = False,
        watcher: Any = None,
        spawn: bool = True,
        pipe_stdout: bool = True,
        pipe_stderr: bool = True,
        close_child_stdin: bool = True,
        close_child_stdout: bool = False,
        close_child_stderr: bool = False,
    ) -> None:
        self.name, self.wid, self.cmd, self.args = name, wid, cmd, args
        self.working_dir, self.shell, self.uid, self.gid = working_dir, shell, uid, gid
        self.env, self.rlimits = {} if env is None else env, {} if rlimits is None else rlimits
        self.executable, self.use_fds = executable, use_fds
        self.watcher = watcher
        self.pipe_stdout, self.pipe_stderr, self.close_child_stdin = pipe_stdout, pipe_stderr, close_child_stdin
        self.close_child_stdout, self.close_child_stderr = close_child_stdout, close_child_stderr
        self.pid, self.generation, self.started = 0, 1, 0.0
        self.stopping = self.redirected = False
        self.stdout: IO[bytes] | None = None
        self.stderr: IO[bytes] | None = None
        self._monotonic = 0.0
        self._reaper: Reaper | None = None
        self._over = False
        self._code: int | None = None
        self._looked: Any = None
        if spawn:
            self.spawn()

    @classmethod
    def launch(
        cls,
        spec: WatcherSpec,
        wid: int,
        generation: int,
        command: Command,
        launch: Launch,
        *,
        reaper: Reaper,
        inherit: Sequence[int] = (),
        stdin: int | None = None,
        watcher: Any = None,
    ) -> Process:
        """Start a process of a watcher, by the constructor of this class.

        Args:
            spec: of the watcher.
            wid: of the slot.
            generation: of the process.
            command: what to run.
            launch: how, the same for all processes of the watcher.
            reaper: which will report its end (the caller asks it to).
            inherit: descriptors that the child shall have under the same numbers.
            stdin: a descriptor for its standard input, instead of /dev/null.
            watcher: whose it is.

        Raises:
            SpawnError: nothing was started.
        """
        given = {**launch.given, "env": command.env}
        made: list[int] = []
        token = _SEAT.set(_Seat(generation, command, launch, reaper, inherit, stdin, given, made))
        try:
            process = cls(spec.name, wid, use_fds=spec.use_sockets, watcher=watcher, **given)
            if not process.pid:
                process.spawn()
        except BaseException:
            # Started, and then a constructor of somebody's own failed: nobody would know of it.
            for pid in made:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            raise
        finally:
            _SEAT.reset(token)
        return process

    @classmethod
    def taken_over(
        cls, spec: WatcherSpec, record: ProcessRecord, launch: Launch, ends: Mapping[str, IO[bytes]], *, reaper: Reaper,
        watcher: Any = None,
    ) -> Process:  # fmt: skip
        """A process of a watcher that somebody else has started; `ends` are the read ends of its output."""
        process = cls(spec.name, record.wid, use_fds=spec.use_sockets, watcher=watcher, spawn=False, **launch.given)
        process.pid, process.generation, process.started = record.pid, record.generation, record.started
        process._monotonic, process._reaper = record.began, reaper
        process.stdout, process.stderr = ends.get("stdout"), ends.get("stderr")
        if record.ended is not None:
            process.ended(record.ended[0])
        return process

    def handed(self) -> ProcessRecord:
        """What makes it again, in a daemon that takes it over."""
        return ProcessRecord(pid=self.pid, wid=self.wid, generation=self.generation, started=self.started,
                             began=self._monotonic, ended=(self._code,) if self._over else None)  # fmt: skip

    def __repr__(self) -> str:
        return f"<Process {self.name}:{self.wid} pid {self.pid}>"

    def __lt__(self, other: Process) -> bool:
        return self.started < other.started

    # -- its start ------------------------------------------------------------------------------------------------

    def spawn(self) -> None:
        """Start it (again, for a process of no watcher); SpawnError when nothing was started."""
        seat = _SEAT.get()
        own_words = type(self).format_args is not Process.format_args
        if seat is None or own_words or (type(self) is not Process and self._differs(seat.given)):
            from dataclasses import replace

            from circus.runtime.own_launch import builder_of, launch_of, sockets_of

            sockets, door = sockets_of(self), seat.launch.door if seat else None
            command, launch = builder_of(self).build(self.wid, sockets), replace(launch_of(self), door=door)
            if own_words:
                words = tuple(self.format_args(sockets))
                command = command.with_words((*command.argv[:2], *words) if self.shell else words)
        else:
            command, launch = seat.command, seat.launch
        self.started, self._monotonic = time.time(), time.monotonic()
        self._over, self._code = False, None
        self.pid, ends = start(
            command, launch, inherit=seat.inherit if seat else (), stdin=seat.stdin if seat else None
        )
        self.stdout, self.stderr = ends.get("stdout"), ends.get("stderr")
        if seat is not None:
            self.generation, self._reaper = seat.generation, seat.reaper
            seat.made.append(self.pid)

    def format_args(self, sockets_fds: Mapping[str, int] | None = None) -> list[str]:
        """The words to execute; with `shell` its text, and the arguments of that. A subclass may say others."""
        from circus.runtime.own_launch import builder_of

        argv = builder_of(self).build(self.wid, sockets_fds or {}).argv
        return list(argv[2:] if self.shell else argv)

    def _differs(self, given: Mapping[str, Any]) -> bool:
        """Whether a subclass has changed something that its launcher said."""
        mine = ((getattr(self, name), said) for name, said in given.items())
        return any(own is not said and own != said and bool(own or said) for own, said in mine)

    # -- its life -------------------------------------------------------------------------------------------------

    def age(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._monotonic

    def send_signal(self, sig: int) -> None:
        """Signal it; ProcessLookupError when it is gone."""
        if self._reaper is not None:
            self._reaper.send_signal(self.pid, sig)
        elif self.is_alive():
            os.kill(self.pid, sig)
        else:
            raise ProcessLookupError(self.pid)

    def info(self) -> dict[str, Any] | str:
        """What it uses, in the form of circus 0.19; a sentence when it is gone."""
        from circus.stats.info import get_info

        try:
            found, self._looked = get_info(self.pid, since=self._looked, children=True)
        except ProcessLookupError:
            return "No such process (stopped?)"
        return {**found, "age": self.age(), "started": self.started, "wid": self.wid}

    # -- its end --------------------------------------------------------------------------------------------------

    def ended(self, code: int | None) -> None:
        """Its status was collected by who owns it; None when nobody can know it."""
        self._over, self._code = True, _UNKNOWN_CODE if code is None else code

    def poll(self) -> int | None:
        """The code that it ended with, minus the signal that ended it; None while it lives."""
        if not self._over and self.pid:
            if self._reaper is not None:
                return self._peek()
            if (code := self._collect()) is not None:
                self.ended(code)
        return self._code

    returncode = poll

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return bool(self.pid) and self.poll() is None

    @property
    def status(self) -> int:
        """RUNNING, DEAD_OR_ZOMBIE while its status waits for its owner, or UNEXISTING."""
        if not self.pid or self._over:
            return UNEXISTING
        return RUNNING if self._peek() is None else DEAD_OR_ZOMBIE

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its code. This blocks: in a loop it stops everything meanwhile.

        Raises:
            psutil.TimeoutExpired: it has not ended after so many seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and timeout is not None and time.monotonic() >= deadline:
                from psutil import TimeoutExpired

                raise TimeoutExpired(timeout, self.pid, self.name)
            time.sleep(0.01)
        return code

    def stop(self) -> None:
        """Send SIGTERM if it lives, and close the read ends of its output."""
        try:
            if self.is_alive():
                self.send_signal(signal.SIGTERM)
        except ProcessLookupError:
            pass
        finally:
            self.close_output_channels()

    def close_output_channels(self) -> None:
        """Close the read ends that nobody took over."""
        for pipe in (self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()
        self.stdout = self.stderr = None

    @property
    def _worker(self) -> Any:
        """The process as psutil knows it, with what `psutil.Popen` has besides."""
        from circus.stats.worker import Worker

        return Worker(self)

    def _collect(self) -> int | None:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return _UNKNOWN_CODE
        return os.waitstatus_to_exitcode(status) if pid else None

    def _peek(self) -> int | None:
        """Its code if it has ended, leaving the status where it is."""
        try:
            found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return _UNKNOWN_CODE
        except AttributeError:  # a system without waitid
            return None
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
