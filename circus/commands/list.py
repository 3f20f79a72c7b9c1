"""The command `list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class List(Command):
    """List the watchers, or the pids of one.

    Names come in lower case and sorted. Pids are those of processes that live.

    Request:

        {"command": "list", "properties": {"name": "web"}}

    Reply without `name`:

        {"status": "ok", "time": 1795465307.73, "watchers": ["api", "web"]}

    Reply with `name`:

        {"status": "ok", "time": 1795465307.73, "pids": [4241, 4242]}

    Command line:

        circusctl list [NAME]
    """

    name = "list"
    changes = False

    def message(self, *args: str, **_: Any) -> dict[str, Any]:
        (name,) = words(args, 0, 1)
        return self.make_message() if name is None else self.make_message(name=name)

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Result:
        if "name" in props:
            return {"pids": self._get_watcher(arbiter, props["name"]).get_active_pids()}
        return {"watchers": sorted(watcher.name.lower() for watcher in arbiter.iter_watchers())}

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if msg.get("status") != "ok":
            return self.console_error(msg)
        return ",".join(map(str, msg["pids"] if "pids" in msg else msg["watchers"]))
