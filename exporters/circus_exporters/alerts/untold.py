"""Alerts that were over before everybody had been told, as the daemon's journal shows them to the next exporter.

Owns what can be said of deliveries from records alone. It refuses to know notifiers. Invariant: a delivery that is in the
journal is not made again; one that is not there may be made twice, and is never left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from circus.wire import alerts as wire
from circus.wire.events import Record
from circus_exporters.alerts import described
from circus_exporters.alerts.messages import Alert
from circus_exporters.alerts.silences import Silences


@dataclass(slots=True, kw_only=True)
class Past:
    """One alert. `told` counts by notifier what it has taken of it: the beginning, then the end. `refused` are those that
    were given up, `silent` says that nobody was to be told.
    """

    alert: Alert
    silent: bool
    told: Counter[str]
    refused: set[str]


class Untold:
    """Takes the records of the journal, in order."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._past: dict[int, Past] = {}
        self._silences = Silences()
        self.notifiers: set[str] = set()
        """Who is known to have been there."""

    def take(self, record: Record) -> None:
        if self._silences.follow(record):
            return
        data = record.data
        match record.record:
            case wire.FIRING:
                alert = described.recorded(record, self._instance)
                silent = self._silences.covers(alert.key, record.time)
                self._past[record.seq] = Past(alert=alert, silent=silent, told=Counter(), refused=set())
            case wire.RESOLVED:
                past = self._past.get(int(data.get("firing") or 0))
                if past is not None:
                    past.alert.ended = record.time
            case wire.DELIVERED | wire.FAILED:
                name = str(data.get("notify"))
                self.notifiers.add(name)
                for past in (self._past[seq] for seq in data.get("alerts", ()) if seq in self._past):
                    if record.record == wire.DELIVERED:
                        past.told[name] += 1
                    else:
                        past.refused.add(name)

    def ended(self) -> Iterator[Past]:
        """Those that are over, the oldest first."""
        return (past for past in self._past.values() if past.alert.ended is not None)
