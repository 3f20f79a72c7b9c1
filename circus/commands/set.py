"""The command `set`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.options_of import checked, from_text
from circus.commands.values import shortfalls
from circus.exc import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.ports import ArbiterLike, WatcherLike


class Set(Command):
    """Change options of a watcher while it runs.

    Every option of a watcher can be changed, its streams, limits, hooks and environment too. All of them are checked
    first: either all are in force or none. `hooks.NAME` imports the module of the hook again. What the change does to
    processes that run is the largest of what its options ask for, see the column *change* of the options: `nothing`,
    `resize`, `reopen` (a stream), `signal` (SIGHUP, where the watcher has send_hup) or `reload` (gracefully). For a
    stopped watcher it is `nothing`.

    Request:

        {"command": "set", "properties": {"name": "web", "options": {"numprocesses": 4, "env": {"PORT": "8080"}},
         "waiting": false}}

    Reply, at once:

        {"status": "ok", "time": 1795465307.73}

    Reply with `waiting`, when it is done:

        {"status": "ok", "time": 1795465307.73, "effect": "reload"}

    Where something did not come up, the reply with `waiting` has `"failed"` too: by watcher why, in a sentence.

    Command line:

        circusctl set NAME OPTION VALUE [OPTION VALUE...] [--waiting]

    An environment is written `A=1,B=2`, hooks `before_start:package.function,after_stop:package.other`.
    """

    name = "set"
    overtaken_by_quit = True
    role = "admin"
    properties = ("name", "options")
    options = Command.waiting_options

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        if len(args) < 3:
            raise ArgumentError("Invalid number of arguments")
        name, *rest = args
        if len(rest) % 2:
            raise ArgumentError("List of key/values is invalid")
        keys = [key if key.startswith("labels.") else key.lower() for key in rest[::2]]
        options = {key: from_text(key, text) for key, text in zip(keys, rest[1::2], strict=True)}
        props = {"waiting": True} if opts.get("waiting") else {}
        return self.make_message(name=name, **props, options=options)

    def validate(self, props: dict[str, Any]) -> None:
        super().validate(props)
        checked(props["options"])

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Awaitable[Result]:
        from circus.commands.ownership import check_owner

        watcher = self._get_watcher(arbiter, props["name"])
        options = checked(props["options"])
        known = dict(watcher.options())
        check_owner(arbiter, options, options.get("uid", known.get("uid")), options.get("gid", known.get("gid")))
        return _effect(watcher.set(options), watcher)


async def _effect(change: Awaitable[dict[str, str]], watcher: WatcherLike) -> Result:
    found = await change
    return {**found, **({} if found["effect"] == "nothing" else shortfalls(watcher))}
