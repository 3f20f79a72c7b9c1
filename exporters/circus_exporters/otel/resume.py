"""Where an exporter that is started goes on: which spans the one before it has told already.

Pure. The journal of the daemon has the answer, because the exporter is a process that the daemon supervises: its own
spawn stands there, and the end of its predecessor. Invariant: what nobody told is told; what was perhaps told already is
told again, with the same ids, so that a backend keeps it once.
"""

from __future__ import annotations

from circus.spec.exporters import EXPORTER_WATCHER
from circus.wire.events import Record
from circus_exporters.otel.spans import Span

OVERLAP_SECONDS = 10.0
"""What the predecessor may have had in hand and lost: a batch that waits, and one on its way."""


class Resume:
    """Collects what ended before this process followed. `pid` is its own, `now` Unix time."""

    def __init__(self, pid: int, now: float) -> None:
        self._pid = pid
        self._since = now  # by hand: nobody's successor
        self._ended: float | None = None
        self._past: list[Span] = []

    def fold(self, record: Record, spans: list[Span]) -> None:
        """A record from before, and the spans that ended with it."""
        self._past += spans
        if record.watcher == EXPORTER_WATCHER:
            if record.record in ("process.exited", "process.lost"):
                self._ended = record.time
            elif record.record == "process.spawned" and record.pid == self._pid:
                self._since = 0.0 if self._ended is None else self._ended - OVERLAP_SECONDS

    def untold(self, open_traces: set[str]) -> list[Span]:
        """Those that are to be told; what belongs to an operation that still runs is told whole."""
        past, self._past = self._past, []
        return [span for span in past if span.end >= self._since or span.trace in open_traces]
