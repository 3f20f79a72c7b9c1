"""What a program does that is only to be tried before it takes over: everything but taking over.

Reads what would be handed over, imports what a daemon needs, and makes of each watcher what can be made without starting
or opening anything. Invariant: whatever would keep a watcher from being taken over is said here, before anything is
given away.
"""

from __future__ import annotations

import os

from circus.arbiter import Arbiter
from circus.commands import get_commands
from circus.config.resolve import add_import_paths
from circus.events.bus import Bus
from circus.exc import CircusError
from circus.handover import read, spec_of
from circus.hooks import resolve_hooks
from circus.launcher import Launcher
from circus.runtime.clock import SystemClock
from circus.sockets import CircusSockets


def tried(fd: int) -> None:
    """Try it with what is in that descriptor.

    Raises:
        CircusError: what is wrong, and with which watcher.
    """
    record = read(fd)
    get_commands()
    arbiter = Arbiter.from_spec(record.arbiter_spec(), main=True)
    known = {spec.name for spec in arbiter.spec.sockets}
    strange = [sock.name for sock in record.sockets if sock.name not in known]
    if strange:
        raise CircusError(f"socket '{strange[0]}' is none of the configuration")
    bus = Bus(SystemClock())
    for each in record.watchers:
        spec = spec_of(each)
        try:
            launcher = Launcher(spec, os.environ, CircusSockets(), bus)
            add_import_paths(launcher.env.get("PYTHONPATH", ""))
            resolve_hooks(spec.hooks)
        except Exception as error:  # streams and hooks are other people's code
            raise CircusError(f"watcher '{spec.name}': {error}") from error
