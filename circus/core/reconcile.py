"""What is missing and what is too much, given the slots and the target. Pure arithmetic over slots.

Surplus goes in this order: slots that wait for their delay, then processes that have not been forked, then the oldest
processes, as circus 0.19 does.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from circus.core.process_fsm import ENDING, ProcessState
from circus.core.slots import Slot


class Plan(msgspec.Struct, frozen=True):
    """How many slots to open, and which to end."""

    missing: int
    surplus: tuple[int, ...]


def plan(slots: Iterable[Slot], target: int) -> Plan:
    """Compare the slots that count (all but those whose end has been asked for without a successor) with the target."""
    counted = [slot for slot in slots if (slot.state not in ENDING or slot.respawn_as is not None) and not slot.vacated]
    over = len(counted) - target
    if over <= 0:
        return Plan(-over, ())
    counted.sort(key=_expendable)
    return Plan(0, tuple(slot.wid for slot in counted[:over]))


def _expendable(slot: Slot) -> tuple[int, float, int]:
    if slot.state is None:
        return (0, 0.0, slot.wid)
    if slot.state is ProcessState.PENDING:
        return (1, 0.0, slot.wid)
    if slot.state in ENDING or slot.parting:
        return (2, 0.0, slot.wid)
    return (3, slot.spawned_at, slot.wid)
