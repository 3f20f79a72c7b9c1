"""The life of one watcher as a table, with what is wanted kept apart from what is.

Restart is not a state: it is STOPPING with `Want.UP`. `fatal` is STOPPED with the want given up. The wire keeps the
four status words of circus 0.19; metrics and records carry the full state.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final

from circus.exc import IllegalTransition


class Want(Enum):
    """What the operator asked for last."""

    UP = "up"
    DOWN = "down"


class WatcherState(Enum):
    """Where a watcher is in its life."""

    STOPPED = "stopped"
    WAITING = "waiting"
    STARTING = "starting"
    BACKOFF = "backoff"
    ACTIVE = "active"
    RELOADING = "reloading"
    STOPPING = "stopping"

    __hash__ = object.__hash__


class WatcherEvent(Enum):
    """What can happen to it."""

    START = "Start"
    STOP = "Stop"
    RESTART = "Restart"
    RELOAD = "Reload"
    ARM = "Arm"
    SOCKET_READY = "SocketReady"
    TARGET_MET = "TargetMet"
    RETRY = "Retry"
    HOLD_OVER = "HoldOver"
    VETOED = "Vetoed"
    BUDGET_SPENT = "BudgetSpent"
    EMPTIED = "Emptied"
    RELOADED = "Reloaded"
    DRAINED_DOWN = "Drained, want down"
    DRAINED_UP = "Drained, want up"

    __hash__ = object.__hash__


_S, _E = WatcherState, WatcherEvent

TABLE: Final[dict[WatcherState, dict[WatcherEvent, WatcherState]]] = {
    _S.STOPPED: {
        _E.START: _S.STARTING,
        _E.RELOAD: _S.STARTING,
        _E.RESTART: _S.STARTING,
        _E.ARM: _S.WAITING,
        _E.STOP: _S.STOPPED,
    },
    _S.WAITING: {
        _E.SOCKET_READY: _S.STARTING,
        _E.STOP: _S.STOPPED,
        _E.START: _S.WAITING,
        _E.RELOAD: _S.WAITING,
        _E.RESTART: _S.WAITING,
        _E.ARM: _S.WAITING,
    },
    _S.STARTING: {
        _E.TARGET_MET: _S.ACTIVE,
        _E.RETRY: _S.BACKOFF,
        _E.VETOED: _S.STOPPING,
        _E.BUDGET_SPENT: _S.STOPPING,
        _E.EMPTIED: _S.STOPPING,
        _E.ARM: _S.WAITING,
        _E.STOP: _S.STOPPING,
        _E.RESTART: _S.STOPPING,
    },
    _S.BACKOFF: {
        _E.HOLD_OVER: _S.STARTING,
        _E.START: _S.STARTING,
        _E.RELOAD: _S.STARTING,
        _E.BUDGET_SPENT: _S.STOPPING,
        _E.VETOED: _S.STOPPING,
        _E.EMPTIED: _S.STOPPING,
        _E.STOP: _S.STOPPING,
        _E.RESTART: _S.STOPPING,
    },
    _S.ACTIVE: {
        _E.START: _S.ACTIVE,
        _E.TARGET_MET: _S.ACTIVE,
        _E.RELOAD: _S.RELOADING,
        _E.RETRY: _S.BACKOFF,
        _E.EMPTIED: _S.STOPPING,
        _E.ARM: _S.WAITING,
        _E.VETOED: _S.STOPPING,
        _E.BUDGET_SPENT: _S.STOPPING,
        _E.STOP: _S.STOPPING,
        _E.RESTART: _S.STOPPING,
    },
    _S.RELOADING: {
        _E.RELOADED: _S.ACTIVE,
        _E.RETRY: _S.RELOADING,
        _E.VETOED: _S.STOPPING,
        _E.BUDGET_SPENT: _S.STOPPING,
        _E.EMPTIED: _S.STOPPING,
        _E.STOP: _S.STOPPING,
        _E.RESTART: _S.STOPPING,
    },
    _S.STOPPING: {
        _E.DRAINED_DOWN: _S.STOPPED,
        _E.DRAINED_UP: _S.STARTING,
        _E.START: _S.STOPPING,
        _E.STOP: _S.STOPPING,
        _E.RESTART: _S.STOPPING,
    },
}


def step(
    state: WatcherState, event: WatcherEvent, *, subject: str = "watcher", story: Sequence[object] = ()
) -> WatcherState:
    """The state after the event; IllegalTransition where the table has no entry."""
    try:
        return TABLE[state][event]
    except KeyError:
        raise IllegalTransition(subject, state.name, event.value, story) from None


def wire_status(state: WatcherState, *, been_active: bool) -> str:
    """One of the four words of circus 0.19: `stopped`, `starting`, `active`, `stopping`."""
    if state is _S.BACKOFF:
        return "active" if been_active else "starting"
    return _WIRE[state]


_WIRE: Final = {
    _S.STOPPED: "stopped",
    _S.WAITING: "stopped",
    _S.STARTING: "starting",
    _S.ACTIVE: "active",
    _S.RELOADING: "active",
    _S.STOPPING: "stopping",
}
