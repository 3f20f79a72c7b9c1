"""A carrier of output that another program can take over in the middle of everything.

Owns what has to be known for that: which pipes are read, the line that was begun in each, and where each stream is. How
output is carried is the business of the carrier. Invariant: a line that was begun before is ended after, and nothing that
was read is written twice or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from circus.handover import OutputsRecord, PipeRecord
from circus.stream.base import BaseStream
from circus.stream.carrier import Carrier
from circus.stream.per_worker import PerWorker
from circus.stream.pipe import HasOutput, Pipe
from circus.stream.target import Target, close_stream


class Redirector(Carrier):
    """Reads the pipes of one watcher's processes and feeds its streams; see `Carrier`."""

    def pipes_handed(self) -> list[PipeRecord]:
        """All pipes that are read, to be handed over."""
        return [
            PipeRecord(fd=each.fd, name=each.name, pid=each.pid, wid=each.wid, carry=each.unfinished,
                       lingers=each in self._lingering)
            for each in self._all()
            if not each.closed
        ]  # fmt: skip

    def streams_handed(self) -> list[tuple[str, int, dict[str, Any]]]:
        """What the streams keep, by output and slot (0: of all slots)."""
        return [
            (name, wid or 0, target.writer.handed())
            for (name, wid), target in self._targets.items()
            if isinstance(target.writer, BaseStream)
        ]

    def close_others(self) -> None:
        """Close the streams of other people's classes, of which we know nothing: they write what they have, and open
        again with the next chunk, here or in the program that makes them anew.
        """
        for target in self._targets.values():
            if not isinstance(target.writer, BaseStream):
                close_stream(target.writer)

    def take_over(self, record: OutputsRecord, processes: Mapping[int, HasOutput]) -> None:
        """Read on where another ended; after `start`. `processes` by pid, with their pipes open."""
        self.drops |= record.drops
        for name, wid, kept in record.streams:
            self._go_on(name, wid, kept)
        for pid, process in processes.items():
            self.add_redirections(process)
            for pipe in self._pipes.get(pid, ()):
                for each in record.pipes:
                    if (each.fd, each.name) == (pipe.fd, pipe.name):
                        pipe.begin(each.carry)
        self._linger(each for each in record.pipes if each.lingers)
        for target in self._targets.values():
            self._catch_up(target)

    def _go_on(self, name: str, wid: int, kept: Mapping[str, Any]) -> None:
        writer = self._writers[name]
        stream = writer.stream(wid) if isinstance(writer, PerWorker) else writer
        if isinstance(stream, BaseStream):
            size = len(kept.get("pending", b""))
            try:
                stream.take_over(kept)
            except (OSError, KeyError) as error:
                if size:
                    self._dropped(name, size, kept["pending"].count(b"\n") or 1, str(error))

    def _linger(self, records: Iterable[PipeRecord]) -> None:
        for each in records:
            pipe = Pipe(os.fdopen(each.fd, "rb", buffering=0), each.name, each.pid, each.wid)
            pipe.begin(each.carry)
            pipe.target = self._target_of(pipe)
            pipe.target.users += 1
            pipe.ring = self._rings.of(each.wid, each.name)
            self._lingering.add(pipe)
            self._watch(pipe)

    def _catch_up(self, target: Target) -> None:
        """A stream that was too slow is waited for again."""
        if target.pending and not target.waiting and self.loop is not None:
            target.wait(self.loop)
            for pipe in self._all():
                if pipe.target is target:
                    self._unwatch(pipe)
