"""The command `unsilence`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command
from circus.commands.values import words
from circus.exc import MessageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class Unsilence(Command):
    """Lift a silence; alerts that it kept from being told and that still fire are told now.

    Request (`alerts` tells the ids):

        {"command": "unsilence", "properties": {"silence": 3}}

    Reply; `seq` is that of the record [`alert.unsilenced`](records.md#alertunsilenced):

        {"status": "ok", "time": 1795465308.1, "boot": "9c0e8d…", "seq": 1203, "silence": {"id": 3, "alert": "*",
         "watcher": "web", "wid": null, "since": 1795465308.1, "until": 1795468908.1, "author": "uid:1000,…",
         "comment": "deploy"}}

    Command line:

        circusctl unsilence SILENCE
    """

    name = "unsilence"
    properties = ("silence",)

    def message(self, *args: str, **_: Any) -> dict[str, Any]:
        (number,) = words(args, 1)
        return self.make_message(silence=int(number or ""))

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Any:
        number = props["silence"]
        if isinstance(number, bool) or not isinstance(number, int):
            raise MessageError(f"'silence' isn't the number of a silence: {str(number)[:100]!r}")
        return arbiter.alerting.unsilence(number)

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        return "ok" if msg.get("status") == "ok" else self.console_error(msg)
