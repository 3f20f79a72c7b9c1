"""The bounded memory of lifecycle records: replay after a gap, and the story behind `why`.

Keeps encoded records by seq; the oldest go first. They are much alike, so all but the newest are kept compressed, some
dozens together: ten thousand take half a megabyte and not five. Invariant: what is kept is one contiguous run of seqs
ending with the last one given out.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from circus.wire.events import Record

_TOGETHER: Final = 64
_FAST: Final = 1  # a tenth of a millisecond for them all; better levels save little more

_Label = tuple[str | None, str]
"""A record's watcher and kind, by which it is looked for."""


class _Packed(NamedTuple):
    """So many records. Their bodies are JSON, which has no line ends, and stand one a line."""

    labels: Sequence[_Label]
    lines: bytes

    def bodies(self) -> list[bytes]:
        return zlib.decompress(self.lines).split(b"\n")


class _Open(NamedTuple):
    """The newest, to be packed when they are so many."""

    labels: Sequence[_Label]
    kept: list[bytes]

    def bodies(self) -> list[bytes]:
        return self.kept


class Journal:
    """A ring of the last `size` records of this boot.

    Attributes:
        first: the oldest seq kept (the next one to be given while nothing is kept).
    """

    def __init__(self, boot: str, size: int = 10_000) -> None:
        self.boot = boot
        self.first = 1
        self._size = max(size, 1)
        self._next = 1
        self._packed: deque[_Packed] = deque()
        self._start = 1  # the seq of the first record in there; below `first` while only a part of them is too old
        self._labels: list[_Label] = []
        self._bodies: list[bytes] = []

    @property
    def last(self) -> int:
        """The last seq given out, 0 before the first."""
        return self._next - 1

    def resize(self, size: int) -> None:
        """Keep this many from now on; of what is kept the newest stay."""
        self._size = max(size, 1)
        self._drop()

    def take_over(self, records: Iterable[tuple[str | None, str, bytes]], following: int) -> None:
        """Go on where another journal of this boot ended; `following` is the next seq."""
        kept = list(records)
        self._next = self._start = self.first = following - len(kept)
        for watcher, record, body in kept:
            self._keep((watcher, record), body)

    def kept(self) -> list[tuple[str | None, str, bytes]]:
        """(watcher, record, body) of all that is kept, the oldest first."""
        found = []
        for seq, part in self._parts(self.first):
            skipped = max(self.first - seq, 0)
            bodies = part.bodies()[skipped:]
            found += [(*label, body) for label, body in zip(part.labels[skipped:], bodies, strict=True)]
        return found

    def append(self, record: Record, body: bytes) -> None:
        """Keep a record; seqs come without holes."""
        assert record.seq == self._next, (record.seq, self._next)
        self._keep((record.watcher, record.record), body)

    def find(self, seq: int) -> bytes | None:
        """The record of that seq; None when it is not kept (any more)."""
        if not self.first <= seq < self._next:
            return None
        begin, part = next(self._parts(seq))
        return part.bodies()[seq - begin]

    def replay(
        self, since: int = 0, limit: int | None = None, watcher: str | None = None, record: str | None = None
    ) -> tuple[list[bytes], int, int]:
        """Records with a seq above `since`, oldest first, at most `limit`.

        Args:
            since: the last seq that the caller has; 0 for all that is kept.
            limit: how many at most; None for all.
            watcher: only this watcher's (compared without case), `-` for the arbiter's own.
            record: only records whose name begins with this.

        Returns:
            (encoded records, oldest seq kept, the `since` of the next call).
        """
        wanted = None if watcher is None else watcher.lower()
        found: list[bytes] = []
        begin = max(since + 1, self.first)
        for seq, part in self._parts(begin):
            bodies: list[bytes] | None = None
            for index in range(max(begin - seq, 0), len(part.labels)):
                if limit is not None and len(found) >= limit:
                    return found, self.first, seq + index - 1
                owner, name = part.labels[index]
                if wanted is not None and ("-" if owner is None else owner.lower()) != wanted:
                    continue
                if record is not None and not name.startswith(record):
                    continue
                bodies = bodies or part.bodies()
                found.append(bodies[index])
        return found, self.first, max(since, self.last)

    def _keep(self, label: _Label, body: bytes) -> None:
        self._labels.append(label)
        self._bodies.append(body)
        self._next += 1
        if len(self._labels) == _TOGETHER:
            same: dict[_Label, _Label] = {}
            labels = tuple([same.setdefault(each, each) for each in self._labels])
            self._packed.append(_Packed(labels, zlib.compress(b"\n".join(self._bodies), _FAST)))
            self._labels, self._bodies = [], []
        self._drop()

    def _drop(self) -> None:
        self.first = max(self.first, self._next - self._size)
        while self._packed and self.first >= self._start + _TOGETHER:
            self._packed.popleft()
            self._start += _TOGETHER

    def _parts(self, seq: int) -> Iterator[tuple[int, _Packed | _Open]]:
        """From the part on which has this record: with the seq of its first."""
        for index in range((seq - self._start) // _TOGETHER, len(self._packed)):
            yield self._start + index * _TOGETHER, self._packed[index]
        yield self._next - len(self._labels), _Open(self._labels, self._bodies)
