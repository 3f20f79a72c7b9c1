"""The command `ipython`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike

_NOT_SUPPORTED = "circusd runs no IPython kernel any more: its loop is asyncio's, and a kernel brings one of its own"


class IPythonShell(Command):
    """Say that there is no IPython shell in circusd.

    circus 0.19 could start one with an IPython of its time. The command is still answered, as it was there without
    IPython: `shell` is false and `msg` says why.

    Request:

        {"command": "ipython"}

    Reply:

        {"status": "ok", "time": 1795465307.73, "shell": false, "msg": "No module named 'IPython'"}

    Command line:

        circusctl ipython
    """

    name = "ipython"
    changes = False

    def message(self, *args: str, **_: Any) -> dict[str, Any]:
        words(args, 0)
        return self.make_message()

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Result:  # noqa: ARG002 - nothing of them matters
        from importlib.util import find_spec

        return {"shell": False, "msg": _NOT_SUPPORTED if find_spec("IPython") else "No module named 'IPython'"}

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if msg.get("status") != "ok":
            return self.console_error(msg)
        return f"error: Could not start ipython kernel\n{msg['msg']}"
