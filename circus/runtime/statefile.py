"""The state file on disk: one daemon holds it at a time, lines are added to it, and now and then it is written anew.

Owns the descriptor and the lock. Knows lines as bytes only. Nothing is synced: what a killed daemon has written the
kernel has, and after a crash of the machine no process of it lives. A child that is between its fork and its exec holds
the lock with us, so who gets it finds no worker half made. Invariants: there is a whole file at the path at every
moment, and what was added is in it or an error was raised; who holds the lock holds it on what is at the path.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from typing import Self

from circus.exc import CircusError

_MOST_BYTES = 1 << 28
"""A file that is larger was not written by us."""


class Held(CircusError):
    """Somebody else holds the lock; `text` is what is in his file."""

    def __init__(self, path: str, text: bytes) -> None:
        super().__init__(f"{path} is held by another program")
        self.text = text


class StateFile:
    """A state file that is held.

    Attributes:
        path: where it is.
        found: what was in it when it was claimed.
        size: its size in bytes now.
    """

    def __init__(self, path: str, fd: int, found: bytes) -> None:
        self.path, self._fd, self.found, self.size = path, fd, found, len(found)

    @classmethod
    def claim(cls, path: str) -> Self:
        """Hold the file at a path, made for its owner alone if there is none.

        Raises:
            Held: somebody holds it.
            CircusError: it cannot be had, and why.
        """
        try:
            while True:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                try:
                    if _locked(path, fd):
                        return cls(path, fd, _all_of(path, fd))
                except BaseException:
                    os.close(fd)
                    raise
                # Its holder has put another one in its place meanwhile.
                os.close(fd)
        except OSError as error:
            raise CircusError(f"the state file {path} cannot be used: {error.strerror or error}") from error

    def fileno(self) -> int:
        return self._fd

    def append(self, line: bytes) -> None:
        """Add a line; OSError when it cannot be added, and then nothing of it is there."""
        written = 0
        try:
            written = os.write(self._fd, line)
        finally:
            if written != len(line):
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, self.size)
        if written != len(line):
            raise OSError(28, os.strerror(28))  # a disk with room for less than a line
        self.size += written

    def rewrite(self, text: bytes) -> None:
        """Put another file in its place; OSError when that cannot be, and then the old one is as it was."""
        made = f"{self.path}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(made)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(made, flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            rest = memoryview(text)
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.rename(made, self.path)
        except BaseException:
            os.close(fd)
            with contextlib.suppress(OSError):
                os.unlink(made)
            raise
        os.close(self._fd)
        self._fd, self.size = fd, len(text)

    @property
    def is_lost(self) -> bool:
        """Somebody has removed it, or put something else in its place."""
        return not _is_at(self.path, self._fd)

    def put_aside(self) -> str:
        """Keep what was found in it where it can be looked at: the path of that; OSError when that cannot be."""
        aside = f"{self.path}.unread"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(self.found)
        return aside

    def close(self, *, remove: bool) -> None:
        """Let go of it; `remove` it where nobody needs it any more."""
        if remove:
            with contextlib.suppress(OSError):
                if _is_at(self.path, self._fd):
                    os.unlink(self.path)
        os.close(self._fd)


def _locked(path: str, fd: int) -> bool:
    """Lock a file; False when it is not the one at the path any more."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise CircusError(f"the state file {path} cannot be used: that is no file")
    if found.st_uid != os.geteuid():
        raise CircusError(
            f"the state file {path} belongs to uid {found.st_uid}, circusd runs as uid {os.geteuid()}: it is not believed"
        )
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Held(path, _all_of(path, fd)) from None
    return _is_at(path, fd)


def _is_at(path: str, fd: int) -> bool:
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(fd))


def _all_of(path: str, fd: int) -> bytes:
    size = os.fstat(fd).st_size
    if size > _MOST_BYTES:
        raise CircusError(f"the state file {path} has {size} bytes, which circusd has not written")
    parts, at = [], 0
    while part := os.pread(fd, 1 << 20, at):
        parts.append(part)
        at += len(part)
    return b"".join(parts)
