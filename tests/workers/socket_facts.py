"""Writes into a file what its sockets are, a line for each, and waits: `socket_facts.py FILE FD...`.

A line has the descriptor's place among the words (not its number), family, type, protocol, whether it listens and how
many may wait, whether it blocks, its options, whether it is bound, and the mode of a path.
"""

from __future__ import annotations

import fcntl
import os
import pathlib
import signal
import socket
import stat
import struct
import sys


def facts(fd: int) -> str:
    sock = socket.socket(fileno=os.dup(fd))
    with sock:
        name = sock.getsockname()
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        blocks = not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK
        told = [
            sock.family.name,
            sock.type.name,
            f"proto={sock.proto}",
            f"listens={listens}",
            f"blocks={blocks}",
            f"reuseaddr={sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)}",
            f"reuseport={sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)}",
            f"device={sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 20).rstrip(bytes(1)).decode()}",
        ]
        if isinstance(name, tuple):
            told += [f"host={name[0]}", f"bound={bool(name[1])}"]
        else:
            told += [f"mode={stat.S_IMODE(pathlib.Path(name).stat().st_mode):o}"]
        if listens and sock.type == socket.SOCK_STREAM and sock.family != socket.AF_UNIX:
            # For a listening socket tcpi_sacked is the backlog.
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
            told.append(f"backlog={struct.unpack('8B6I', info)[13]}")
        return " ".join(told)


def main() -> None:
    lines = "".join(f"{place} {facts(int(fd))}\n" for place, fd in enumerate(sys.argv[2:]))
    file = pathlib.Path(sys.argv[1].replace("{pid}", str(os.getpid())))
    beside = file.with_suffix(f".{os.getpid()}")
    beside.write_text(lines)
    beside.rename(file)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
