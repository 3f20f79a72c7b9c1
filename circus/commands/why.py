"""The command `why`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, find_watcher
from circus.commands.story import told
from circus.commands.values import words
from circus.exc import MessageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class Why(Command):
    """Tell why a watcher is in its state, and how its last process ended: from what began it to what followed.

    With `wid` the last end in that slot, else the last of all. `record` is the [record](records.md#processexited) of the
    end, `because` are the records that led to it, `after` those that followed, each oldest first and as far as the
    journal remembers; the end itself is kept for each slot. `state_because` leads to the present state, its own record
    last. `end` is null while no process has ended.

    Request:

        {"command": "why", "properties": {"name": "web", "wid": 1}}

    Reply (records shortened):

        {"status": "ok", "time": 1795465308.1, "boot": "9c0e8d…", "watcher": "web", "state": "active",
         "state_because": [{"seq": 2, "record": "watcher.state"}],
         "end": {"wid": 1, "record": {"seq": 1201, "record": "process.exited"},
                 "because": [{"seq": 3, "record": "process.spawned"}],
                 "after": [{"seq": 1202, "record": "process.spawned"}, {"seq": 1203, "record": "process.ready"}]}}

    Command line:

        circusctl why NAME [WID]
    """

    name = "why"
    properties = ("name",)
    changes = False

    def message(self, *args: str, **_: Any) -> dict[str, Any]:
        name, wid = words(args, 1, 2)
        return self.make_message(name=name) if wid is None else self.make_message(name=name, wid=int(wid))

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Any:
        wid = props.get("wid")
        if wid is not None and (isinstance(wid, bool) or not isinstance(wid, int)):
            raise MessageError(f"'wid' isn't the number of a worker: {wid!r}")
        return find_watcher(arbiter, props["name"]).why(wid)

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if msg.get("status") != "ok":
            return self.console_error(msg)
        return "\n".join(told(msg))
