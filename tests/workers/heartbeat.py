"""Says that it is well: `heartbeat.py PORT_FILE [BEATS]`, a UDP datagram `pid;time` to the port that the file names.

Waits for the file. Falls silent after BEATS datagrams, and lives on.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import sys
import time

PAUSE_SECONDS = 0.05


def main() -> None:
    file = pathlib.Path(sys.argv[1])
    most = int(sys.argv[2]) if len(sys.argv) > 2 else None
    beats = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as beating:
        while most is None or beats < most:
            if file.exists():
                with contextlib.suppress(OSError):  # nobody listens for a moment
                    beating.sendto(f"{os.getpid()};{time.time()}".encode(), ("127.0.0.1", int(file.read_text())))
                beats += 1
            time.sleep(PAUSE_SECONDS)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
