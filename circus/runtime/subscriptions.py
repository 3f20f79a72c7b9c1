"""Who listens on a publishing socket, from what its XPUB says.

Owns the set of prefixes that are subscribed. Invariant: what somebody subscribed is wanted. What a question costs has a
limit, whatever peers do: beyond `MOST_PREFIXES` different ones everything counts as wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

import zmq

MOST_PREFIXES: Final = 1000
LONGEST_SHOWN: Final = 200

# All that there is, and the lines of output, which are only wanted by name.
_EVERYTHING: Final = (b"", b"log.")

SubscriptionHandler = Callable[[bytes, bool], None]


class Subscriptions:
    """The prefixes that subscribers of an XPUB asked for, with how many asked for each.

    Feed it the messages of the XPUB (it can be the `on_message` of a `LoopSocket`). `on_change` is told a prefix when
    its first subscriber comes (True) and when its last one leaves (False). Counts are right with the sockets of
    `publishing_socket`; an XPUB without VERBOSER reports each prefix once, which is enough for `wants`.

    Attributes:
        total: subscriptions, those of the same prefix included.
    """

    def __init__(self, on_change: SubscriptionHandler | None = None) -> None:
        self.on_change = on_change
        self.total = 0
        self._counts: dict[bytes, int] = {}
        self._prefixes: tuple[bytes, ...] = ()
        self._stale = False

    def __call__(self, frames: list[zmq.Frame]) -> None:
        """Take one message of the XPUB; anything but a subscription is ignored."""
        body = frames[0].bytes
        if len(frames) != 1 or not body or body[0] > 1:
            return
        prefix = body[1:]
        before = self._counts.get(prefix, 0)
        after = before + 1 if body[0] else max(before - 1, 0)
        self.total += after - before
        if after:
            self._counts[prefix] = after
        else:
            self._counts.pop(prefix, None)
        if bool(before) != bool(after):
            self._stale = True
            if self.on_change is not None:
                self.on_change(prefix, bool(after))

    def clear(self) -> None:
        """Nobody is connected any more."""
        self.total, self._prefixes, self._stale = 0, (), False
        prefixes = list(self._counts)
        self._counts.clear()
        for prefix in prefixes:
            if self.on_change is not None:
                self.on_change(prefix, False)

    def _known(self) -> tuple[bytes, ...]:
        if self._stale:
            self._stale = False
            self._prefixes = tuple(self._counts) if len(self._counts) <= MOST_PREFIXES else _EVERYTHING
        return self._prefixes

    def wants(self, topic: bytes) -> bool:
        """True when a message of exactly this topic would reach a subscriber."""
        return topic.startswith(self._known())

    def wants_below(self, stem: bytes) -> bool:
        """True when some topic that begins with `stem` could reach a subscriber."""
        known = self._known()
        return stem.startswith(known) or any(prefix.startswith(stem) for prefix in known)

    def counts(self) -> dict[str, int]:
        """Subscribers by prefix, for people (`{'': 1}` is somebody who takes everything); not more than they can read."""
        return {
            prefix[:LONGEST_SHOWN].decode(errors="replace"): count
            for prefix, count in islice(self._counts.items(), MOST_PREFIXES)
        }

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._counts)

    def __contains__(self, prefix: object) -> bool:
        return prefix in self._counts
