"""The command `numwatchers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class NumWatchers(Command):
    """Count the watchers, those that Circus runs for itself included.

    Request:

        {"command": "numwatchers"}

    Reply:

        {"status": "ok", "time": 1795465307.73, "numwatchers": 6}

    Command line:

        circusctl numwatchers
    """

    name = "numwatchers"
    changes = False

    def message(self, *args: str, **_: Any) -> dict[str, Any]:
        words(args, 0)
        return self.make_message()

    def execute(self, arbiter: ArbiterLike, _: dict[str, Any]) -> Result:
        return {"numwatchers": arbiter.numwatchers()}

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        return str(msg["numwatchers"]) if msg.get("status") == "ok" else self.console_error(msg)
