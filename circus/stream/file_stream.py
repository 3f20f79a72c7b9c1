"""Output into files: plain, rotated by size or time, or following a file that others move away.

Owns the files, their names and their rotation. Knows no process and no loop.
Invariant: bytes reach the file unchanged and in whole writes; a rotation tears no line and loses none, and what cannot
be written now raises OSError and works again as soon as the cause is gone.
"""

from __future__ import annotations

import errno
import os
import re
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from circus import logger
from circus.stream.base import BaseStream, Unwritten, chunk_bytes, prefix_lines, source_of, to_count, to_flag, to_text
from circus.stream.outlet import Outlet
from circus.stream.schedule import Schedule

# Without waiting for the reader of a named pipe, and never becoming the terminal's owner.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

# Names that cannot be opened where our output is a socket (systemd's journal), but are there all the same.
_OURS = {"/dev/stdout": 1, "/proc/self/fd/1": 1, "/dev/fd/1": 1, "/dev/stderr": 2, "/proc/self/fd/2": 2, "/dev/fd/2": 2}


class _FileStreamBase(BaseStream):
    """A file that is appended to, opened when it is first needed.

    A line that its process left open is closed with a newline as soon as another process (or the other output of the
    same one) writes into the file: two processes never share a line.
    """

    def __init__(self, filename: str | None = None, time_format: str | None = None) -> None:
        self._filename = to_text(filename, "filename")
        self._time_format = to_text(time_format, "time_format")
        self._outlet: Outlet | None = None
        self._source: object = None
        self._written = 0

    def __call__(self, data: Mapping[str, Any]) -> None:
        self.write_data(data)

    def write_data(self, data: Mapping[str, Any]) -> None:
        """Append one chunk."""
        block = chunk_bytes(data)
        if not block:
            return
        outlet = self._ready()
        source = source_of(data)
        continued = outlet.ends_open and source == self._source
        if self._time_format is not None:
            stamp = self.stamp(data, self._time_format).encode("utf-8", "surrogateescape")
            block = prefix_lines(block, stamp, continued=continued)
            if not block.endswith(b"\n") and not data.get("partial"):
                block += b"\n"
        ours = outlet.ends_open and not continued
        if ours:
            block = b"\n" + block
        # Until it is known to be written it is nobody's: after an error the next chunk starts a new line.
        self._source = None
        self._written = 0
        try:
            self._put(outlet, block)
        except OSError as error:
            raise Unwritten(error, self._filename, block[max(self._written, ours) :]) from error
        self._source = source

    def open(self) -> None:
        """Open the file; a clear OSError when that cannot be done now."""
        if self._outlet is None:
            self._outlet = self._open_outlet()

    def close(self) -> None:
        if self._outlet is not None:
            self._outlet.close()
            self._outlet = None

    def reopen(self) -> None:
        """Take up the path anew; where that cannot be done, go on with the old file."""
        if self._outlet is None:
            self.open()
        else:
            self._exchange(self._outlet)

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
        """The file, and who has begun a line in it."""
        outlet = self._outlet
        if outlet is None:
            return {"filename": self._filename}
        return {
            "filename": self._filename,
            "source": self._source,
            "open": outlet.ends_open,
            "pending": bytes(outlet.pending),
        }

    def take_over(self, record: Mapping[str, Any]) -> None:
        self._filename = record["filename"]
        if "pending" in record:
            self.open()
            assert self._outlet is not None
            self._outlet.pending += record["pending"]
            self._outlet.ends_open = record["open"]
            self._source = None if record["source"] is None else tuple(record["source"])

    def fileno(self) -> int:
        return super().fileno() if self._outlet is None else self._outlet.fd

    def _open_outlet(self) -> Outlet:
        if self._filename is None:
            import tempfile

            descriptor, self._filename = tempfile.mkstemp(prefix="circus-", suffix=".log")
            os.close(descriptor)
        try:
            outlet = Outlet(os.open(self._filename, _FLAGS, 0o666))
        except OSError as error:
            ours = _OURS.get(self._filename)
            if error.errno == errno.ENXIO and ours is not None:
                return Outlet(os.dup(ours))
            if error.errno == errno.ENXIO:
                raise OSError(errno.ENXIO, "nobody reads from this named pipe", self._filename) from None
            raise
        outlet.ends_open = outlet.regular and _has_open_line(self._filename)
        return outlet

    def _exchange(self, outlet: Outlet) -> Outlet:
        """Open the path anew in place of `outlet`; the old one goes only when the new one is there."""
        fresh = self._open_outlet()
        fresh.pending += outlet.pending
        self._outlet = fresh
        outlet.close()
        return fresh

    def _ready(self) -> Outlet:
        """The open file, which is still somewhere to be found."""
        if self._outlet is None:
            self._outlet = self._open_outlet()
        outlet = self._outlet
        if not outlet.regular or not self._is_gone(outlet):
            return outlet
        try:
            return self._exchange(outlet)
        except OSError:
            if os.fstat(outlet.fd).st_nlink:  # moved away, but a file that people can read: nothing is lost in it
                return outlet
            self.close()
            raise

    def _is_gone(self, outlet: Outlet) -> bool:
        """Whether the path should be opened anew: here, when the file was deleted."""
        return os.fstat(outlet.fd).st_nlink == 0

    def _put(self, outlet: Outlet, block: bytes) -> None:
        self._write(outlet, block)

    def _write(self, outlet: Outlet, piece: bytes) -> None:
        """Write a piece of the block at hand, and remember how far that came."""
        try:
            outlet.write(piece)
        except OSError as error:
            self._written += getattr(error, "characters_written", 0)
            raise
        self._written += len(piece)


def _has_open_line(filename: str) -> bool:
    """Whether a file that is there ends without a newline: somebody's last words, which get a line of their own."""
    try:
        descriptor = os.open(filename, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:  # a file that we may only write to
        return False
    try:
        size = os.fstat(descriptor).st_size
        return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    finally:
        os.close(descriptor)


class WatchedFileStream(_FileStreamBase):
    """For files that somebody else rotates: looks at each write whether the path still leads to the open file."""

    def __init__(self, filename: str | None = None, time_format: str | None = None, **_ignored: object) -> None:
        super().__init__(filename, time_format)

    def _is_gone(self, outlet: Outlet) -> bool:
        return self._filename is not None and not outlet.is_at(self._filename)


class _RotatingFileStream(_FileStreamBase):
    """What both kinds of rotation share: moving the file away while others may do the same."""

    _rotation_failed = False

    def _rotate(self, outlet: Outlet) -> Outlet | None:
        """Move the file away and start a new one; None, said once, when that cannot be done now."""
        assert self._filename is not None  # a file is open, so it has a name
        try:
            # The stream of the other output may share this file and have moved it already: then only follow.
            if outlet.is_at(self._filename):
                self._move_away(self._filename)
            fresh = self._exchange(outlet)
        except OSError as error:
            if not self._rotation_failed:
                logger.error("cannot rotate %s, it goes on growing: %s", self._filename, error.strerror)
            self._rotation_failed = True
            return None
        self._rotation_failed = False
        return fresh

    @abstractmethod
    def _move_away(self, filename: str) -> None:
        """Rename the file."""


class FileStream(_RotatingFileStream):
    """Appends to a file; with `max_bytes` and `backup_count` it is rotated to `.1`, `.2` and so on.

    A file stays below `max_bytes` (unless one line alone is longer) and a line is never spread over two files. Without
    `backup_count` nothing is ever rotated, as in 0.19.
    """

    def __init__(
        self,
        filename: str | None = None,
        max_bytes: int | str = 0,
        backup_count: int | str = 0,
        time_format: str | None = None,
        **_ignored: object,
    ) -> None:
        super().__init__(filename, time_format)
        self._max_bytes = to_count(max_bytes, "max_bytes")
        self._backup_count = to_count(backup_count, "backup_count")

    def _put(self, outlet: Outlet, block: bytes) -> None:
        if not (self._max_bytes and self._backup_count and outlet.regular):
            self._write(outlet, block)
            return
        start = 0
        size = os.fstat(outlet.fd).st_size
        while size + len(block) - start >= self._max_bytes:
            end = block.rfind(b"\n", start, start + max(0, self._max_bytes - 1 - size)) + 1
            if end <= start and not size:  # a line longer than a file may be has a file of its own
                end = (block.find(b"\n", start) + 1) or len(block)
            if end > start:
                self._write(outlet, block[start:end])
                start = end
            if start == len(block):
                return
            rotated = self._rotate(outlet)
            if rotated is None:
                break
            outlet = rotated
            size = os.fstat(outlet.fd).st_size
        self._write(outlet, block[start:])

    def _move_away(self, filename: str) -> None:
        last = self._backup_count
        free = next((number for number in range(1, last) if not os.path.lexists(f"{filename}.{number}")), last)
        for number in range(free - 1, 0, -1):
            os.replace(f"{filename}.{number}", f"{filename}.{number + 1}")
        os.replace(filename, f"{filename}.1")


class TimedRotatingFileStream(_RotatingFileStream):
    """Moves the file away when its time is over, to a name with the start of that time.

    `rotate_when` is S, M, H, D, MIDNIGHT or W0 (Monday) to W6, in any case; of the files moved away the newest
    `backup_count` stay (0: all).
    """

    def __init__(  # noqa: PLR0917 - 0.19's signature
        self,
        filename: str | None = None,
        backup_count: int | str = 0,
        time_format: str | None = None,
        rotate_when: str | None = None,
        rotate_interval: int | str = 1,
        utc: bool | str = False,
        **_ignored: object,
    ) -> None:
        super().__init__(filename, time_format)
        self._backup_count = to_count(backup_count, "backup_count")
        self._schedule = Schedule.parse(rotate_when, to_count(rotate_interval, "rotate_interval"), to_flag(utc, "utc"))
        self._rollover_at: float | None = None

    def handed(self) -> dict[str, Any]:
        """Also when the file is to be moved away."""
        return {**super().handed(), "rollover_at": self._rollover_at}

    def take_over(self, record: Mapping[str, Any]) -> None:
        self._rollover_at = record["rollover_at"]
        super().take_over(record)

    def _open_outlet(self) -> Outlet:
        outlet = super()._open_outlet()
        if self._rollover_at is None:
            # A file that was there has its time from when it was last written, as if we had never been away.
            status = os.fstat(outlet.fd)
            started = status.st_mtime if status.st_size else self.now().timestamp()
            self._rollover_at = self._schedule.next_after(started)
        return outlet

    def _put(self, outlet: Outlet, block: bytes) -> None:
        now = self.now().timestamp()
        if outlet.regular and self._rollover_at is not None and now >= self._rollover_at:
            rotated = self._rotate(outlet)
            if rotated is not None:
                outlet = rotated
                self._rollover_at = self._schedule.following(self._rollover_at, now)
        self._write(outlet, block)

    def _move_away(self, filename: str) -> None:
        assert self._rollover_at is not None  # a file is open, so its time is known
        base = target = f"{filename}.{self._schedule.label(self._rollover_at)}"
        number = 0
        while os.path.lexists(target):  # an earlier start of the same hour or day: both are kept
            number += 1
            target = f"{base}.{number}"
        os.replace(filename, target)
        self._prune(filename)

    def _prune(self, filename: str) -> None:
        """Delete the oldest beyond `backup_count`."""
        if not self._backup_count:
            return
        folder, name = os.path.split(filename)
        pattern = re.compile(rf"{re.escape(name)}\.(\d{{{self._schedule.label_digits}}})(?:\.(\d+))?")
        matches = filter(None, map(pattern.fullmatch, os.listdir(folder or os.curdir)))
        ordered = sorted((match[1], int(match[2] or 0), match[0]) for match in matches)
        for _label, _number, old in ordered[: -self._backup_count]:
            os.unlink(os.path.join(folder, old))
