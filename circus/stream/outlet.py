"""Writing to a descriptor without ever waiting for it.

Owns one descriptor that streams write to and the bytes that it would not take yet. Knows nothing of lines, files or
processes. Invariant: bytes leave in the order they were given, and no call waits for a reader at the other end.
"""

from __future__ import annotations

import errno
import os
import select
import stat

# What a pipe that polls as writable takes whole (PIPE_BUF on Linux); more could wait for its reader.
_PIECE = 4096

# How much may wait for a slow reader before more is refused. The redirector stops reading long before.
PENDING_LIMIT = 1 << 20


class Outlet:
    """A descriptor and what it has not taken yet.

    A pipe or terminal is asked by poll before each piece: others may write through the same open file (our standard
    output), so that it cannot be made non-blocking. `ends_open` is true while the last byte accepted ended no line.
    """

    __slots__ = ("_device", "_inode", "_poll", "ends_open", "fd", "pending", "regular")

    def __init__(self, fd: int) -> None:
        status = os.fstat(fd)
        kind = status.st_mode
        self.fd = fd
        self.pending = bytearray()
        self.ends_open = False
        self.regular = stat.S_ISREG(kind)
        self._device, self._inode = status.st_dev, status.st_ino
        self._poll: select.poll | None = None
        if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(fd):
            self._poll = select.poll()
            self._poll.register(fd, select.POLLOUT)

    def is_at(self, path: str) -> bool:
        """Whether that path still leads to what is written here."""
        try:
            status = os.stat(path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == (self._device, self._inode)

    def write(self, block: bytes) -> None:
        """Write now what goes without waiting, keep the rest; BlockingIOError when too much is kept already."""
        if not block:
            return
        if self.pending:
            if len(self.pending) + len(block) > PENDING_LIMIT:
                raise BlockingIOError(errno.EAGAIN, "its reader is too slow")
            self.pending += block
        else:
            left = self._push(block)
            if left:
                self.pending += memoryview(block)[-left:]
        self.ends_open = not block.endswith(b"\n")

    def flush(self) -> None:
        """Write what waits, as far as it goes. An error loses it: there is nobody to give it back to."""
        block = bytes(self.pending)
        self.pending.clear()
        left = self._push(block)
        if left:
            self.pending += block[-left:]

    def close(self) -> None:
        os.close(self.fd)

    def _push(self, block: bytes) -> int:
        """Write as much as goes; how many bytes are left. An error says how many were written before it."""
        view = memoryview(block)
        start, size = 0, len(block)
        try:
            while start < size:
                if self._poll is None:
                    start += os.write(self.fd, view[start:])
                elif self._poll.poll(0):
                    start += os.write(self.fd, view[start : _piece(block, start)])
                else:
                    break
        except BlockingIOError:
            pass
        except OSError as error:
            if start:
                self.ends_open = block[start - 1] != ord("\n")
            error.characters_written = start  # type: ignore[attr-defined] # any OSError has it, unset
            raise
        return size - start


def _piece(block: bytes, start: int) -> int:
    """Where a piece that a pipe takes whole ends: after a line, so that others who write there tear none of ours."""
    return block.rfind(b"\n", start, start + _PIECE) + 1 or start + _PIECE
