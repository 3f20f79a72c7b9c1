"""A process of ours as psutil shows it, for programs that reached for `process._worker` in circus 0.19.

Owns nothing: what the process itself knows is asked of it, so that no status is taken from who waits for it.
"""

from __future__ import annotations

from typing import IO, Any, Protocol

import psutil


class Owned(Protocol):
    """What is asked of the process."""

    pid: int
    stdout: IO[bytes] | None
    stderr: IO[bytes] | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...


class Worker(psutil.Process):
    """A `psutil.Process` with what `psutil.Popen` has besides; psutil.NoSuchProcess when it is gone."""

    def __init__(self, process: Owned) -> None:
        super().__init__(process.pid)
        self._of = process

    @property
    def returncode(self) -> int | None:
        """The code that it ended with, None while it lives."""
        return self._of.poll()

    @property
    def stdin(self) -> None:
        """There is no pipe to it."""
        return

    @property
    def stdout(self) -> IO[bytes] | None:
        """The read end of its output."""
        return self._of.stdout

    @property
    def stderr(self) -> IO[bytes] | None:
        """The read end of its errors."""
        return self._of.stderr

    def poll(self) -> int | None:
        """The code that it ended with, None while it lives."""
        return self._of.poll()

    def wait(self, timeout: float | None = None) -> Any:
        """Wait for its end; psutil.TimeoutExpired after so many seconds."""
        return self._of.wait(timeout)
