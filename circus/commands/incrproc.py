"""The command `incr`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import shortfalls, words
from circus.exc import MessageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from circus.ports import ArbiterLike, WatcherLike


class IncrProc(Command):
    """Add processes to a watcher.

    Raises `numprocesses` by `nb` (1 without it) and starts them. The number of a stopped watcher changes too; its
    processes come when it is started. A singleton keeps its one process.

    Request:

        {"command": "incr", "properties": {"name": "web", "nb": 1, "waiting": false}}

    Reply, at once:

        {"status": "ok", "time": 1795465307.73}

    Reply with `waiting`, when the processes run:

        {"status": "ok", "time": 1795465307.73, "numprocesses": 5}

    Where some did not come up, the reply with `waiting` has `"failed"` too: by watcher why, in a sentence.

    Reply for a singleton, always at once:

        {"status": "ok", "time": 1795465307.73, "numprocesses": 1, "singleton": true}

    Command line:

        circusctl incr NAME [NB] [--waiting]
    """

    name = "incr"
    overtaken_by_quit = True
    properties = ("name",)
    options = Command.waiting_options

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        name, nb = words(args, 1, 2)
        props: dict[str, Any] = {"name": name, "waiting": opts.get("waiting", False)}
        if nb is not None:
            props["nb"] = int(nb)
        return self.make_message(**props)

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Result | Awaitable[Result]:
        watcher = self._get_watcher(arbiter, props["name"])
        nb = props.get("nb", 1)
        if isinstance(nb, bool) or not isinstance(nb, int):
            raise MessageError("'nb' isn't an integer")
        if watcher.singleton:
            return {"numprocesses": watcher.numprocesses, "singleton": True}
        return _answer(self._change(watcher, nb), watcher)

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if msg.get("status") != "ok":
            return self.console_error(msg)
        if msg.get("singleton"):
            return "This watcher is a Singleton - not changing the number of processes"
        return str(msg.get("numprocesses", "ok"))

    def _change(self, watcher: WatcherLike, nb: int) -> Awaitable[int]:
        return watcher.incr(nb)


async def _answer(change: Awaitable[int], watcher: WatcherLike) -> Result:
    number = await change
    return {"numprocesses": number, **({} if watcher.is_stopped() else shortfalls(watcher))}
