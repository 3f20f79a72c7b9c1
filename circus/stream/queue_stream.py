"""Output into a queue of the program that embeds Circus.

Owns nothing but the meeting of the two. Invariant: every chunk is put, in order, and putting never waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from queue import Queue
from typing import Any


class QueueStream(Queue[Mapping[str, Any]]):
    """A queue without bounds that each chunk is put into, as the mapping it came in."""

    def __init__(self, **_ignored: object) -> None:
        super().__init__()

    def __call__(self, data: Mapping[str, Any]) -> None:
        self.put_nowait(data)

    def open(self) -> None:
        """Nothing to open; streams have it."""

    def close(self) -> None:
        """Nothing to close: who reads the queue may still be at it."""
