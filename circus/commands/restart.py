"""The command `restart`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Result
from circus.commands.reload import informed, several
from circus.commands.selection import selected
from circus.commands.start import Start

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from circus.ports import ArbiterLike
    from circus.spec.access import Role


class Restart(Start):
    """Stop and start a watcher, those that a pattern matches, or the whole daemon.

    Without `name` everything is stopped, the configuration is read again and all is started, in the same process.

    Request:

        {"command": "restart", "properties": {"name": "web", "match": "glob", "waiting": false}}

    Reply, at once:

        {"status": "ok", "time": 1795465307.73}

    Reply with `waiting` where the name matched one watcher:

        {"status": "ok", "time": 1795465307.73, "info": {"stopped": [4241], "started": [4243], "kept": []}}

    Where something did not come up, the reply with `waiting` has `"failed"` too: by watcher why, in a sentence.

    Command line:

        circusctl restart [NAME] [--waiting] [--match simple|glob|regex]
    """

    name = "restart"
    overtaken_by_quit = True

    def role_for(self, props: Mapping[str, Any]) -> Role:
        return self.role if "name" in props else "admin"  # all of it is what the file says now

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Awaitable[Result]:
        if "name" not in props:
            return several(arbiter.restart(inside_circusd=True))
        found = selected(arbiter, props)
        if len(found) > 1:
            return several(arbiter.restart_watchers(found))
        return informed(found[0].restart(), found[0])
