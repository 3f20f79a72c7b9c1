"""What all watchers of one arbiter share.

Owns nothing; the assembly makes the parts and closes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from circus.events.bus import Bus
from circus.findings import Findings
from circus.ledger import Ledger
from circus.reach import Reach
from circus.runtime.clock import chance
from circus.runtime.loop import SpawnQueue
from circus.runtime.reaper import Reaper
from circus.sockets import CircusSockets
from circus.stats.sampler import Sampler

if TYPE_CHECKING:
    from circus.ports import ArbiterLike, Clock


class Services(msgspec.Struct, kw_only=True):
    """What all watchers of one arbiter share."""

    loop: asyncio.AbstractEventLoop
    clock: Clock
    bus: Bus
    reaper: Reaper
    reach: Reach
    ledger: Ledger
    findings: Findings
    spawns: SpawnQueue
    sampler: Sampler
    sockets: CircusSockets
    environ: Mapping[str, str]
    arbiter: ArbiterLike
    watch_sockets: Callable[[Any, bool], None]
    quitting: Callable[[], bool]
    wake_guard: Callable[[], None]
    random: Callable[[], float] = msgspec.field(default=chance)
    illegal_transitions: int = 0
    carried: dict[int, str] = msgspec.field(default_factory=dict)
    """Processes that run on without a watcher and write to us, with the name of the watcher they had."""
