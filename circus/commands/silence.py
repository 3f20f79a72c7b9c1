"""The command `silence`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from circus.commands.base import Command
from circus.exc import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class SilenceAlerts(Command):
    """Tell nobody of certain alerts for a time; they go on to be watched for, and `alerts` shows them.

    `watcher` and `alert` are names or globs, `*` unless given; `wid` means one worker. It ends after `seconds`, or at
    `until`, Unix time. An alert that still fires at its end is told then. The end of an alert that was told before is
    told all the same.

    Request:

        {"command": "silence", "properties": {"watcher": "web", "alert": "*", "seconds": 3600, "comment": "deploy"}}

    Reply; `seq` is that of the record [`alert.silenced`](records.md#alertsilenced):

        {"status": "ok", "time": 1795465308.1, "boot": "9c0e8d…", "seq": 1202, "silence": {"id": 3, "alert": "*",
         "watcher": "web", "wid": null, "since": 1795465308.1, "until": 1795468908.1, "author": "uid:1000,…",
         "comment": "deploy"}}

    Command line; for one hour unless it says otherwise:

        circusctl silence NAME[:WID] [--for DURATION] [--alert ALERT] [--comment TEXT] [--author TEXT]
    """

    name = "silence"
    options = (
        ("for", "for", "1h", "how long: 30s, 5m, 1h30m"),
        ("alert", "alert", "*", "only this alert: a name or glob"),
        ("comment", "comment", "", "why"),
        ("author", "author", None, "who you are; your login name unless given"),
    )

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        if len(args) != 1:
            raise ArgumentError("Invalid number of arguments")
        from circus.spec.amounts import to_seconds

        name, colon, end = args[0].rpartition(":")
        props: dict[str, Any] = {"watcher": args[0]}
        if colon and end.isdecimal():
            props = {"watcher": name, "wid": int(end)}
        try:
            props["seconds"] = to_seconds(str(opts.get("for") or "1h"))
        except (ValueError, OverflowError):
            raise ArgumentError(f"--for takes a duration such as 30s, 5m or 1h30m, not {opts['for']!r}") from None
        props |= {"alert": opts.get("alert") or "*", "comment": opts.get("comment") or ""}
        author = opts.get("author") or os.environ.get("LOGNAME") or os.environ.get("USER")
        if author:
            props["author"] = author
        return self.make_message(**props)

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Any:
        return arbiter.alerting.silence({name: value for name, value in props.items() if name != "waiting"})

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if msg.get("status") != "ok":
            return self.console_error(msg)
        from circus.commands.alert_text import silence_text

        return silence_text(msg["silence"], msg["time"])
