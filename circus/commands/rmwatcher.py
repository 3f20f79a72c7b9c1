"""The command `rm`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import to_flag, words

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.ports import ArbiterLike


class RmWatcher(Command):
    """Stop a watcher and forget it.

    With `nostop` its processes are left to run, and nobody looks after them any more; what they print still goes where
    it went. A watcher of the configuration file comes back with the next `reloadconfig`.

    Request:

        {"command": "rm", "properties": {"name": "web", "nostop": false, "waiting": false}}

    Reply, at once, or with `waiting` when it is gone:

        {"status": "ok", "time": 1795465307.73}

    Command line:

        circusctl rm NAME [--nostop] [--waiting]
    """

    name = "rm"
    role = "admin"
    properties = ("name",)
    options = (*Command.waiting_options, ("nostop", "nostop", False, "leave its processes running"))

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        (name,) = words(args, 1)
        props = {option: True for option in ("nostop", "waiting") if opts.get(option)}
        return self.make_message(name=name, **props)

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Awaitable[Result]:
        watcher = self._get_watcher(arbiter, props["name"])
        return arbiter.remove(watcher, stop=not to_flag(props, "nostop"))
