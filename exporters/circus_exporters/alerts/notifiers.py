"""Which way a `[notify:NAME]` asks for."""

from __future__ import annotations

from collections.abc import Iterable

from circus.exc import CircusError
from circus.spec.alerts import NotifySpec
from circus_exporters.alerts.delivery import Sink
from circus_exporters.alerts.http_sinks import AlertmanagerSink, WebhookSink
from circus_exporters.alerts.local_sinks import ExecSink, PythonSink


def sink_of(spec: NotifySpec, instance: str) -> Sink:
    """The way to a notifier."""
    match spec.type:
        case "webhook":
            return WebhookSink(spec, instance)
        case "alertmanager":
            return AlertmanagerSink(spec)
        case "exec":
            return ExecSink(spec, instance)
        case "python":
            return PythonSink(spec, instance)


def check(notifiers: Iterable[NotifySpec]) -> list[str]:
    """What will keep notifiers from working, one sentence each."""
    found = []
    for spec in notifiers:
        try:
            sink_of(spec, "").check()
        except CircusError as error:
            found.append(str(error))
    return found
