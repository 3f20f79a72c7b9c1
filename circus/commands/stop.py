"""The command `stop`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Result
from circus.commands.reload import informed
from circus.commands.selection import selected
from circus.commands.start import Start

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.ports import ArbiterLike


class Stop(Start):
    """Stop a watcher, those that a pattern matches, or all.

    Each process gets the stop signal, then after graceful_timeout SIGKILL. A stop overtakes a start, restart, reload,
    incr or decr of the same watcher that is going on or waiting. Stopping what is stopped is fine.

    Request:

        {"command": "stop", "properties": {"name": "web", "match": "glob", "waiting": false}}

    Reply, at once:

        {"status": "ok", "time": 1795465307.73}

    Reply with `waiting` where the name matched one watcher:

        {"status": "ok", "time": 1795465307.73, "info": null}

    With `waiting` the reply is an error that names the pids when not even SIGKILL has ended something in thirty seconds.

    Command line:

        circusctl stop [NAME] [--waiting] [--match simple|glob|regex]
    """

    name = "stop"

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Awaitable[Result]:
        if "name" not in props:
            return arbiter.stop_watchers()
        found = selected(arbiter, props)
        return informed(found[0].stop()) if len(found) == 1 else arbiter.stop_watchers(found)
