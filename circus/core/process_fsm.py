"""The life of one worker process as a table: (state, event) -> state.

The table is the specification: every pair is a move, ignored on purpose (`IGNORED`), or illegal (absent). Knows
nothing of pids, clocks or signals. Invariant: no path leads back from STOPPING to RUNNING, and every state can
reach a terminal one.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final

from circus.exc import IllegalTransition


class ProcessState(Enum):
    """Where a process is in its life."""

    PENDING = "pending"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    KILLING = "killing"
    EXITED = "exited"
    FAILED = "failed"
    LOST = "lost"

    # Enum hashes by name in Python code, which shows in a table look-up; identity is as good and free.
    __hash__ = object.__hash__


class ProcessEvent(Enum):
    """What can happen to it."""

    SPAWNED = "Spawned"
    SPAWN_FAILED = "SpawnFailed"
    VETOED = "Vetoed"
    READY = "Ready"
    STOP = "Stop"
    GRACE_OVER = "GraceOver"
    REAP_OVER = "ReapOver"
    REAPED = "Reaped"
    VANISHED = "Vanished"

    __hash__ = object.__hash__


_S, _E = ProcessState, ProcessEvent

IGNORED: Final = None

TERMINAL: Final = frozenset({_S.EXITED, _S.FAILED, _S.LOST})
ALIVE: Final = frozenset({_S.STARTING, _S.RUNNING, _S.STOPPING, _S.KILLING})
ENDING: Final = frozenset({_S.STOPPING, _S.KILLING})
PARTING: Final = frozenset({_S.EXITED, _S.LOST})

_LATE: Final[dict[ProcessEvent, ProcessState | None]] = {
    _E.VETOED: IGNORED,
    _E.READY: IGNORED,
    _E.STOP: IGNORED,
    _E.GRACE_OVER: IGNORED,
    _E.REAP_OVER: IGNORED,
}

TABLE: Final[dict[ProcessState, dict[ProcessEvent, ProcessState | None]]] = {
    _S.PENDING: {
        _E.SPAWNED: _S.STARTING,
        _E.SPAWN_FAILED: _S.FAILED,
        _E.VETOED: _S.FAILED,
        _E.STOP: _S.FAILED,
    },
    _S.STARTING: {
        _E.VETOED: _S.STOPPING,
        _E.READY: _S.RUNNING,
        _E.STOP: _S.STOPPING,
        _E.GRACE_OVER: IGNORED,
        _E.REAP_OVER: IGNORED,
        _E.REAPED: _S.EXITED,
        _E.VANISHED: _S.LOST,
    },
    _S.RUNNING: {
        _E.VETOED: IGNORED,
        _E.READY: IGNORED,
        _E.STOP: _S.STOPPING,
        _E.GRACE_OVER: IGNORED,
        _E.REAP_OVER: IGNORED,
        _E.REAPED: _S.EXITED,
        _E.VANISHED: _S.LOST,
    },
    _S.STOPPING: {
        _E.VETOED: IGNORED,
        _E.READY: IGNORED,
        _E.STOP: _S.STOPPING,
        _E.GRACE_OVER: _S.KILLING,
        _E.REAP_OVER: IGNORED,
        _E.REAPED: _S.EXITED,
        _E.VANISHED: _S.LOST,
    },
    _S.KILLING: {
        _E.VETOED: IGNORED,
        _E.READY: IGNORED,
        _E.STOP: _S.KILLING,
        _E.GRACE_OVER: IGNORED,
        _E.REAP_OVER: _S.LOST,
        _E.REAPED: _S.EXITED,
        _E.VANISHED: _S.LOST,
    },
    _S.EXITED: dict(_LATE),
    _S.FAILED: dict(_LATE),
    _S.LOST: {**_LATE, _E.REAPED: IGNORED},
}


def step(
    state: ProcessState, event: ProcessEvent, *, subject: str = "process", story: Sequence[object] = ()
) -> ProcessState:
    """The state after the event (the same one where it is ignored); IllegalTransition where the table has no entry."""
    try:
        following = TABLE[state][event]
    except KeyError:
        raise IllegalTransition(subject, state.name, event.value, story) from None
    return state if following is None else following
