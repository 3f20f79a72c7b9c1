"""What an exit means: from a wait status and what we had done before it, to reason, initiator and outcome.

An end we asked for is a success whatever its status, unless SIGKILL was needed after the grace. Knows signal numbers
only through the names handed in, because they differ between systems.
"""

from __future__ import annotations

import errno
import os
from typing import Final

import msgspec

CRASH_SIGNALS: Final = frozenset({"SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGSYS", "SIGTRAP"})


class ExitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended: an exit code, or a signal by number and name. Both None: nobody can know."""

    exit_code: int | None
    signum: int | None = None
    signal: str | None = None
    core: bool = False
    cpu_user_seconds: float | None = None
    cpu_system_seconds: float | None = None
    max_resident_bytes: int | None = None

    @property
    def as_shell(self) -> int:
        """The exit status that a shell gives to such an end; 1 where nobody can know it."""
        if self.exit_code is not None:
            return self.exit_code
        return 1 if self.signum is None else 128 + self.signum

    @property
    def code(self) -> int | None:
        """The one number of circus 0.19: the exit code, or minus the signal."""
        if self.exit_code is not None:
            return self.exit_code
        return None if self.signum is None else -self.signum


class Leftover(msgspec.Struct, frozen=True, gc=False):
    """A process that belonged to one that has ended, and lives on."""

    pid: int
    name: str


def start_failure(number: int | None) -> int:
    """The exit status that a shell gives to a program that it cannot start."""
    if number == errno.ENOENT:
        return 127
    return 126 if number in (errno.EACCES, errno.ENOEXEC, errno.EISDIR, errno.ENOTDIR) else 1


LOST: Final = ExitStatus(exit_code=None)


def decode(status: int, signal_names: dict[int, str]) -> tuple[int | None, int | None, str | None, bool]:
    """(exit code, signal number, signal name, core dumped) of a status from wait4."""
    if os.WIFSIGNALED(status):
        signum = os.WTERMSIG(status)
        return None, signum, signal_names.get(signum, f"SIG{signum}"), os.WCOREDUMP(status)
    return os.WEXITSTATUS(status), None, None, False


class Verdict(msgspec.Struct, frozen=True):
    """The three words of a `process.exited` record, and whether the end was expected."""

    reason: str
    initiator: str
    outcome: str
    expected: bool


def classify(
    status: ExitStatus,
    *,
    asked: str | None,
    escalated: bool,
    commanded: frozenset[int] | set[int],
    evidence: str | None = None,
) -> Verdict:
    """Judge an exit.

    `asked` is why we ended it (`stopped`, `max_age`, …) or None; `escalated` says that the grace ran out and SIGKILL
    was sent; `commanded` are the signals that an operator sent through us without asking for the end; `evidence` proves
    that the kernel killed it because memory ran out.
    """
    if status.exit_code is None and status.signum is None:
        return Verdict("lost", "external", "lost", False)
    if asked is not None:
        # Whoever ends in the last moment before SIGKILL reaches him has not needed it.
        if escalated and status.exit_code is None:
            return Verdict("stop_timeout", "supervisor", "stop_timeout", True)
        return Verdict(asked, "supervisor", "success", True)
    if status.exit_code is not None:
        if status.exit_code == 0:
            return Verdict("completed", "process", "success", True)
        return Verdict("exit_error", "process", "error", False)
    if evidence is not None:
        return Verdict("oom", "external", "oom", False)
    if status.signum in commanded:
        return Verdict("killed", "supervisor", "success", True)
    if status.signal in CRASH_SIGNALS:
        return Verdict("crash", "process", "signal", False)
    return Verdict("killed", "external", "signal", False)
