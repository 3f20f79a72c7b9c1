"""Going into the background, without hiding what goes wrong there.

Owns the two forks, the new session and the pipe to the process that was started. Knows nothing of circusd.
Invariant: the process that the user started ends with status 0 only after the daemon said that it is ready; otherwise
with status 1, after the reason was printed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn

_READY = b"\0"
_DIED = "the daemon ended before it was ready"


class DaemonHandle:
    """The daemon's end of the pipe. Until one of the two is called our output is still the user's terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def ready(self) -> None:
        """All is well: the process that was started may end with status 0."""
        self._tell(_READY)

    def failed(self, text: str) -> None:
        """It did not work: let that process print the text and end with status 1."""
        self._tell(text.encode("utf-8", "replace") or _DIED.encode())

    def _tell(self, message: bytes) -> None:
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        # Before the word is given: who reads the output of the started process must see its end, too.
        _to_null(1, 2)
        try:
            os.write(descriptor, message[:4096])
        except BrokenPipeError:  # the user did not wait
            pass
        finally:
            os.close(descriptor)


def daemonize() -> DaemonHandle:
    """Go on in a child of its own session; returns only there.

    Descriptors that were inherited are closed. Working directory and umask stay, as in 0.19. Call it before anything
    has threads, a loop or open files.

    Raises:
        RuntimeError: gevent is loaded, whose loop does not survive a fork.
    """
    if any(name == "gevent" or name.startswith("gevent.") for name in sys.modules):
        raise RuntimeError("circusd cannot go into the background with gevent loaded")
    _open_standard()
    for output in (sys.stdout, sys.stderr):
        if output is not None:
            output.flush()
    reader, writer = os.pipe()
    first = os.fork()
    if first:
        os.close(writer)
        _wait_and_exit(first, reader)
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)
    _close_inherited(keep=writer)
    _to_null(0)
    return DaemonHandle(writer)


def _wait_and_exit(first: int, reader: int) -> NoReturn:
    """In the process that was started: wait for the word of the daemon, and end."""
    message = b""
    try:
        os.waitpid(first, 0)
        while block := os.read(reader, 4096):
            message += block
    except KeyboardInterrupt:  # the daemon has a session of its own and goes on
        os._exit(130)
    if message == _READY:
        os._exit(0)
    os.write(2, (message or _DIED.encode()) + b"\n")
    os._exit(1)


def _open_standard() -> None:
    """Let 0, 1 and 2 be there, or the pipe would take the place of one that was closed."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _close_inherited(keep: int) -> None:
    # By name and not up to a limit: limits of a billion exist, and descriptors above a limit that was lowered too.
    for entry in os.listdir("/dev/fd"):
        descriptor = int(entry)
        if descriptor > 2 and descriptor != keep:
            with contextlib.suppress(OSError):  # the one that listed the folder is closed already
                os.close(descriptor)


def _to_null(*descriptors: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    if null > 2:
        os.close(null)
