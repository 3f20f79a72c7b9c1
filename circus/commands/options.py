"""The command `options`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import as_lines, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class Options(Command):
    """Tell all options of a watcher.

    Request:

        {"command": "options", "properties": {"name": "web"}}

    Reply:

        {"status": "ok", "time": 1795465307.73, "options": {"args": "", "cmd": "sleep", "numprocesses": 2,
         "stop_signal": 15, "working_dir": "/srv/web"}}

    Command line:

        circusctl options NAME
    """

    name = "options"
    properties = ("name",)
    changes = False

    def message(self, *args: str, **_: Any) -> dict[str, Any]:
        (name,) = words(args, 1)
        return self.make_message(name=name)

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Result:
        return {"options": dict(self._get_watcher(arbiter, props["name"]).options())}

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        return as_lines(msg["options"]) if msg.get("status") == "ok" else self.console_error(msg)
