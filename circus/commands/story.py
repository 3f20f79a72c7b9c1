"""The reply of `why` as a story for people: what is the matter first, then how it came about.

Invariant: no record is told twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from circus.commands.story_lines import lasting, line, measures, waiting
from circus.wire.endings import sentence


def told(msg: Mapping[str, Any]) -> Iterator[str]:
    """The lines of the story."""
    yield f"{msg['watcher']} is {msg['state']}"
    state, end = msg["state_because"], msg["end"]
    if state and (said := waiting(state[-1], msg.get("time", 0.0))):
        yield f"  {said}"
    if end is None:
        yield "no process of it has ended"
        yield from _part("how it came about:", state)
        return
    record = end["record"]
    yield from _ended(end["wid"], record)
    known = {each["seq"]: each for each in (*state, *end["because"], record, *end["after"])}
    in_order = [known[seq] for seq in sorted(known)]
    yield ""
    yield from _part("how it came about:", (each for each in in_order if each["seq"] <= record["seq"]))
    yield from _part("what followed:", (each for each in in_order if each["seq"] > record["seq"]))
    if record["data"].get("sample"):
        yield "how it was measured last:"
        yield "  " + " ".join(measures(record["data"]["sample"]))


def _ended(wid: int, record: Mapping[str, Any]) -> Iterator[str]:
    """The last end and the last words."""
    data = record["data"]
    lived = lasting(data["lifetime_seconds"])
    yield f"process {record['pid']} of worker {wid} ended after {lived}: {sentence(data)}"
    words = data.get("tail") or {}
    for name in sorted(words):  # stderr is first, which mostly says it
        yield f"its last lines on {name}:"
        yield from (f"  {each}" for each in words[name])
    if data.get("leftovers"):
        yield "who lived on: " + ", ".join(f"{each['pid']} ({each['name']})" for each in data["leftovers"])


def _part(heading: str, records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    lines = [f"  {line(each)}" for each in records]
    return iter([heading, *lines] if lines else ())
