"""The last lines of each worker, kept in memory.

Owns what was read last from each output of each slot, within bounds, and the numbers of the lines. Knows neither pipes
nor streams. Keeping a chunk costs next to nothing: it is split into lines when somebody asks.
Invariant: lines are numbered from 0 without holes for as long as the slot exists, whatever process wrote them, and of
no output more than `BYTES` or `CHUNKS` is kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import msgspec

from circus.handover import RingRecord

BYTES = 32 * 1024
# A chunk has a line at least, so this many lines are there to be shown, unless they are long.
CHUNKS = 500


class Lines(msgspec.Struct, frozen=True, kw_only=True):
    """Some lines that were read at once. `seq` is the number of the first, `time` Unix time, `pid` who wrote them."""

    seq: int
    time: float
    pid: int
    lines: list[str]


class Ring:
    """The last of one output of one slot; `following` is the number that its next line will have."""

    __slots__ = ("_bytes", "_chunks", "following")

    def __init__(self) -> None:
        self.following = 0
        self._bytes = 0
        # (number of the line after the chunk, when, who, what): the chunk may have been cut at its beginning.
        # A list, because an empty deque takes a kilobyte, and most workers say little.
        self._chunks: list[tuple[int, float, int, bytes]] = []

    def add(self, data: bytes, lines: int, pid: int) -> None:
        """Keep a chunk of so many lines; what does not end with a newline counts as one more of them."""
        chunks = self._chunks
        self.following += lines
        if len(data) > BYTES:
            # From the beginning of a line on, if one begins there; of a line that is too long, its end.
            data = data[data.find(b"\n", len(data) - BYTES - 1, len(data) - 1) + 1 :][-BYTES:]
            # There must be no hole behind what came before it.
            chunks.clear()
            self._bytes = 0
        chunks.append((self.following, time.time(), pid, data))
        self._bytes += len(data)
        while self._bytes > BYTES or len(chunks) > CHUNKS:
            self._bytes -= len(chunks.pop(0)[3])

    def handed(self) -> list[tuple[int, float, int, bytes]]:
        """What is kept, to be handed over: number of the line after each chunk, when, who, what."""
        return list(self._chunks)

    def take_over(self, following: int, chunks: Iterable[tuple[int, float, int, bytes]]) -> None:
        """Go on where another ring ended."""
        self.following, self._chunks = following, list(chunks)
        self._bytes = sum(len(chunk[3]) for chunk in self._chunks)

    def read(self, *, last: int | None = None, since: int = 0, pid: int | None = None) -> list[Lines]:
        """The lines that are still here, oldest first: only the `last` so many, from number `since` on, of one process."""
        found: list[Lines] = []
        for following, moment, writer, data in reversed(self._chunks):
            if following <= since or (last is not None and last <= 0):
                break
            if pid is not None and writer != pid:
                continue
            texts = split(data)
            first = following - len(texts)
            skip = max(since - first, 0, 0 if last is None else len(texts) - last)
            texts = texts[skip:]
            if last is not None:
                last -= len(texts)
            found.append(Lines(seq=first + skip, time=moment, pid=writer, lines=texts))
        found.reverse()
        return found


class Rings:
    """The rings of one watcher, by slot and stream name; they stay when processes go."""

    def __init__(self) -> None:
        self._rings: dict[tuple[int, str], Ring] = {}

    def of(self, wid: int, name: str) -> Ring:
        """The ring of one output, made at its first mention."""
        found = self._rings.get((wid, name))
        if found is None:
            found = self._rings[wid, name] = Ring()
        return found

    def find(self, wid: int, name: str) -> Ring | None:
        """The ring of one output, None when it never had a process."""
        return self._rings.get((wid, name))

    def handed(self) -> list[RingRecord]:
        """All of them, to be handed over."""
        return [
            RingRecord(wid=wid, name=name, following=ring.following, chunks=ring.handed())
            for (wid, name), ring in self._rings.items()
        ]

    def take_over(self, records: Iterable[RingRecord]) -> None:
        """Go on where others ended."""
        for record in records:
            self.of(record.wid, record.name).take_over(record.following, record.chunks)

    def known(self) -> list[tuple[int, str]]:
        """All (slot, stream name) that ever had a process, sorted."""
        return sorted(self._rings)


def split(data: bytes) -> list[str]:
    """A chunk as lines of text; bytes that are no UTF-8 show as U+FFFD."""
    texts = data.decode("utf-8", "replace").split("\n")
    if not texts[-1]:
        texts.pop()
    return texts
