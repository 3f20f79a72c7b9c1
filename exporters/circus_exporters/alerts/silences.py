"""Which alerts nobody is told of for a while, as the daemon keeps it.

Owns the matching. It refuses to know clocks. Invariant: a silence counts from the record that tells of it to its end.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from circus.spec.amounts import matches
from circus.wire import alerts as wire
from circus.wire.events import Record
from circus_exporters.alerts.engine import Key


class Silences:
    """Those in force."""

    def __init__(self) -> None:
        self._kept: dict[int, wire.Silence] = {}

    def begin(self, silences: Iterable[wire.Silence]) -> None:
        """What the daemon has told of, in place of what was known."""
        self._kept = {silence.id: silence for silence in silences}

    def follow(self, record: Record) -> bool:
        """Take a record; False when it is about something else."""
        if record.record == wire.SILENCED:
            try:
                silence = msgspec.convert(record.data, wire.Silence)
            except msgspec.ValidationError:
                return False
            self._kept[silence.id] = silence
            return True
        if record.record == wire.UNSILENCED:
            return self._kept.pop(int(record.data.get("id", 0)), None) is not None
        return False

    def covers(self, key: Key, time: float) -> bool:
        """Whether nobody is to be told of this alert at this Unix time."""
        self._kept = {number: silence for number, silence in self._kept.items() if time < silence.until}
        return any(
            matches((silence.alert,), key.rule)
            and matches((silence.watcher,), key.watcher or "")
            and silence.wid in (None, key.wid)
            for silence in self._kept.values()
        )
