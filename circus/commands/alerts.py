"""The command `alerts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command
from circus.commands.values import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class Alerts(Command):
    """Tell which alerts fire, what is silenced, and whether those who are told of them can be reached.

    What an alert is stands in the configuration, in `[alert:NAME]`; the watcher `circus-exporter` watches for it.
    `since` is when the condition began, `fired` when it became an alert, `seq` the record of that; `value` is the last one
    seen, and `ends` is there when the condition is over: the alert goes on for its `keep`, unless it comes again. `deliveries` tells
    how the last delivery to each notifier went (while one is being tried, `next` is when it will be again), `silence` which
    silence keeps it from being told. `refused` counts alerts that there was no room for (10,000 are kept), `configured`
    names those that are watched for. A notifier that does not take what it is told has `attempts` and `last_error`, and
    `next_time`, when the next is made.

    Request:

        {"command": "alerts"}

    Reply:

        {"status": "ok", "time": 1795465308.1, "boot": "9c0e8d…", "seq": 1201, "alerts": [{"alert": "leak",
         "kind": "memory", "watcher": "web", "wid": 3, "severity": "warning", "since": 1795465207.7,
         "fired": 1795465237.7, "seq": 1180, "value": 612368384.0, "threshold": 536870912.0, "unit": "bytes",
         "labels": {"team": "payments"}, "annotations": {"summary": "web.3 has 584MiB"},
         "deliveries": {"ops": {"ok": true, "time": 1795465238.0, "attempts": 1, "error": null,
         "next": null}}, "silence": null, "ends": null}],
         "silences": [], "notifiers": [{"name": "ops", "type": "webhook", "delivered": 1, "failed": 0, "waiting": 0,
         "last_time": 1795465238.0, "last_error": null, "attempts": 0, "next_time": null}], "refused": 0,
         "configured": ["leak"]}

    Command line:

        circusctl alerts
    """

    name = "alerts"
    changes = False

    def message(self, *args: str, **_: Any) -> dict[str, Any]:
        words(args, 0)
        return self.make_message()

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Any:  # noqa: ARG002 - it has none
        return arbiter.alerting.answer()

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if msg.get("status") != "ok":
            return self.console_error(msg)
        from circus.commands.alert_text import alerts_text

        return alerts_text(msg)
