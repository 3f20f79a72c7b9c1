"""The command `dstats`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.stats import info_line
from circus.commands.values import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class Daemontats(Command):
    """Tell what circusd itself uses.

    `ctime` is the processor time of circusd and of all its processes that have ended, as in circus 0.19: where workers
    come and go it is mostly theirs. `cpu` is of circusd alone, and so is what `sample.-` says.

    Request:

        {"command": "dstats"}

    Reply:

        {"status": "ok", "time": 1795465307.75, "info": {"mem_info1": "30.99M", "mem_info2": "118.45M", "cpu": 0.0,
         "mem": 0.129, "ctime": "0:00.27", "pid": 16343, "username": "root", "nice": 0, "create_time": 1795465278.35,
         "age": 29.4, "cmdline": "python3", "children": []}}

    Command line:

        circusctl dstats
    """

    name = "dstats"
    changes = False
    always_waits = True

    def message(self, *args: str, **_: Any) -> dict[str, Any]:
        words(args, 0)
        return self.make_message()

    async def execute(self, arbiter: ArbiterLike, _: dict[str, Any]) -> Result:
        return {"info": await arbiter.stats.daemon_info()}

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if msg.get("status") != "ok":
            return self.console_error(msg)
        return f"Main Process:\n    {info_line(msg['info'])}"
