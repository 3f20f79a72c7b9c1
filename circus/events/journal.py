"""The bounded memory of lifecycle records: replay after a gap, and the story behind `why`.

Keeps encoded records by seq; the oldest go first. Invariant: what is kept is one contiguous run of seqs ending with
the last one given out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from circus.wire.events import Record


class Journal:
    """A ring of the last `size` records of this boot."""

    def __init__(self, boot: str, size: int = 10_000) -> None:
        self.boot = boot
        self._records: deque[tuple[str | None, str, bytes]] = deque(maxlen=max(size, 1))
        self._next = 1

    @property
    def first(self) -> int:
        """The oldest seq kept (the next one to be given while nothing is kept)."""
        return self._next - len(self._records)

    @property
    def last(self) -> int:
        """The last seq given out, 0 before the first."""
        return self._next - 1

    def resize(self, size: int) -> None:
        """Keep this many from now on; of what is kept the newest stay."""
        if max(size, 1) != self._records.maxlen:
            self._records = deque(self._records, maxlen=max(size, 1))

    def take_over(self, records: Iterable[tuple[str | None, str, bytes]], following: int) -> None:
        """Go on where another journal of this boot ended; `following` is the next seq."""
        self._records.extend(records)
        self._next = following

    def kept(self) -> list[tuple[str | None, str, bytes]]:
        """(watcher, record, body) of all that is kept, the oldest first."""
        return list(self._records)

    def append(self, record: Record, body: bytes) -> None:
        """Keep a record; seqs come without holes."""
        assert record.seq == self._next, (record.seq, self._next)
        self._records.append((record.watcher, record.record, body))
        self._next += 1

    def find(self, seq: int) -> bytes | None:
        """The record of that seq; None when it is not kept (any more)."""
        index = seq - self.first
        return self._records[index][2] if 0 <= index < len(self._records) else None

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
        first = self.first
        start = max(since + 1 - first, 0)
        seen = max(since, first - 1)
        for index in range(start, len(self._records)):
            if limit is not None and len(found) >= limit:
                break
            owner, name, body = self._records[index]
            seen = first + index
            if wanted is not None and ("-" if owner is None else owner.lower()) != wanted:
                continue
            if record is not None and not name.startswith(record):
                continue
            found.append(body)
        return found, first, seen
