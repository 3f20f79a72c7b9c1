"""The command `quit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command
from circus.commands.values import words

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.ports import ArbiterLike


class Quit(Command):
    """Stop all watchers and end the daemon.

    It overtakes whatever else is going on.

    Request:

        {"command": "quit", "properties": {"waiting": false}}

    Reply, at once, or with `waiting` when everything is stopped:

        {"status": "ok", "time": 1795465307.73}

    Command line:

        circusctl quit [--waiting]
    """

    name = "quit"
    role = "admin"
    options = Command.waiting_options

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        words(args, 0)
        return self.make_message(waiting=opts.get("waiting", False))

    def execute(self, arbiter: ArbiterLike, _: dict[str, Any]) -> Awaitable[None]:
        return arbiter.quit()
