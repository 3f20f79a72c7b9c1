"""The command `listen`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.exc import MessageError

if TYPE_CHECKING:
    from circus.ports import ArbiterLike


class Listen(Command):
    """Follow the events channel.

    There is no request for it: subscribe to the daemon's `pubsub_endpoint` with a SUB socket. Topics are prefixes, e.g.
    `watcher.` for the events of circus 0.19 or `lifecycle.web.` for the records of one watcher. On the control channel
    the reply is always an error.

    Command line (all topics without TOPIC; `--endpoint` is the events endpoint here):

        circusctl listen [TOPIC...]
    """

    name = "listen"
    msg_type = "sub"
    changes = False

    def message(self, *args: str, **_: Any) -> list[str]:
        return list(args) or [""]

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Result:
        del arbiter, props
        raise MessageError("invalid message. use a pub/sub socket")
