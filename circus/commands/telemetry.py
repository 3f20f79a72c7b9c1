"""The command `telemetry`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command
from circus.commands.selection import check_length
from circus.commands.values import to_flag, words
from circus.exc import MessageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class Telemetry(Command):
    """Tell all cumulative numbers that the daemon has, in one document.

    What exporters read at their start and after a gap. Every value of a closed enumeration is there, at 0 from the
    start. `watchers` is a glob over their names; `detail` false leaves the single slots out.

    Request:

        {"command": "telemetry", "properties": {"watchers": "web*", "detail": true}}

    Reply (its parts are described in the reference of messages):

        {"status": "ok", "boot": "9c0e8d…", "seq": 1201, "time": 1795465308.1, "version": "1.0.0", "config": {…},
         "arbiter": {…}, "sockets": […], "watchers": […]}

    Command line, indented JSON:

        circusctl telemetry [WATCHERS] [--brief]
    """

    name = "telemetry"
    changes = False
    options = (("brief", "brief", False, "leave the single slots out"),)

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        (watchers,) = words(args, 0, 1)
        props: dict[str, Any] = {"detail": not opts.get("brief")}
        if watchers is not None:
            props["watchers"] = watchers
        return self.make_message(**props)

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Any:
        watchers = props.get("watchers")
        if watchers is not None and not isinstance(watchers, str):
            raise MessageError("'watchers' isn't a string")
        check_length("watchers", watchers or "")
        return arbiter.telemetry(watchers, to_flag(props, "detail", default=True))

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        import json

        if msg.get("status") != "ok":
            return self.console_error(msg)
        return json.dumps({key: value for key, value in msg.items() if key != "id"}, indent=2)
