"""The command `record`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from circus.commands.base import Command
from circus.commands.values import words
from circus.exc import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class RecordAlert(Command):
    """Tell the daemon that an alert fires, is over, or was delivered; circus-exporter does, and scripts may.

    `record` is `alert.firing`, `alert.resolved`, `alert.delivered`, `alert.failed`, `retrying` or `standing`, and `data` has
    [what belongs to it](alerts.md), at most 16 KiB. An alert is known by `alert`, `watcher` and `wid`: it fires once,
    until it is resolved. It becomes a [record](records.md#alertfiring), whose `seq` is in the reply; that of a command
    is not made. `cause` is the seq of a record that led here. `seq` is null where there was nothing to resolve, and for
    `retrying` and `standing`, which only change what `alerts` tells.

    Request:

        {"command": "record", "properties": {"record": "alert.firing", "watcher": "web", "wid": 3, "data": {
         "alert": "leak", "kind": "memory", "severity": "warning", "since": 1795465207.7, "value": 612368384,
         "threshold": 536870912, "unit": "bytes"}}}

    Reply:

        {"status": "ok", "time": 1795465308.1, "boot": "9c0e8d…", "seq": 1180}

    Command line:

        circusctl record RECORD [NAME] [WID] [--data JSON] [--cause SEQ]
    """

    name = "record"
    properties = ("record",)
    changes = False  # what it makes is a record already
    role = "operate"
    options = (
        ("data", "data", None, "what belongs to it, a JSON object"),
        ("cause", "cause", None, "seq of the record that led here"),
    )

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        record, watcher, wid = words(args, 1, 3)
        props: dict[str, Any] = {"record": record}
        if watcher is not None:
            props["watcher"] = watcher
        if wid is not None:
            props["wid"] = int(wid)
        if opts.get("cause") is not None:
            props["cause"] = int(opts["cause"])
        if opts.get("data") is not None:
            try:
                props["data"] = json.loads(opts["data"])
            except ValueError as error:
                raise ArgumentError(f"--data takes a JSON object: {error}") from None
        return self.make_message(**props)

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Any:
        return arbiter.alerting.told({name: value for name, value in props.items() if name != "waiting"})

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if msg.get("status") != "ok":
            return self.console_error(msg)
        return "ok" if msg["seq"] is None else f"record {msg['seq']}"
