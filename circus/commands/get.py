"""The command `get`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import as_lines
from circus.exc import ArgumentError, MessageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class Get(Command):
    """Tell options of a watcher.

    Every key that `options` lists can be asked for, free-form ones too, and every option under the name that `set`
    takes: `autostart`, `rlimit_nofile`, `hooks.before_start`, `stdout_stream.filename`, `env.PATH`.

    Request:

        {"command": "get", "properties": {"name": "web", "keys": ["numprocesses", "stop_signal"]}}

    Reply:

        {"status": "ok", "time": 1795465307.73, "options": {"numprocesses": 2, "stop_signal": 15}}

    Command line:

        circusctl get NAME KEY [KEY...]
    """

    name = "get"
    properties = ("name", "keys")
    changes = False

    def message(self, *args: str, **_: Any) -> dict[str, Any]:
        if len(args) < 2:
            raise ArgumentError("Invalid number of arguments")
        return self.make_message(name=args[0], keys=list(args[1:]))

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Result:
        watcher = self._get_watcher(arbiter, props["name"])
        keys = props["keys"]
        if not isinstance(keys, list):
            raise MessageError("'keys' isn't a list")
        known = watcher.all_options()
        for key in keys:
            if not isinstance(key, str) or key not in known:
                raise MessageError(f"{key!r} option not found")
        return {"options": {key: known[key] for key in keys}}

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if msg.get("status") != "ok":
            return self.console_error(msg)
        return as_lines(msg["options"], in_order=True)
