"""The command `reload`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import failing, shortfalls, to_flag, words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from circus.ports import ArbiterLike, WatcherLike


class Reload(Command):
    """Replace the processes of a watcher, or of all, without a moment without any.

    Gracefully, which is the default: new processes first, then the old ones are stopped; with `sequential` one after
    the other. A watcher with send_hup gets SIGHUP instead and keeps its processes. `graceful` false is a restart. The
    name is exact, no pattern.

    Request:

        {"command": "reload", "properties": {"name": "web", "graceful": true, "sequential": false, "waiting": false}}

    Reply, at once:

        {"status": "ok", "time": 1795465307.73}

    Reply with `name` and `waiting`:

        {"status": "ok", "time": 1795465307.73, "info": {"stopped": [4241], "started": [4243], "kept": []}}

    Where something did not come up, the reply with `waiting` has `"failed"` too: by watcher why, in a sentence.

    Command line:

        circusctl reload [NAME] [--waiting] [--sequential] [--terminate]
    """

    name = "reload"
    overtaken_by_quit = True
    options = (
        *Command.waiting_options,
        ("sequential", "sequential", False, "replace one process after the other"),
        ("terminate", "terminate", False, "stop the old processes before new ones start"),
    )

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        (name,) = words(args, 0, 1)
        props: dict[str, Any] = {} if name is None else {"name": name}
        props["graceful"] = not opts.get("terminate", False)
        props["sequential"] = opts.get("sequential", False)
        props["waiting"] = opts.get("waiting", False)
        return self.make_message(**props)

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Awaitable[Result]:
        graceful = to_flag(props, "graceful", default=True)
        sequential = to_flag(props, "sequential")
        if "name" not in props:
            return several(arbiter.reload(graceful=graceful, sequential=sequential))
        watcher = self._get_watcher(arbiter, props["name"])
        return informed(watcher.reload(graceful=graceful, sequential=sequential), watcher)


async def informed(work: Awaitable[Any], *watchers: WatcherLike) -> Result:
    """The reply for one watcher: what came of it, as `info`, and what of it is not up that should be."""
    return {"info": await work, **shortfalls(*watchers)}


async def several(work: Awaitable[Mapping[str, str]]) -> Result:
    """The reply for many: which are not up that should be."""
    return failing(await work)
