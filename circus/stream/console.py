"""Output to our own standard output, plain or in colours.

Owns the way to `sys.stdout`, whatever it is at that moment. Knows no process and no loop.
Invariant: a reader that does not read our output never holds us up; what it does not take waits, within bounds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from circus.stream.base import BaseStream, chunk_bytes, to_text
from circus.stream.outlet import Outlet

_COLORS = ("red", "green", "yellow", "blue", "magenta", "cyan", "white")


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
    """Each line with its time and pid, in one colour per stream; empty lines are left out."""

    def __init__(self, color: str | None = None, time_format: str | None = None, **_ignored: object) -> None:
        super().__init__()
        name = to_text(color, "color")
        if name is None:
            name = _COLORS[os.urandom(1)[0] % len(_COLORS)]
        if name not in _COLORS:
            raise ValueError(f"color = {name!r}: expected one of {', '.join(_COLORS)}")
        self.time_format = to_text(time_format, "time_format") or "%Y-%m-%d %H:%M:%S"
        self.color_code = _COLORS.index(name) + 1

    def __call__(self, data: Mapping[str, Any]) -> None:
        start = b"\033[0;3%d;40m" % self.color_code + self.prefix(data, self.time_format)
        lines = (line for line in chunk_bytes(data).split(b"\n") if line)
        self._write(b"".join(start + line + b"\033[0m\n" for line in lines))
