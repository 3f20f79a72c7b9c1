"""The story behind a state or an end: records, walked back along their causes to where it began.

Reads the journal and the last ends that the bus keeps; changes nothing. Invariant: records are told oldest first, each
as it was published.
"""

from __future__ import annotations

from typing import Final

import msgspec

from circus.events.bus import Bus
from circus.exc import MessageError
from circus.wire.events import Record, decode
from circus.wire.snapshot import EndStory, WhyAnswer

LONGEST: Final = 8
"""Causes that are followed back; a crash loop is a chain without an end."""
_AFTER: Final = 6
"""Records that are told of what followed an end."""


def why(bus: Bus, watcher: str, state: str, wid: int | None) -> WhyAnswer:
    """Why a watcher is in its state, and how its last process ended (of one slot, or of all).

    Raises:
        MessageError: no process of that slot has ended, or there is no such slot.
    """
    ends = bus.tally(watcher).ends
    if wid is not None and wid not in ends:
        raise MessageError(f"no process of worker {wid} of {watcher!r} has ended")
    last = ends.get(wid) if wid is not None else max(ends.values(), key=lambda body: decode(body).seq, default=None)
    return WhyAnswer(
        boot=bus.boot,
        watcher=watcher,
        state=state,
        state_because=_of_state(bus, watcher),
        end=None if last is None else _of_end(bus, last),
    )


def _of_state(bus: Bus, watcher: str) -> list[msgspec.Raw]:
    found, _, _ = bus.journal.replay(watcher=watcher, record="watcher.state")
    return [*_causes(bus, decode(found[-1])), msgspec.Raw(found[-1])] if found else []


def _of_end(bus: Bus, body: bytes) -> EndStory:
    end = decode(body)
    following, _, _ = bus.journal.replay(since=end.seq, watcher=end.watcher)
    after: list[msgspec.Raw] = []
    for each in following:
        record = decode(each)
        if record.wid not in (None, end.wid) or len(after) == _AFTER:
            continue
        after.append(msgspec.Raw(each))
        if record.record == "process.ready":
            break
    return EndStory(wid=end.wid or 0, record=msgspec.Raw(body), because=_causes(bus, end), after=after)


def _causes(bus: Bus, record: Record) -> list[msgspec.Raw]:
    """What led to a record, oldest first, as far as it is remembered."""
    found: list[msgspec.Raw] = []
    while len(found) < LONGEST:
        cause = record.cause
        if cause.kind == "record":
            body = bus.journal.find(cause.seq or 0)
        elif cause.kind == "command" and cause.id is not None and record.record != "command.started":
            body = _command(bus, record.seq, cause.id)
        else:
            break
        if body is None:
            break
        found.append(msgspec.Raw(body))
        record = decode(body)
    return found[::-1]


def _command(bus: Bus, before: int, id_: str) -> bytes | None:
    found, _, _ = bus.journal.replay(record="command.started")
    for body in reversed(found):
        record = decode(body)
        if record.seq < before and record.cause.id == id_:
            return body
    return None
