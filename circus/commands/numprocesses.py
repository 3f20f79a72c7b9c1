"""The command `numprocesses`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class NumProcesses(Command):
    """Count the processes, of all watchers or of one.

    Request:

        {"command": "numprocesses", "properties": {"name": "web"}}

    Reply (`watcher_name` only with `name`, as it was given):

        {"status": "ok", "time": 1795465307.73, "numprocesses": 2, "watcher_name": "web"}

    Command line:

        circusctl numprocesses [NAME]
    """

    name = "numprocesses"
    changes = False

    def message(self, *args: str, **_: Any) -> dict[str, Any]:
        (name,) = words(args, 0, 1)
        return self.make_message() if name is None else self.make_message(name=name)

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Result:
        if "name" not in props:
            return {"numprocesses": arbiter.numprocesses()}
        watcher = self._get_watcher(arbiter, props["name"])
        return {"numprocesses": len(watcher.processes), "watcher_name": props["name"]}

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        return str(msg["numprocesses"]) if msg.get("status") == "ok" else self.console_error(msg)
