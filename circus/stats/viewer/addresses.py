"""Where the stats channel is, for who named no endpoint.

Owns the search; refuses to wait for a daemon that may come later. Invariant: it ends within about a second, with an
address that a daemon told or the default one.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Final

from circus.client import CircusClient, find_endpoint, running_daemons
from circus.exc import CallError, CircusError
from circus.guessing import is_guess, nobody, refuses, several
from circus.wire.endpoints import DEFAULT_STATS, STATS_SOCKET, Endpoint, parse, reachable, sibling

ASK_SECONDS: Final = 1.0
_PROBE_SECONDS: Final = 0.3


def find_stats(environ: Mapping[str, str] = os.environ, uid: int | None = None, *, patient: bool = False) -> str:
    """The stats endpoint beside the control endpoint that circusctl would use, else tcp 5557.

    Raises:
        CallError: nobody listens there, and either several run elsewhere, or none does and we are not `patient`.
    """
    endpoint = _found(environ, uid)
    if is_guess(endpoint, environ, DEFAULT_STATS) and refuses(endpoint):
        others = running_stats(environ, uid)
        if others:
            raise CallError(several(others, "--endpoint"))
        if not patient and not running_daemons(environ, uid):
            raise CallError(
                f"{nobody(endpoint, environ, uid)}\nName the endpoint of yours with --endpoint: it is `stats_endpoint` in "
                "[circus]."
            )
    return endpoint


def _found(environ: Mapping[str, str], uid: int | None) -> str:
    control = find_endpoint(environ, uid)
    beside = sibling(control, STATS_SOCKET)
    if beside is not None and listens(beside):
        return beside
    return ask(control) or DEFAULT_STATS if listens(control) else DEFAULT_STATS


def running_stats(environ: Mapping[str, str] = os.environ, uid: int | None = None) -> list[str]:
    """The stats endpoints of all daemons of this user that were found by their directories."""
    beside = [sibling(control, STATS_SOCKET) for control in running_daemons(environ, uid)]
    return [endpoint for endpoint in beside if endpoint is not None and listens(endpoint)]


def ask(control: str) -> str | None:
    """The stats endpoint as the daemon itself tells it, which circus 0.19 does too; None without an answer."""
    try:
        with CircusClient(endpoint=control, timeout=ASK_SECONDS) as client:
            reply = client.send_message("globaloptions", option="stats_endpoint")
    except CircusError:
        return None
    options = reply.get("options")
    told = options.get("stats_endpoint") if isinstance(options, dict) else None
    return reachable(told, control) if isinstance(told, str) and told else None


def listens(endpoint: str) -> bool:
    """True when something takes connections there."""
    try:
        where = parse(endpoint)
    except CircusError:
        return False
    try:
        with _connected(where):
            return True
    except BlockingIOError:
        return True  # its queue of connections is full
    except OSError:
        return False


def _connected(where: Endpoint) -> socket.socket:
    if where.scheme == "tcp":
        return socket.create_connection((where.host, where.port), timeout=_PROBE_SECONDS)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.connect("\0" + where.path[1:] if where.path.startswith("@") else where.path)
    except BaseException:
        sock.close()
        raise
    return sock
