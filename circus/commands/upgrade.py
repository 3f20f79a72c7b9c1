"""The command `upgrade`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import words
from circus.exc import ArgumentError, MessageError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.ports import ArbiterLike

PATIENCE_SECONDS = 30.0


class Upgrade(Command):
    """Replace circusd by the program that is installed now. Workers run on and see nothing of it.

    Sockets, the output of processes, counters, the journal and what was changed at run time are handed over; pid and
    boot stay. The configuration file is not read again: that is `reloadconfig`. Before anything is touched the new
    program is tried in a child; when it does not work, the daemon goes on as it is and says why.

    It waits until nothing is in progress, for `timeout` seconds at most. The reply comes just before the exchange,
    which breaks the connection; whether it was done is told by the record `arbiter.upgraded` or
    `arbiter.upgrade_failed` after `seq` in the journal. `circusctl upgrade` waits for that.

    Request:

        {"command": "upgrade", "properties": {"timeout": 30}}

    Reply:

        {"status": "ok", "time": 1795465307.73, "boot": "5f0c2b6e9d1a4c37", "seq": 1201, "upgrades": 0, "pid": 812,
         "seconds": 0.41}

    Command line:

        circusctl upgrade [--wait SECONDS]
    """

    name = "upgrade"
    role = "admin"
    always_waits = True
    options = (("wait", "wait", PATIENCE_SECONDS, "how many seconds to wait until nothing is in progress"),)

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        words(args, 0)
        given = opts.get("wait", PATIENCE_SECONDS)
        try:
            timeout = float(given)
        except ValueError:
            raise ArgumentError(f"--wait: expected a number of seconds, got {given!r}") from None
        return self.make_message(timeout=timeout)

    def validate(self, props: dict[str, Any]) -> None:
        timeout = props.get("timeout", PATIENCE_SECONDS)
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 <= timeout <= 3600:
            raise MessageError(f"message invalid 'timeout' isn't a number of seconds from 0 to 3600: {timeout!r}")

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Awaitable[Result]:
        return arbiter.upgrade(float(props.get("timeout", PATIENCE_SECONDS)))
