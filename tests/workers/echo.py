"""Serves a listening socket it was given and answers each line with `PID line`: `echo.py FD`.

FD is a number (`$(circus.sockets.NAME)`), or 0 for a socket on standard input.
"""

from __future__ import annotations

import os
import socket
import sys


def main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        listener.setblocking(True)
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb") as stream:
                for line in stream:
                    stream.write(b"%d " % os.getpid() + line)
                    stream.flush()


if __name__ == "__main__":
    main()
