"""The read end of one output of one process.

Owns the descriptor and the unfinished last line. Knows neither loop nor stream.
Invariant: `take` gives away whole lines only, but for a line longer than `CARRY_LIMIT`, which is cut between characters.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

# How much of an unfinished line is kept. Of a thousand processes that write without end of line: 64 MB at most.
CARRY_LIMIT = 65536


class Pipe:
    """A pipe that a process writes into, from our side."""

    __slots__ = ("_carry", "_end", "closed", "fd", "name", "pid", "wid")

    def __init__(self, end: Any, name: str, pid: int, wid: int) -> None:
        self._end = end
        self._carry = bytearray()
        self.closed = False
        self.fd: int = end.fileno()
        self.name = name
        self.pid = pid
        self.wid = wid
        os.set_blocking(self.fd, False)

    def read(self, limit: int) -> bytes | None:
        """What is there, b'' at end of file, None when there is nothing now."""
        try:
            return os.read(self.fd, limit)
        except BlockingIOError:
            return None
        except OSError:  # a terminal whose other side is gone says EIO, which is its end of file
            return b""

    def take(self, block: bytes) -> tuple[bytes, bytes]:
        """(whole lines with what was kept before them, a piece of a line that is too long to be kept)."""
        carry = self._carry
        cut = block.rfind(b"\n") + 1
        lines = b""
        if cut:
            lines = b"".join((carry, memoryview(block)[:cut])) if carry or cut < len(block) else block
            carry.clear()
        carry += memoryview(block)[cut:]
        if len(carry) < CARRY_LIMIT:
            return lines, b""
        end = whole_characters(carry)
        piece = bytes(memoryview(carry)[:end])
        del carry[:end]
        return lines, piece

    def take_rest(self) -> bytes:
        """What is left at the end."""
        rest = bytes(self._carry)
        self._carry.clear()
        return rest

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        # An object of subprocess has to be closed itself, or it would close a stranger's descriptor later.
        with contextlib.suppress(OSError):
            if hasattr(self._end, "close"):
                self._end.close()
            else:
                os.close(self.fd)


def whole_characters(text: bytes | bytearray) -> int:
    """How much of a text does not end within a UTF-8 character; all of it where it is not UTF-8."""
    size = len(text)
    for back in range(1, min(3, size) + 1):
        byte = text[size - back]
        if byte & 0b1100_0000 == 0b1000_0000:
            continue
        length = 2 if 0xC2 <= byte < 0xE0 else 3 if 0xE0 <= byte < 0xF0 else 4 if 0xF0 <= byte < 0xF5 else 1
        return size - back if length > back else size
    return size
