"""The command `reloadconfig`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from circus.ports import ArbiterLike


class ReloadConfig(Command):
    """Read the configuration file again and change what differs, without touching anything else.

    Watchers, plugins, exporters and sockets come and go; of a watcher that changed the processes are replaced
    gracefully if they have to be, see the column *change* of the options. Options of [circus] are put in force too; those
    that need a restart of circusd are told as `restart`. A file with mistakes, or one that cannot be had (a port that is
    taken, a socket that is removed while a watcher uses it), changes nothing and is an error, also without `waiting` as
    far as it can be seen at once. Watchers that `add` brought stay, unless the file has one of that name; what `set`
    changed stays until the file changes that very option. `plan` shows beforehand what would happen.

    Request:

        {"command": "reloadconfig", "properties": {"waiting": false}}

    Reply, at once; `warnings` are of what works, but perhaps not as it was meant, and go to standard error on the command
    line:

        {"status": "ok", "time": 1795465307.73, "warnings": []}

    Reply with `waiting`, when it is done:

        {"status": "ok", "time": 1795465307.73, "changes": [{"subject": "watcher", "name": "web", "action": "changed",
         "effect": "reload", "options": [{"name": "cmd", "old": "a", "new": "b", "effect": "reload"}]}],
         "restart": ["endpoint"], "warnings": ["circus.ini:4: [watcher:web] numproceses = '3': is kept as a free-form option;
         did you mean numprocesses?"]}

    An error has `"warnings"` too where there are any. Where something did not come up, the reply with `waiting` has `"failed"` too: by watcher why, in a sentence.

    Command line:

        circusctl reloadconfig [--waiting]
    """

    name = "reloadconfig"
    overtaken_by_quit = True
    role = "admin"
    options = Command.waiting_options

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        words(args, 0)
        return self.make_message(waiting=opts.get("waiting", False))

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Awaitable[Result]:  # noqa: ARG002 - it has none
        return arbiter.reload_from_config()

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if msg.get("status") != "ok":
            return self.console_error(msg)
        pending = msg.get("restart")
        return "ok" if not pending else f"ok\nin force after a restart of circusd: {', '.join(pending)}"
