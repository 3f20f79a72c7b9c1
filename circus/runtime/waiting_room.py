"""A second socket at the path of a unix socket: who comes now waits at it, and gets no further.

Owns putting it there and taking it away, each in one step, so that there is no moment without a socket that listens and
nobody else can take the address. Invariant: who is connected to the first socket notices nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat

_BACKLOG = 128


class WaitingRoom:
    """In front of the unix socket at `path`, from now until `close`.

    Raises:
        OSError: the directory does not take it; nothing has changed then.
    """

    def __init__(self, path: str) -> None:
        self._path, self._aside = path, f"{path}.full"
        found = os.lstat(path)
        # Short, because the path of a socket is limited.
        beside = f"{os.path.dirname(path) or '.'}/.door-{os.getpid()}"
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.ExitStack() as undo:
            undo.callback(self._sock.close)
            self._sock.bind(beside)
            undo.callback(os.unlink, beside)
            os.chown(beside, found.st_uid, found.st_gid)
            os.chmod(beside, stat.S_IMODE(found.st_mode))
            self._sock.listen(_BACKLOG)
            room = os.lstat(beside)
            self._identity = room.st_dev, room.st_ino
            os.link(path, self._aside)
            undo.callback(os.unlink, self._aside)
            os.rename(beside, path)
            undo.pop_all()

    def close(self) -> None:
        """Put the first socket back. Who waited is refused by this one, and comes again as clients of zmq do."""
        with contextlib.suppress(OSError):
            there = os.lstat(self._path)
            if (there.st_dev, there.st_ino) == self._identity:
                os.rename(self._aside, self._path)
            else:  # somebody has put something of his own there
                os.unlink(self._aside)
        self._sock.close()
