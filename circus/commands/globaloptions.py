"""The command `globaloptions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import as_lines, words
from circus.exc import MessageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class GlobalOptions(Command):
    """Tell the daemon's own options: its addresses and the pace of its safety sweep.

    Request (without `option` all are told):

        {"command": "globaloptions", "properties": {"option": "check_delay"}}

    Reply:

        {"status": "ok", "time": 1795465307.73, "options": {"endpoint": "tcp://127.0.0.1:5555",
         "stats_endpoint": "tcp://127.0.0.1:5557", "pubsub_endpoint": "tcp://127.0.0.1:5556", "check_delay": 5.0,
         "multicast_endpoint": "udp://237.219.251.97:12027"}}

    Command line:

        circusctl globaloptions [OPTION]
    """

    name = "globaloptions"
    changes = False

    def message(self, *args: str, **_: Any) -> dict[str, Any]:
        (option,) = words(args, 0, 1)
        return self.make_message() if option is None else self.make_message(option=option)

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Result:
        options = {
            "endpoint": arbiter.endpoint,
            "stats_endpoint": arbiter.stats_endpoint,
            "pubsub_endpoint": arbiter.pubsub_endpoint,
            "check_delay": arbiter.check_delay,
            "multicast_endpoint": arbiter.multicast_endpoint,
        }
        wanted = props.get("option")
        if not wanted:
            return {"options": options}
        if not isinstance(wanted, str) or wanted not in options:
            raise MessageError(f"{wanted!r} not an existing option")
        return {"options": {wanted: options[wanted]}}

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        return as_lines(msg["options"]) if msg.get("status") == "ok" else self.console_error(msg)
