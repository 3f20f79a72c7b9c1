"""The pid file of the daemon.

Owns one file that holds one pid. Knows nothing of the daemon.
Invariant: the file of a live process is never overwritten, and only our own is ever removed; a reader never sees it half
written. Who has ended and was not waited for (a zombie) is not alive.
"""

from __future__ import annotations

import contextlib
import errno
import os

from circus.runtime.tree import facts


class Pidfile:
    """`Pidfile(path).create(os.getpid())`; without a path a file in the temporary directory is used."""

    def __init__(self, fname: str | None) -> None:
        self.fname = fname
        self.pid: int | None = None

    def create(self, pid: int) -> None:
        """Write the file; RuntimeError when a live process has it or it cannot be written."""
        other = self.validate()
        if other is not None and other != os.getpid():
            raise RuntimeError(
                f"already running as pid {other}, as the pid file '{self.fname}' says: stop that circusd first, or give "
                f"this one another pidfile; if process {other} is no circusd, remove the file"
            )
        self.pid = pid
        if other is not None and other == pid:
            return
        folder = os.path.dirname(self.fname) if self.fname else _temporary_directory()
        if folder and not os.path.isdir(folder):
            raise RuntimeError(f"{folder} doesn't exist. Can't create pidfile")
        if self.fname is None:
            self.fname = os.path.join(folder, f"circusd-{pid}.pid")
        try:
            self._write(self.fname, pid)
        except OSError as error:
            raise RuntimeError(f"pid file '{self.fname}' cannot be written: {error.strerror}") from error

    def rename(self, path: str) -> None:
        """Give the file another name."""
        self.unlink()
        self.fname = path
        self.create(os.getpid() if self.pid is None else self.pid)

    def unlink(self) -> None:
        """Remove the file if it still holds our pid."""
        if self.fname is not None and self.pid is not None and _read(self.fname) == self.pid:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.fname)

    def validate(self) -> int | None:
        """The live process that the file names; None when there is none, or nothing readable in it."""
        pid = None if self.fname is None else _read(self.fname)
        return pid if pid is not None and _is_alive(pid) else None

    @staticmethod
    def _write(path: str, pid: int) -> None:
        draft = f"{path}.{pid}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            os.write(descriptor, b"%d\n" % pid)
            os.fchmod(descriptor, 0o644)  # whatever the umask: scripts of other users read it
            os.fsync(descriptor)
            os.replace(draft, path)
        except OSError:
            os.unlink(draft)
            raise
        finally:
            os.close(descriptor)


def _read(path: str) -> int | None:
    try:
        with open(path, "rb") as file:
            text = file.read(32)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return None
        raise RuntimeError(f"pid file '{path}' cannot be read: {error.strerror}") from error
    return int(text) if text.strip().isdigit() else None


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:  # somebody else's, so it is there
        pass
    except (ProcessLookupError, OverflowError):
        return False
    # A pid is taken until somebody has waited for the process, which may have been killed long ago.
    found = facts(pid)
    return found is None or not found.dead


def _temporary_directory() -> str:
    from tempfile import gettempdir

    return gettempdir()
