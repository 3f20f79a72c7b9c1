"""A word to the service manager that started the daemon, as sd_notify(3) has it: that it is up.

Owns the datagram to the socket that NOTIFY_SOCKET names. Invariant: nobody there, or nobody listening, is no error and
no wait.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

READY = "READY=1"


def tell(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send a state, if somebody asked to be told."""
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in {"/", "@"}:
        return
    name = f"\0{address[1:]}" if address[0] == "@" else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.setblocking(False)
        channel.sendto(state.encode(), name)
