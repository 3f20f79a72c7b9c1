"""Where facts become records: numbers them, remembers them, counts them and hands them on.

The only place that gives out a seq. Invariant: seqs of a boot have no holes, whether anybody listens or not; the journal,
the counters and every subscriber are told the same record in the same order.
"""

from __future__ import annotations

import os
from _blake2 import blake2b  # hashlib would bring OpenSSL in: 4 MB for one small hash
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from circus.events.counters import WatcherTally
from circus.events.generations import Generations
from circus.events.journal import Journal
from circus.handover import BusRecord
from circus.wire import events as wire
from circus.wire import topics

if TYPE_CHECKING:
    from circus.ports import Clock, Sink

_ENDS: Final = ("process.exited", "process.lost")


class Bus:
    """Records and events of one daemon's life.

    Attributes:
        sink: where encoded messages go (the events channel), or None before it is bound.
        tallies: the counters by watcher name.
        generations: how far the processes of removed watchers were counted.
    """

    def __init__(self, clock: Clock, *, boot: str | None = None, journal_size: int = 10_000) -> None:
        self.boot = boot or os.urandom(8).hex()
        self.journal = Journal(self.boot, journal_size)
        self.tallies: dict[str, WatcherTally] = {}
        self.generations = Generations()
        self.sink: Sink | None = None
        self._clock = clock
        self._previous: dict[str | None, int] = {}
        self._salt = self.boot.encode()
        self._encode = msgspec.json.Encoder().encode

    @property
    def seq(self) -> int:
        """The last seq given out."""
        return self.journal.last

    def tally(self, watcher: str) -> WatcherTally:
        """The counters of a watcher, made at its first mention."""
        found = self.tallies.get(watcher)
        if found is None:
            found = self.tallies[watcher] = WatcherTally()
        return found

    def record(
        self,
        name: str,
        watcher: str | None,
        cause: wire.Cause,
        data: Mapping[str, Any],
        *,
        trace: str | None = None,
        wid: int | None = None,
        pid: int | None = None,
        generation: int | None = None,
    ) -> tuple[int, str]:
        """Make a record.

        Args:
            name: its kind, such as `process.exited`.
            watcher: whose; None for the arbiter's own.
            cause: what led to it.
            data: the keys of that kind.
            trace: 32 hex digits of the operation it belongs to; drawn here when None.
            wid: the slot, if it is about one.
            pid: the process, if it is about one.
            generation: which process of the watcher.

        Returns:
            (its seq, its trace id).
        """
        seq = self.journal.last + 1
        if trace is None:
            trace = os.urandom(16).hex()
        made = wire.Record(
            boot=self.boot,
            seq=seq,
            previous=self._previous.get(watcher),
            time=self._clock.time(),
            record=name,
            watcher=watcher,
            wid=wid,
            pid=pid,
            generation=generation,
            cause=cause,
            traceparent=self.context(seq, trace),
            data=dict(data),
        )
        self._previous[watcher] = seq
        body = self._encoded(made)
        self.journal.append(made, body)
        if watcher is not None:
            tally = self.tally(watcher)
            tally.fold(made)
            if name in _ENDS:
                tally.ends[wid or 0] = body
        if self.sink is not None:
            topic = topics.lifecycle_topic(watcher, name)
            if self.sink.wants(topic):
                self.sink.send(topic, body)
        return seq, trace

    def context(self, seq: int, trace: str, flags: str = "01") -> str:
        """The trace context of a record: what it leads to belongs below it."""
        span = blake2b(self._salt + str(seq).encode(), digest_size=8).hexdigest()
        return f"00-{trace}-{span}-{flags}"

    def _encoded(self, message: Any) -> bytes:
        try:
            return self._encode(message)
        except UnicodeEncodeError:
            # Text that came in as bytes of no encoding, such as a path; JSON can carry it only escaped.
            return self._encode(_escaped(msgspec.to_builtins(message)))

    def event(self, watcher: str, action: str, payload: Mapping[str, Any]) -> None:
        """Publish an event of circus 0.19, with the name as configured; `time` is added where the payload has none."""
        if self.sink is None:
            return
        topic = topics.watcher_topic(watcher, action)
        if self.sink.wants(topic):
            body = dict(payload)
            body.setdefault("time", self._clock.time())
            body["watcher"] = watcher
            self.sink.send(topic, self._encoded(body))

    def handed(self) -> BusRecord:
        """All of it, to be handed over."""
        return BusRecord(
            boot=self.boot,
            following=self.journal.last + 1,
            records=self.journal.kept(),
            previous=self._previous,
            tallies={name: tally.handed() for name, tally in self.tallies.items()},
            generations=list(self.generations.last.items()),
            floor=self.generations.floor,
        )

    @classmethod
    def resumed(cls, clock: Clock, record: BusRecord, *, journal_size: int) -> Bus:
        """The same boot, in another program."""
        bus = cls(clock, boot=record.boot, journal_size=journal_size)
        bus.journal.take_over(record.records, record.following)
        bus._previous.update(record.previous)
        bus.generations = Generations(record.generations, record.floor)
        for name, tally in record.tallies.items():
            bus.tally(name).take_over(tally)
        return bus

    def forget(self, watcher: str) -> None:
        """Drop the counters of a watcher that has been removed."""
        self.tallies.pop(watcher, None)
        self._previous.pop(watcher, None)


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_escaped(key): _escaped(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(each) for each in value]
    return value
