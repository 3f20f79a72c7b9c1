"""How a process that a program makes for itself is started: everything worked out from the process alone.

Knows no launcher and no watcher but its sockets. Invariant: what is made here is for this one process.
"""

from __future__ import annotations

from typing import Any

from circus.runtime.argv import CommandBuilder
from circus.runtime.child_setup import resolve_identity, resolve_limits
from circus.runtime.launch import Launch
from circus.spec.watcher import WatcherSpec


def builder_of(process: Any) -> CommandBuilder:
    """What makes its command, from its `cmd`, `args` and so on, with exactly its environment."""
    args = process.args
    spec = WatcherSpec(
        name=process.name,
        cmd=process.cmd,
        args=args if isinstance(args, str) or args is None else tuple(args),
        working_dir=process.working_dir,
        shell=bool(process.shell),
        shell_args=getattr(process.watcher, "shell_args", None),
        executable=process.executable,
        env=process.env,
        use_sockets=process.use_fds,
    )
    return CommandBuilder(spec, {})


def launch_of(process: Any) -> Launch:
    """Limits, user and standard descriptors."""
    limits = {name.lower().removeprefix("rlimit_"): limit for name, limit in process.rlimits.items()}
    return Launch(
        limits=resolve_limits(limits),
        identity=resolve_identity(process.uid, process.gid),
        pipe_stdout=process.pipe_stdout,
        pipe_stderr=process.pipe_stderr,
        close_stdin=process.close_child_stdin,
        close_stdout=process.close_child_stdout,
        close_stderr=process.close_child_stderr,
        stdin_data=None,
    )


def sockets_of(process: Any) -> dict[str, int]:
    """The descriptors that its text may name."""
    sockets = getattr(process.watcher, "sockets", None) or {}
    return {name.lower(): sock.fileno() for name, sock in sockets.items()}
