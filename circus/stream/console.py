"""Output to our own standard output, plain or in colours.

Owns the way to `sys.stdout`, whatever it is at that moment. Knows no process and no loop.
Invariant: a reader that does not read our output never holds us up; what it does not take waits, within bounds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TextIO

from circus.stream.base import BaseStream, chunk_bytes, to_text
from circus.stream.outlet import Outlet


class StdoutStream(BaseStream):
    """Writes what comes to our standard output, as bytes."""

    def __init__(self, **_ignored: object) -> None:
        self._outlet: Outlet | None = None

    def __call__(self, data: Mapping[str, Any]) -> None:
        self._write(chunk_bytes(data))

    def close(self) -> None:
        """Forget the descriptor, which is not ours to close."""
        self._outlet = None

    @property
    def pending(self) -> bytes | bytearray:
        return b"" if self._outlet is None else self._outlet.pending

    def resume(self) -> None:
        if self._outlet is not None:
            self._outlet.flush()

    def discard(self) -> None:
        if self._outlet is not None:
            self._outlet.pending.clear()

    def handed(self) -> dict[str, Any]:
        """What our output has not taken yet."""
        return {"pending": bytes(self.pending)} if self.pending else {}

    def take_over(self, record: Mapping[str, Any]) -> None:
        out = self._own()
        if record.get("pending") and out is not None:
            self._outlet = Outlet(out.fileno())
            self._outlet.pending += record["pending"]

    def fileno(self) -> int:
        return super().fileno() if self._outlet is None else self._outlet.fd

    def _own(self) -> TextIO | None:
        return sys.stdout

    def _write(self, block: bytes) -> None:
        out = self._own()
        if out is None:
            raise OSError("there is no standard output")
        out.flush()  # what the program itself wrote comes first
        try:
            descriptor = out.fileno()
        except OSError:  # an object in the place of the real output, such as a test's
            if hasattr(out, "buffer"):
                out.buffer.write(block)
            else:
                out.write(block.decode("utf-8", "replace"))
            out.flush()
            return
        if self._outlet is None or self._outlet.fd != descriptor:
            self._outlet = Outlet(descriptor)
        self._outlet.write(block)


class PassedOn(StdoutStream):
    """What would have gone to our output or errors by itself, had it not been captured; unchanged."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def _own(self) -> TextIO | None:
        return sys.stderr if self._name == "stderr" else sys.stdout


class FancyStdoutStream(StdoutStream):
    """Each line with its time and pid, in one colour per stream; empty lines are left out.

    A colour that is none of `colors` is chosen at random. Subclasses may override `prefix` and set another `out`.
    """

    colors: ClassVar[Sequence[str]] = ("red", "green", "yellow", "blue", "magenta", "cyan", "white")
    out: TextIO | None = None
    """Where to write; whatever is our standard output at that moment unless set."""

    def __init__(self, color: str | None = None, time_format: str | None = None, **_ignored: object) -> None:
        super().__init__()
        if color not in self.colors:
            color = self.colors[os.urandom(1)[0] % len(self.colors)]
        self.time_format = to_text(time_format, "time_format") or "%Y-%m-%d %H:%M:%S"
        self.color_code = self.colors.index(color) + 1

    def prefix(self, data: Mapping[str, Any]) -> str:
        """What stands before each line of a chunk, with the code that begins the colour."""
        return f"\033[0;3{self.color_code};40m{self.stamp(data, self.time_format)}"

    def __call__(self, data: Mapping[str, Any]) -> None:
        start = self.prefix(data).encode("utf-8", "surrogateescape")
        lines = (line for line in chunk_bytes(data).split(b"\n") if line)
        self._write(b"".join(start + line + b"\033[0m\n" for line in lines))

    def _own(self) -> TextIO | None:
        return self.out or super()._own()
