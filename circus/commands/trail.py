"""Following the journal of a daemon from outside, and printing its records.

Invariant: no record is told twice, and what was missed is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from circus.exc import MessageError

if TYPE_CHECKING:
    from circus.consumer import CircusConsumer


class Trail:
    """The records that a client has not seen yet, asked for page by page, over gaps and restarts of the daemon.

    `lost` is how many the daemon no longer kept when they were last asked for.
    """

    def __init__(self, call: Callable[[Mapping[str, Any]], Mapping[str, Any]], request: dict[str, Any]) -> None:
        self.lost = 0
        self._call = call
        self._request = request
        self._boot: str | None = None

    def news(self) -> Iterator[Mapping[str, Any]]:
        """Everything since the last time; MessageError when the daemon refuses the request."""
        props = self._request["properties"]
        self.lost = 0
        while True:
            reply = self._call(self._request)
            if reply.get("status") != "ok":
                raise MessageError(str(reply.get("reason")))
            if self._boot is not None and reply["boot"] != self._boot:
                # A new daemon, whose records are counted from the beginning.
                self._boot, props["since"] = reply["boot"], 0
                continue
            self._boot = reply["boot"]
            if props["since"]:
                self.lost += max(reply["first"] - 1 - props["since"], 0)
            yield from reply["records"]
            if reply["next"] == props["since"]:
                return
            props["since"] = reply["next"]


def rings(consumer: CircusConsumer) -> Iterator[None]:
    """A doorbell: yields when there may be new records. What they say is asked from the journal, which loses none.

    The subscription takes a moment to reach the daemon, so it rings a few times by itself first.
    """
    for pause in (0.05, 0.2, 1.0):
        consumer.receive(pause)
        yield
    while True:
        if consumer.receive(3600.0) is not None:
            while consumer.receive(0.0) is not None:
                pass
            yield


def record_line(record: Mapping[str, Any]) -> str:
    """One record for people: when, seq, who, what, and the details that are known."""
    import time

    moment = record["time"]
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment)) + f".{int(moment % 1 * 1000):03d}"
    who = record["watcher"] or "-"
    if record.get("wid") is not None:
        who += f":{record['wid']}"
    if record.get("pid") is not None:
        who += f"[{record['pid']}]"
    details = [
        f"{key}={detail(value)}"
        for key, value in record["data"].items()
        if value not in (None, "", [], {}) and key not in _LONG
    ]
    return " ".join([when, f"#{record['seq']}", who, record["record"], *details, f"({_cause(record['cause'])})"])


_LONG = frozenset({"tail", "sample"})
"""What has no place in a line; `why` tells it."""


_EXACT = 1e6
"""From here on six digits would be an exponent; moments and sizes are told in full."""


def detail(value: Any) -> str:
    """One value of a record or of a sample, as it stands in a line."""
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < _EXACT else f"{value:.15g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value and not set(value) & set(" =()\n\t\"'"):
        return value
    if isinstance(value, list) and all(isinstance(each, dict) and "effect" in each for each in value):
        from circus.commands.values import change_text, section_text

        return "[" + ", ".join(section_text(each) if "subject" in each else change_text(each) for each in value) + "]"
    import json

    return json.dumps(value)


def _cause(cause: Mapping[str, Any]) -> str:
    match cause:
        case {"kind": "command", "name": name}:
            return f"command {name} by {cause.get('actor') or 'somebody'}"
        case {"kind": "record", "seq": seq}:
            return f"because of #{seq}"
        case {"kind": kind, "name": name}:
            return f"{kind} {name}"
        case _:
            return str(cause.get("kind"))
