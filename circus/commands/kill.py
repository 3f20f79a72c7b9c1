"""The command `kill`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import to_pid, to_signal, words
from circus.exc import MessageError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.ports import ArbiterLike


class Kill(Command):
    """Stop processes of a watcher so that it replaces them: a signal, the grace, then SIGKILL.

    Without `pid` all of them. `signum` (a number or a name) stands in for the watcher's stop_signal, `graceful_timeout`
    (seconds) for its own. A pid that the watcher does not have is nothing to do.

    Request:

        {"command": "kill", "properties": {"name": "web", "pid": 4242, "signum": "int", "graceful_timeout": 5,
         "waiting": false}}

    Reply, at once, or with `waiting` when they are gone:

        {"status": "ok", "time": 1795465307.73}

    Command line:

        circusctl kill NAME [PID] [--signum SIGNAL] [--graceful_timeout SECONDS] [--waiting]
    """

    name = "kill"
    properties = ("name",)
    options = (
        *Command.waiting_options,
        ("signum", "signum", None, "the signal to begin with"),
        ("graceful_timeout", "graceful_timeout", None, "seconds until SIGKILL"),
    )

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        name, pid = words(args, 1, 2)
        props: dict[str, Any] = {"name": name, "waiting": opts.get("waiting", False)}
        if pid is not None:
            props["pid"] = int(pid)
        if opts.get("signum") is not None:
            props["signum"] = opts["signum"]
        if opts.get("graceful_timeout") is not None:
            props["graceful_timeout"] = float(opts["graceful_timeout"])
        return self.make_message(**props)

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Awaitable[Result] | None:
        watcher = self._get_watcher(arbiter, props["name"])
        # A null is not all of them: who has lost a pid must not end everything.
        pid = to_pid(props["pid"]) if "pid" in props else None
        signum = to_signal(props["signum"]) if "signum" in props else None
        grace = _seconds(props.get("graceful_timeout"))
        if pid is not None and pid not in watcher.processes:
            return None
        return watcher.kill(pid, signum, grace)


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    try:
        seconds = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = float("nan")
    if not 0 <= seconds < float("inf"):
        raise MessageError(f"'graceful_timeout' isn't a number of seconds: {value!r}")
    return seconds
