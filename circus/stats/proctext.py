"""The text of the files in /proc/PID: where a number stands, and how to get it out.

Pure functions on bytes. Invariant: a field that the kernel did not write is None, never 0.
"""

from __future__ import annotations

# Positions in the stat line after the name in brackets.
STATE, MINOR, MAJOR, USER, SYSTEM, CHILD_USER, CHILD_SYSTEM, NICE, THREADS, START, VIRTUAL = (
    0, 7, 9, 11, 12, 13, 14, 16, 17, 19, 20,
)  # fmt: skip
WAITED_FOR_DISK = 39

LINE = 1024
"""Bytes of the stat line that hold all of it that we need."""


def fields(line: bytes, last: int = -1) -> list[bytes]:
    """The words of a stat line after the name, which may hold anything; `last` is the highest position wanted."""
    return line[line.rindex(b")") + 2 :].split(b" ", last + 1 if last >= 0 else -1)


def tree_share(line: bytes, statm: bytes) -> tuple[int, int]:
    """(CPU ticks of a process and of the children that it waited for, resident pages)."""
    words = fields(line, CHILD_SYSTEM)
    ticks = sum(int(words[i]) for i in (USER, SYSTEM, CHILD_USER, CHILD_SYSTEM))
    return ticks, int(statm.split(b" ", 2)[1])


def after(text: bytes, key: bytes) -> int | None:
    """The first number after a key that begins a line; None when there is no such key or no number."""
    found = text.find(key)
    if found < 0:
        return None
    words = text[found + len(key) : found + len(key) + 64].split(None, 1)
    return int(words[0]) if words and words[0].isdigit() else None


def nth(text: bytes, index: int) -> int | None:
    """The number at this position in a line of numbers; None when there is none."""
    words = text.split()
    return int(words[index]) if len(words) > index else None


def program(cmdline: bytes) -> str | None:
    """The base name of the program, as 0.19 shows it: the first word of the first argument."""
    words = cmdline.split(b"\0", 1)[0].split()
    return words[0].rpartition(b"/")[2].decode(errors="replace") if words else None
