"""The read end of one output of one process.

Owns the descriptor, the unfinished last line, and how much is read at once. Knows neither loop nor stream.
Invariant: `take` gives away whole lines only, but for a line longer than `CARRY_LIMIT`, which is cut between characters.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import Any, ClassVar, Protocol

from circus.stream.ring import Ring
from circus.stream.target import Target

# How much of an unfinished line is kept. Of a thousand processes that write without end of line: 64 MB at most.
CARRY_LIMIT = 65536

# What a pipe holds at first; a read of that size means that its writer may be waiting.
_USUAL = 65536
# What the pipe of a process holds that fills it again and again, after so many full reads more than others. Larger
# blocks than this cost more than they save: malloc takes them from the system and gives them back each time.
_LARGE = 131_072
_FULL_READS = 16


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


class HasOutput(Protocol):
    """A process whose output can be carried."""

    @property
    def pid(self) -> int: ...
    @property
    def wid(self) -> int: ...
    @property
    def stdout(self) -> _HasFileno | None: ...
    @property
    def stderr(self) -> _HasFileno | None: ...


class Pipe:
    """A pipe that a process writes into, from our side.

    A process that floods gets a larger pipe, which saves half of the turns. While several flood, each is read in usual
    portions again, because all the others wait for as long as one portion takes. `ring` and `target` are where its
    lines go; the redirector gives them.
    """

    __slots__ = ("_carry", "_end", "_flooding", "_full", "closed", "fd", "name", "pid", "ring", "target", "wid")

    floods: ClassVar[int] = 0
    """How many pipes of this program are flooded just now."""
    ring: Ring
    target: Target

    def __init__(self, end: Any, name: str, pid: int, wid: int) -> None:
        self._end = end
        self._carry = bytearray()
        self._full = 0
        self._flooding = False
        self.closed = False
        self.fd: int = end.fileno()
        self.name = name
        self.pid = pid
        self.wid = wid
        os.set_blocking(self.fd, False)

    def read(self, limit: int) -> bytes | None:
        """What is there, b'' at end of file, None when there is nothing now."""
        if self.closed:  # its number may be somebody else's by now
            return b""
        try:
            block = os.read(self.fd, _LARGE if self._flooding and Pipe.floods == 1 else limit)
        except BlockingIOError:
            return None
        except OSError:  # a terminal whose other side is gone says EIO, which is its end of file
            return b""
        if len(block) >= _USUAL:
            if not self._flooding:
                self._full += 1
                if self._full >= _FULL_READS:
                    self._flood()
        elif self._full:
            self._full -= 1
            if self._full == 0:
                self._calm()
        return block

    def _flood(self) -> None:
        self._flooding = True
        Pipe.floods += 1
        # Not Linux, or all pipes of this user are as large together as they may be: the usual size does too.
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, _LARGE)

    def _calm(self) -> None:
        if self._flooding:
            self._flooding = False
            Pipe.floods -= 1

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

    def begin(self, text: bytes) -> None:
        """Go on with a line that somebody else has begun to read."""
        self._carry += text

    @property
    def unfinished(self) -> bytes:
        """The last line, as far as it has come."""
        return bytes(self._carry)

    def take_rest(self) -> bytes:
        """What is left at the end."""
        rest = bytes(self._carry)
        self._carry.clear()
        return rest

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._calm()
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
