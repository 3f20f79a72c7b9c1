"""The reply of `why` as a story for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from circus.commands.trail import detail, record_line

if TYPE_CHECKING:
    from collections.abc import Sequence

_SENTENCES = {
    "completed": "it ended by itself and said that all was well",
    "exit_error": "it ended by itself with exit status {exit_code}",
    "crash": "it crashed with {signal}",
    "stopped": "it was asked to end",
    "stop_timeout": "it was asked to end and did not, so SIGKILL was needed",
    "max_age": "it had reached its max_age and was replaced",
    "memory_limit": "it had more memory than its memory_limit and was replaced",
    "watchdog": "its watchdog had it replaced",
    "oom": "the kernel killed it because memory ran out: {evidence}",
    "lost": "nobody knows how it ended: {why}",
}


def sentence(data: Mapping[str, Any]) -> str:
    """How a process ended, from the data of its record."""
    if data["reason"] == "killed":
        text = "it died of {signal}, which " + (
            "was sent by the command signal" if data["initiator"] == "supervisor" else "came from outside of circusd"
        )
    else:
        text = _SENTENCES.get(data["reason"], "{reason}")
    core = "; core dumped" if data.get("core") else ""
    return text.format_map(data) + core


def told(msg: Mapping[str, Any]) -> Iterator[str]:
    """The lines of the story."""
    yield f"{msg['watcher']} is {msg['state']}"
    yield from _records(msg["state_because"])
    end = msg["end"]
    if end is None:
        yield "no process of it has ended"
        return
    record = end["record"]
    data = record["data"]
    yield ""
    lived = data["lifetime_seconds"]
    yield f"process {record['pid']} of worker {end['wid']} ended after {lived:.6g} s: {sentence(data)}"
    yield from _records([*end["because"], record])
    for name, lines in (data.get("tail") or {}).items():
        yield f"its last lines on {name}:"
        yield from (f"  {line}" for line in lines)
    if data.get("sample"):
        yield "how it was measured last:"
        yield "  " + " ".join(f"{key}={detail(value)}" for key, value in data["sample"].items())
    if data.get("leftovers"):
        yield "who lived on: " + ", ".join(f"{each['pid']} ({each['name']})" for each in data["leftovers"])
    if end["after"]:
        yield "what followed:"
        yield from _records(end["after"])


def _records(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    return (f"  {record_line(record)}" for record in records)
