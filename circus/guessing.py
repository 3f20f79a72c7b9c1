"""Which circusd is meant by who names none, and why none can be meant.

Owns that choice and its words for people. Refuses to know what is asked of the circusd. Invariant: a guess that leads
nowhere is told soon, and what somebody named is never judged here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Final

from circus.client import find_endpoint, running_daemons
from circus.exc import CallError
from circus.wire.endpoints import CONTROL_SOCKET, DEFAULT_CONTROL, ENV_ENDPOINT, instances_dir, parse

_PROBE_SECONDS: Final = 0.5

_COMING_SECONDS: Final = 2.0
"""A circusd that was started just before, by the same script for one, listens within that time."""
_PAUSE_SECONDS: Final = 0.05


def control_endpoint(
    environ: Mapping[str, str] = os.environ, uid: int | None = None, *, here: bool = True, patient: bool = False
) -> str:
    """The control endpoint for who names none, as `find_endpoint` has it.

    Args:
        environ: where it may be named.
        uid: whose daemons to look for, this user's without it.
        here: what runs on this machine is meant.
        patient: a daemon that is not there yet will do.

    Raises:
        CallError: several could be meant and none is the default one, or nobody listens there, nor begins to soon.
    """
    until = time.monotonic() + _COMING_SECONDS
    while True:
        endpoint = find_endpoint(environ, uid, here=here)
        if not here or not is_guess(endpoint, environ, DEFAULT_CONTROL) or not refuses(endpoint):
            return endpoint
        alive = running_daemons(environ, uid)
        if alive:
            raise CallError(several(alive, f"--endpoint or {ENV_ENDPOINT}"))
        if patient:
            return endpoint
        if time.monotonic() >= until:
            raise CallError(
                f"{nobody(endpoint, environ, uid)}\nName the endpoint of yours with --endpoint or {ENV_ENDPOINT}: it is "
                "`endpoint` in [circus]."
            )
        time.sleep(_PAUSE_SECONDS)


def is_guess(endpoint: str, environ: Mapping[str, str], default: str) -> bool:
    """Whether an endpoint is only the one where a circusd listens that was told nothing else."""
    return endpoint == default and not environ.get(ENV_ENDPOINT)


def refuses(endpoint: str) -> bool:
    """Whether a plain connection to a tcp endpoint is refused, so that nobody listens there."""
    import socket

    place = parse(endpoint)
    try:
        socket.create_connection((place.host, place.port), timeout=_PROBE_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def several(endpoints: Sequence[str], by: str) -> str:
    """That more than one could be meant."""
    count = len(endpoints)
    told = "another circusd runs" if count == 1 else f"{count} circusd run"
    return f"{told}; choose one with {by}:\n" + "\n".join(f"  {each}" for each in endpoints)


def nobody(endpoint: str, environ: Mapping[str, str] = os.environ, uid: int | None = None) -> str:
    """That none runs, with what is left of those that did."""
    directory = instances_dir(environ, os.geteuid() if uid is None else uid)
    text = f"no circusd runs here: nobody listens at {endpoint}, nor below {directory}"
    left = _dead(directory)
    return text + "".join(f"\n{path} is left of one that has ended without an end of its own" for path in left)


def _dead(directory: str) -> list[str]:
    """The control sockets below a directory at which nobody listens."""
    import socket

    found = []
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    for name in names:
        path = f"{directory}/{name}/{CONTROL_SOCKET}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                found.append(path)
            except OSError:
                continue
    return found
