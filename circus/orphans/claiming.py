"""Who may act on a state file: the one circusd that holds it, and not while the one that wrote it lives.

Invariant: a circusd that lives is left everything that is its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from circus.core import statefile as notes
from circus.exc import CircusError
from circus.runtime import identity
from circus.runtime.statefile import Held, StateFile

_DYING_SECONDS: Final = 5.0
"""So long may a circusd that was killed still hold its file, by a child between fork and exec."""
_AGAIN_SECONDS: Final = 0.05


class Alive(CircusError):
    """What is in the file is somebody else's business, who lives."""


async def claim(path: str, open_file: Callable[[], StateFile]) -> StateFile:
    """Hold the state file.

    Raises:
        Alive: another circusd with this configuration lives, or at least somebody who holds its file.
        CircusError: the file cannot be had.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + _DYING_SECONDS
    while True:
        try:
            file = open_file()
        except Held as error:
            alive = _living(error.text)
            if alive is None and loop.time() < until:
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            who = "another program" if alive is None else f"circusd {alive.pid}, which lives and runs {alive.config},"
            raise Alive(
                f"{who} holds the state file {path}; its workers are its own: stop it first, or give this circusd another "
                "state_file"
            ) from None
        alive = _living(file.found)
        if alive is None or alive.pid == os.getpid():
            return file
        file.close(remove=False)
        raise Alive(f"circusd {alive.pid}, whose workers the state file {path} names, lives: stop it first")


def _living(text: bytes) -> notes.Head | None:
    """The circusd that wrote a file, if it lives."""
    try:
        head = notes.read_head(text)
    except notes.Unreadable:
        return None
    return head if is_of_here(head) and identity.started(head.pid) == head.started else None


def is_of_here(head: notes.Head) -> bool:
    """Whether the pids in a file are pids of ours: of this boot of the machine, and of this container."""
    return head.machine == identity.machine() and head.namespace == identity.namespace()
