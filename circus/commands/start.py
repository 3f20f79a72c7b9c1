"""The command `start`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.reload import informed, several
from circus.commands.selection import MATCH_OPTION, selected
from circus.commands.values import words

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.ports import ArbiterLike


class Start(Command):
    """Start a watcher, those that a pattern matches, or all.

    Without `name` the watchers with autostart are started, with it those that were named. `match` says how `name` is
    read: `glob` (the default), `regex` or `simple`.

    Request:

        {"command": "start", "properties": {"name": "web*", "match": "glob", "waiting": false}}

    Reply, at once:

        {"status": "ok", "time": 1795465307.73}

    Reply with `waiting` where the name matched one watcher:

        {"status": "ok", "time": 1795465307.73, "info": {"started": [4243], "kept": []}}

    Where something did not come up, the reply with `waiting` has `"failed"` too: by watcher why, in a sentence.

    Command line:

        circusctl start [NAME] [--waiting] [--match simple|glob|regex]
    """

    name = "start"
    overtaken_by_quit = True
    options = (*Command.waiting_options, MATCH_OPTION)

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        (name,) = words(args, 0, 1)
        props: dict[str, Any] = {} if name is None else {"name": name}
        return self.make_message(**props, waiting=opts.get("waiting", False), match=opts.get("match", "glob"))

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Awaitable[Result]:
        if "name" not in props:
            return several(arbiter.start_watchers())
        found = selected(arbiter, props)
        if len(found) > 1:
            return several(arbiter.start_watchers(found))
        return informed(found[0].start(), found[0])
