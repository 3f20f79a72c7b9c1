"""Start one process: the only place that forks.

The vfork path of subprocess wherever no user is switched (a tenth of a millisecond of the daemon's time). Every
descriptor of the daemon is close-on-exec; the ones a child shall have are made inheritable just around the spawn, so
they keep their numbers. Invariant: a Popen object never outlives this module, because a dropped one would steal a
status from the reaper.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from circus.exc import SpawnError
from circus.runtime.argv import Command
from circus.runtime.child_setup import (
    NO_LIMITS,
    Identity,
    Limits,
    ask_for_death_signal,
    go_in,
    in_turn,
    set_on_child,
    soft_limits,
)
from circus.runtime.fds import ROOM

_STAGE_OF_ERRNO = {errno.EAGAIN: "fork", errno.ENOMEM: "fork", errno.EMFILE: "fork", errno.ENFILE: "fork"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stdio:
    """The descriptors for 0, 1 and 2; None leaves what the daemon has."""

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None


def spawn(
    command: Command,
    stdio: Stdio,
    *,
    inherit: Sequence[int] = (),
    limits: Limits = NO_LIMITS,
    identity: Identity | None = None,
    death_signal: int | None = None,
    door: int | None = None,
) -> int:
    """Start a program in its own session and return its pid; the caller reaps it.

    Args:
        command: words, environment, directory.
        stdio: the three standard descriptors.
        inherit: more descriptors to have under the same numbers.
        limits: resource limits in force before the program's first instruction.
        identity: user and group to switch to (this costs a fork instead of a vfork).
        death_signal: what the kernel sends to it when this thread ends, however it ends (a fork as well).
        door: the way into the cgroup that it shall be in from its first instruction on (a fork as well). Where it cannot
            go in it runs all the same, outside.

    Raises:
        SpawnError: with the stage that failed and a sentence that says what and where.
    """
    argv: Sequence[str] = command.argv
    if not ROOM.has_room():
        raise SpawnError(
            "fork",
            f"cannot start {argv[0]!r}: the file descriptors that are left are kept for clients; raise the hard limit "
            f"(ulimit -Hn, or LimitNOFILE in systemd)",
            errno.EMFILE,
        )
    limits = limits.fitting() if identity is None else limits.fitting().for_another_user()
    if limits.prefix:
        _must_exist(command)
        # A shell cannot give a program another name than its path.
        argv = (*limits.words(command.env), command.executable or argv[0], *argv[1:])
    switch: dict[str, Any] = {}
    if identity is not None:
        switch = {"user": identity.uid, "group": identity.gid, "extra_groups": identity.groups}
    # They run after the user is switched, which would clear a death signal.
    first = [] if door is None else [go_in(door)]
    if death_signal is not None:
        first.append(ask_for_death_signal(death_signal))
    if first:
        switch["preexec_fn"] = in_turn(*first)
    flipped: list[int] = []
    try:
        for fd in inherit:
            os.set_inheritable(fd, True)
            flipped.append(fd)
        with soft_limits(limits):
            popen: subprocess.Popen[bytes] = subprocess.Popen(
                argv,
                executable=None if limits.prefix else command.executable,
                stdin=stdio.stdin,
                stdout=stdio.stdout,
                stderr=stdio.stderr,
                cwd=command.cwd,
                env=command.env,
                close_fds=False,
                start_new_session=True,
                **switch,
            )
    except (OSError, ValueError, OverflowError, subprocess.SubprocessError) as error:
        raise _explain(error, command, identity) from error
    finally:
        for fd in flipped:
            os.set_inheritable(fd, False)
    pid = popen.pid
    # The status belongs to the reaper; with a returncode set, Popen forgets the process without a wait.
    popen.returncode = 0
    if limits.after:
        try:
            set_on_child(pid, limits)
        except SpawnError:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            raise
    return pid


def _must_exist(command: Command) -> None:
    program = command.executable or command.argv[0]
    if os.sep in program:
        found = os.path.exists(os.path.join(command.cwd or ".", program))
    else:
        found = any(os.access(os.path.join(where, program), os.X_OK) for where in os.get_exec_path(command.env))
    if not found:
        raise SpawnError("exec", f"program not found: {program!r}", errno.ENOENT)


def _explain(error: Exception, command: Command, identity: Identity | None) -> SpawnError:
    program = command.argv[0] if command.argv else ""
    if isinstance(error, OSError):
        number = error.errno
        if number in _STAGE_OF_ERRNO:
            return SpawnError("fork", f"cannot start {program!r}: {os.strerror(number or 0)}", number)
        if command.cwd is not None and error.filename == command.cwd:
            return SpawnError("cwd", f"cannot use working_dir {command.cwd!r}: {error.strerror}", number)
        if isinstance(error, PermissionError) and error.filename is None and identity is not None:
            return SpawnError(
                "user", f"no permission to run {program!r} as uid {identity.uid}, gid {identity.gid}", number
            )
        if isinstance(error, FileNotFoundError):
            return SpawnError(
                "exec", f"program not found, or the interpreter its first line names: {program!r}", number
            )
        return SpawnError("exec", f"cannot run {program!r}: {error.strerror or error}", number)
    return SpawnError("exec", f"cannot run {program!r}: {error}")
