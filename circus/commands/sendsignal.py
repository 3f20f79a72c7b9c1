"""The command `signal`."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from circus.commands.base import Command
from circus.commands.values import to_flag, to_pid, to_signal, words
from circus.exc import ArgumentError, CircusError
from circus.runtime.pidfds import handle_on

if TYPE_CHECKING:
    from circus.ports import ArbiterLike, ProcessLike


class Signal(Command):
    """Send a signal to processes of a watcher, or to their children.

    Without `pid` to all of them. With `childpid` to that child of `pid` alone, with `children` to the direct children
    alone (with `recursive` to all descendants), with `recursive` alone to the process and all its descendants. A pid
    that the watcher does not have is nothing to do, unless its children were meant. Nothing follows the signal: no
    grace and no SIGKILL (see `kill`). The hooks before_signal and after_signal are asked for processes
    of the watcher, not for their descendants. `kill_scope` has no part in it.

    Request:

        {"command": "signal", "properties": {"name": "web", "signum": "usr1", "pid": 4242, "childpid": 4243,
         "children": false, "recursive": false}}

    Reply:

        {"status": "ok", "time": 1795465307.73}

    Command line:

        circusctl signal NAME [PID] SIGNAL [--children] [--recursive]
    """

    name = "signal"
    properties = ("name", "signum")
    options = (
        ("children", "children", False, "only the children of the processes"),
        ("recursive", "recursive", False, "all descendants too"),
    )

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        words(args, 2, 3)
        props: dict[str, Any] = {"name": args[0]}
        if len(args) == 3:
            props["pid"] = int(args[1])
        props["children"] = opts.get("children", False)
        props["recursive"] = opts.get("recursive", False)
        props["signum"] = args[-1]
        return self.make_message(**props)

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> None:
        watcher = self._get_watcher(arbiter, props["name"])
        signum = to_signal(props["signum"])
        given = props.get("childpid", props.get("child_pid"))
        child = None if given is None else to_pid(given)
        pid = to_pid(props["pid"]) if props.get("pid") is not None else None
        children, recursive = to_flag(props, "children"), to_flag(props, "recursive")
        if child is not None and pid is None:
            raise ArgumentError("cannot specify childpid without pid")
        if pid is not None and pid not in watcher.processes:
            if child is None and not children:
                return
            raise CircusError(f"process {pid} not found in {props['name']!r}")
        for one in [pid] if pid is not None else watcher.get_active_pids():
            process = watcher.processes.get(one)
            if process is None:
                continue
            if child is not None and child not in process.children():
                raise CircusError(f"process {child} is not a child of process {one}")
            wide = children or recursive
            below = [child] if child is not None else process.children(recursive) if wide else []
            # Held before the signal, after which they may no longer be found below a dead parent.
            held = _hold(process, below) if below else []
            try:
                if child is None and not children:
                    watcher.send_signal(one, signum)
                for pid_below, handle in held:
                    _send(pid_below, handle, signum)
            finally:
                for _, handle in held:
                    if handle is not None:
                        os.close(handle)


def _hold(process: ProcessLike, pids: list[int]) -> list[tuple[int, int | None]]:
    """Take hold of descendants, which are not ours to reap, so that a pid given anew to a stranger is not hit.

    A pidfd holds on to a process; if it still is a descendant after that was taken, it is the right one. Where there
    are no pidfds the bare pid has to do.
    """
    if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
        return [(pid, None) for pid in pids]
    held = [(pid, _ignoring_gone(handle_on, pid)) for pid in pids]
    still = set(process.children(recursive=True))
    for pid, handle in held:
        if handle is not None and pid not in still:
            os.close(handle)
    return [(pid, handle) for pid, handle in held if handle is not None and pid in still]


def _send(pid: int, handle: int | None, signum: int) -> None:
    if handle is None:
        _ignoring_gone(os.kill, pid, signum)
    else:
        _ignoring_gone(signal.pidfd_send_signal, handle, signum)


def _ignoring_gone(call: Any, *args: int) -> Any:
    try:
        return call(*args)
    except ProcessLookupError:
        return None
