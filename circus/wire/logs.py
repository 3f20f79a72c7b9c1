"""Lines of output as they are published and as `tail` answers: the same shape for both.

Lines are numbered for each output of each slot (`seq`), so that who follows them knows what came twice and what is
missing. Lines are text: bytes that are no UTF-8 show as U+FFFD.
"""

from __future__ import annotations

import msgspec


class LogLines(msgspec.Struct, frozen=True, kw_only=True):
    """Lines that one process wrote, read at once. A line of more than 64 KiB comes in pieces, each as a line."""

    life: str
    watcher: str
    wid: int
    pid: int
    stream: str
    time: float
    seq: int
    lines: list[str]


class LogPosition(msgspec.Struct, frozen=True, kw_only=True):
    """The number that the next line of an output will have."""

    wid: int
    stream: str
    seq: int


class TailAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The last lines of a watcher, in the order in which they were read."""

    life: str
    watcher: str
    chunks: list[LogLines]
    next: list[LogPosition]


encode = msgspec.json.Encoder().encode
