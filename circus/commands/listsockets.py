"""The command `listsockets`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class ListSockets(Command):
    """List the sockets that Circus owns, by file descriptor.

    Request:

        {"command": "listsockets"}

    Reply (`port` is the real one where any free port was asked for):

        {"status": "ok", "time": 1795465307.73, "sockets": [
         {"fd": 9, "name": "ux", "backlog": 2048, "path": "/run/app/ux.sock"},
         {"fd": 16, "name": "web", "backlog": 2048, "host": "127.0.0.1", "port": 8080}]}

    Command line:

        circusctl listsockets
    """

    name = "listsockets"
    changes = False

    def message(self, *args: str, **_: Any) -> dict[str, Any]:
        words(args, 0)
        return self.make_message()

    def execute(self, arbiter: ArbiterLike, _: dict[str, Any]) -> Result:
        rows: list[dict[str, Any]] = []
        for name, sock in arbiter.sockets.items():
            row: dict[str, Any] = {"fd": sock.fileno(), "name": name, "backlog": sock.backlog}
            row |= {"host": sock.host, "port": sock.port} if sock.path is None else {"path": sock.path}
            rows.append(row)
        return {"sockets": sorted(rows, key=lambda row: int(row["fd"]))}

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if msg.get("status") != "ok":
            return self.console_error(msg)
        return "\n".join(_line(row) for row in msg["sockets"])


def _line(row: Mapping[str, Any]) -> str:
    where = row["path"] if "path" in row else f"{row['host']}:{row['port']}"
    return f"{row['fd']}:socket {row['name']!r} at {where}"
