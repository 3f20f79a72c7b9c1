"""What a stream is, and how its options are read.

Owns the common ground of the built-in streams: their life cycle, the time before a line, the conversion of options that
arrive as text. Knows no file, no process and no loop.
Invariant: `stream(data)` takes the bytes of one process, and what it cannot take it raises, never hides.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from datetime import datetime
from typing import Any

from circus.spec.scalars import to_bool


class BaseStream(ABC):
    """A callable that takes `{'data': bytes, 'pid': int, 'name': 'stdout' | 'stderr', 'wid': int}`.

    `data` are whole lines, but for the last of a process and for lines that are too long to be kept; a piece of such
    a line has `'partial': True` beside it, and the next piece of the same pid and name continues it. `timestamp`
    (Unix time) is honoured when there.

    A stream that cannot take everything at once keeps the rest in `pending`; until `resume()` has emptied it, whoever
    feeds the stream should wait for `fileno()` to become writable.
    """

    # 0.19's places to put another clock; local time, because people read these lines.
    now = staticmethod(datetime.now)
    fromtimestamp = staticmethod(datetime.fromtimestamp)

    @abstractmethod
    def __call__(self, data: Mapping[str, Any]) -> None:
        """Take one chunk; OSError when it cannot be written."""

    def open(self) -> None:  # noqa: B027 - most streams have nothing to open
        """Make ready; OSError when that is impossible now. The first chunk opens a stream that was not opened."""

    def close(self) -> None:  # noqa: B027 - most streams have nothing to close
        """Let go of everything; the next `open` or chunk starts again."""

    def reopen(self) -> None:
        """Take up a path anew, after somebody moved the file away."""
        self.close()
        self.open()

    @property
    def pending(self) -> bytes | bytearray:
        """What was taken and could not be written yet."""
        return b""

    def resume(self) -> None:  # noqa: B027 - only a stream with something pending has something to do
        """Write what is pending, as far as it goes now; OSError loses it."""

    def discard(self) -> None:  # noqa: B027 - as above
        """Forget what is pending."""

    def handed(self) -> dict[str, Any]:
        """What it has to know to go on in another program, as plain values; what is `pending` is among it."""
        return {}

    def take_over(self, record: Mapping[str, Any]) -> None:  # noqa: B027 - most streams have nothing to go on with
        """Go on where the stream that gave this ended, made of the same options; OSError when it cannot be opened."""

    def fileno(self) -> int:
        """The descriptor to wait for while something is pending."""
        raise OSError("nothing to wait for")

    def stamp(self, data: Mapping[str, Any], time_format: str) -> str:
        """Say when and who: `2026-11-24 03:20:58 [4242] | `."""
        stamp = data.get("timestamp")
        moment = self.now() if stamp is None else self.fromtimestamp(stamp)
        return f"{moment.strftime(time_format)} [{data.get('pid')}] | "


class Unwritten(OSError):
    """An error in the middle of a chunk: the `size` bytes and `lines` at its end are what is lost of it."""

    def __init__(self, error: OSError, filename: str | None, lost: bytes) -> None:
        super().__init__(error.errno, error.strerror, error.filename or filename)
        self.size, self.lines = len(lost), lost.count(b"\n") or 1


def chunk_bytes(data: Mapping[str, Any]) -> bytes:
    """The bytes of a chunk; text is taken too, as 0.19 took it."""
    chunk = data["data"]
    return chunk.encode("utf-8", "surrogateescape") if isinstance(chunk, str) else bytes(chunk)


def source_of(data: Mapping[str, Any]) -> Hashable:
    """Who wrote a chunk: one pipe of one process."""
    return data.get("pid"), data.get("name")


def prefix_lines(block: bytes, prefix: bytes, *, continued: bool) -> bytes:
    """Put the prefix before each line; not before the first when it continues one."""
    body = block[:-1] if block.endswith(b"\n") else block
    prefixed = body.replace(b"\n", b"\n" + prefix) + block[len(body) :]
    return prefixed if continued else prefix + prefixed


def to_count(value: object, option: str) -> int:
    """A whole number, zero or more, given as number or text."""
    try:
        number = int(value)  # type: ignore[call-overload]  # text or number; anything else is the TypeError below
    except (TypeError, ValueError):
        number = -1
    if number < 0 or isinstance(value, float | bool):
        raise ValueError(f"{option} = {value!r}: expected a whole number, 0 or more")
    return int(number)


def to_flag(value: object, option: str) -> bool:
    """A boolean, given as such or as text."""
    try:
        return to_bool(value)
    except ValueError:
        raise ValueError(f"{option} = {value!r}: expected yes or no") from None


def to_text(value: object, option: str) -> str | None:
    """Text, or None for nothing."""
    if value is None or isinstance(value, str):
        return value or None
    raise ValueError(f"{option} = {value!r}: expected text")
