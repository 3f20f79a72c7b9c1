"""The command `decr`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from circus.commands.incrproc import IncrProc

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.ports import WatcherLike


class DecrProc(IncrProc):
    """Take processes away from a watcher.

    Lowers `numprocesses` by `nb` (1 without it, never below 0) and stops the surplus. The number of a
    stopped watcher changes too. A singleton keeps its one process.

    Request:

        {"command": "decr", "properties": {"name": "web", "nb": 1, "waiting": false}}

    Reply, at once:

        {"status": "ok", "time": 1795465307.73}

    Reply with `waiting`, when the surplus is gone:

        {"status": "ok", "time": 1795465307.73, "numprocesses": 3}

    Reply for a singleton, always at once:

        {"status": "ok", "time": 1795465307.73, "numprocesses": 1, "singleton": true}

    Command line:

        circusctl decr NAME [NB] [--waiting]
    """

    name = "decr"
    overtaken_by_quit = True

    def _change(self, watcher: WatcherLike, nb: int) -> Awaitable[int]:
        return watcher.decr(nb)
