"""The command `test-alert`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command
from circus.commands.values import words
from circus.exc import MessageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class TestAlert(Command):
    """Have a test of an alert delivered to all whom the alert would tell, silenced or not.

    Nothing fires by it. `notify` in the reply are those who are told, as the configuration has it. How it went is told
    by records [`alert.delivered`](records.md#alertdelivered) and [`alert.failed`](records.md#alertfailed), which name
    `seq` among their `alerts`.

    Request:

        {"command": "test-alert", "properties": {"alert": "leak"}}

    Reply; `seq` is that of the record [`alert.test`](records.md#alerttest):

        {"status": "ok", "time": 1795465308.1, "boot": "9c0e8d…", "seq": 1204, "notify": ["ops"]}

    Command line; it waits for the deliveries, as long as `--wait` says:

        circusctl test-alert ALERT [--wait DURATION]
    """

    __test__ = False  # the name is no test's

    name = "test-alert"
    properties = ("alert",)
    options = (("wait", "wait", "15s", "how long to wait for the deliveries; 0 does not wait"),)

    def message(self, *args: str, **_: Any) -> dict[str, Any]:
        (alert,) = words(args, 1)
        return self.make_message(alert=alert)

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Any:
        if not isinstance(props["alert"], str):
            raise MessageError("message invalid 'alert' isn't a string")
        return arbiter.alerting.test(props["alert"])

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if msg.get("status") != "ok":
            return self.console_error(msg)
        return f"told to {', '.join(msg['notify'])}" if msg["notify"] else "there is nobody to be told of it"
