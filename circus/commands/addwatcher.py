"""The command `add`."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.options_of import checked
from circus.commands.values import to_flag
from circus.exc import ArgumentError, CircusError, MessageError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from circus.ports import ArbiterLike


_LONGEST = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class AddWatcher(Command):
    """Add a watcher, and start it if told so.

    `options` are those of a watcher, as `set` takes them. The watcher is there until it is removed or circusd ends; a
    `reloadconfig` leaves it alone unless the file has a watcher of that name.

    Request:

        {"command": "add", "properties": {"name": "web", "cmd": "program", "args": ["--port", "8080"],
         "options": {"numprocesses": 2}, "start": true, "waiting": false}}

    Reply, at once:

        {"status": "ok", "time": 1795465307.73}

    Reply with `start` and `waiting`:

        {"status": "ok", "time": 1795465307.73, "started": [4242, 4243], "kept": []}

    Where something did not come up, the reply with `waiting` has `"failed"` too: by watcher why, in a sentence.

    Command line:

        circusctl add NAME PROGRAM [ARGUMENT...] [--start] [--waiting]
    """

    name = "add"
    overtaken_by_quit = True
    role = "admin"
    properties = ("name", "cmd")
    options = (("start", "start", False, "start it at once"), *Command.waiting_options)

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        if len(args) < 2:
            raise ArgumentError("Invalid number of arguments")
        props = {"waiting": True} if opts.get("waiting") else {}
        # Words are joined as they are, as of old. Those with a dash, which circus 0.19 refused, may keep what they hold.
        dashes = any(word.startswith("-") for word in args[1:])
        cmd = shlex.join(args[1:]) if dashes else " ".join(args[1:])
        return self.make_message(name=args[0], cmd=cmd, start=opts.get("start", False), **props)

    def validate(self, props: dict[str, Any]) -> None:
        super().validate(props)
        for key in ("name", "cmd"):
            value = props[key]
            if not isinstance(value, str):
                raise MessageError(f"{key!r} isn't a string")
            if not value.strip():
                raise MessageError(f"{key!r} is empty")
        if len(props["name"]) > _LONGEST or _CONTROL.search(props["name"]) is not None:
            raise MessageError(f"'name' is longer than {_LONGEST} characters, or has some that cannot be printed")
        checked({"args": props.get("args")})
        checked(props.get("options", {}))

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Awaitable[Result]:
        from circus.commands.ownership import check_owner
        from circus.spec.typed import updated
        from circus.spec.watcher import WatcherSpec

        given = checked(props.get("options", {}))
        check_owner(arbiter, ["cmd", *given], given.get("uid"), given.get("gid"))
        start = to_flag(props, "start")
        first = {"cmd": props["cmd"], "args": props.get("args")}
        spec = updated(WatcherSpec(name=props["name"].strip(), origin="api"), first | given)
        if spec.singleton and spec.numprocesses > 1:
            raise CircusError(f"Cannot have {spec.numprocesses} processes with a singleton watcher")
        return arbiter.add(spec, start=start)
