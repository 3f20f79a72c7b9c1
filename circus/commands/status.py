"""The command `status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class Status(Command):
    """Tell whether watchers run: active, starting, stopping or stopped.

    `active` says, as in circus 0.19, that a watcher is to run; its processes may be waiting for the next attempt to start
    meanwhile (backoff), which `circusctl why` and circus-top tell.

    Request:

        {"command": "status", "properties": {"name": "web"}}

    Reply without `name`, names as configured:

        {"status": "ok", "time": 1795465307.73, "statuses": {"Web": "active", "manual": "stopped"}}

    Reply with `name` (the state stands where other replies have "ok"):

        {"status": "active", "time": 1795465307.73}

    Command line:

        circusctl status [NAME]
    """

    name = "status"
    changes = False

    def message(self, *args: str, **_: Any) -> dict[str, Any]:
        (name,) = words(args, 0, 1)
        return self.make_message() if name is None else self.make_message(name=name)

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Result:
        if "name" in props:
            return {"status": self._get_watcher(arbiter, props["name"]).status()}
        return {"statuses": arbiter.statuses()}

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if "statuses" in msg:
            return "\n".join(f"{name}: {state}" for name, state in sorted(msg["statuses"].items()))
        return self.console_error(msg) if msg.get("status") == "error" else str(msg.get("status"))
