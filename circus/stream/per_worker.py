"""A stream for each worker, where the options of the stream name the worker.

Owns which stream belongs to which slot. Knows nothing of what they do.
Invariant: a slot has one stream for as long as this object lives, whatever processes it has had.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from circus.stream.target import close_stream

if TYPE_CHECKING:
    from circus.ports import OutputStream

FIRST_WID = 1


class PerWorker:
    """Hands each chunk to the stream of its slot; `make` makes the one of a slot.

    The first is made at once, so that options which the class refuses are refused now.
    """

    def __init__(self, make: Callable[[int], OutputStream]) -> None:
        self._make = make
        self._streams = {FIRST_WID: make(FIRST_WID)}

    def __call__(self, data: Mapping[str, Any]) -> None:
        self.stream(data["wid"])(data)

    def stream(self, wid: int) -> OutputStream:
        """The stream of a slot. Where it cannot be made, one that raises why at each chunk; the next time is a new try."""
        found = self._streams.get(wid)
        if found is None:
            try:
                found = self._streams[wid] = self._make(wid)
            except ValueError as error:
                return _Broken(error)
        return found

    def close(self) -> None:
        """Close the streams that are there."""
        for stream in self._streams.values():
            close_stream(stream)

    def open(self) -> None:
        """Make the streams ready that are there; OSError when that is impossible now."""
        for stream in self._streams.values():
            getattr(stream, "open", _nothing)()


class _Broken:
    """In the place of a stream that could not be made."""

    def __init__(self, error: ValueError) -> None:
        self._error = error

    def __call__(self, data: Mapping[str, Any]) -> None:
        del data
        raise self._error


def _nothing() -> None:
    """Stand-in for a stream that needs no opening."""
