"""One reload of a watcher: graceful (new ones first), sequential (one slot after the other), or by SIGHUP.

A decision object between two states of the lifecycle. A reload whose new processes do not come up ends as failed and
keeps as many old processes as are needed; the capacity never falls below the target for its sake. A singleton is
never there twice: it is reloaded sequentially.
"""

from __future__ import annotations

from circus.core import effects as do
from circus.core.crew import Crew
from circus.core.slots import Slot
from circus.core.stimuli import Operation


class Reloading:
    """The progress of a reload; `advance` is called whenever something changed."""

    def __init__(self, crew: Crew, operation: Operation) -> None:
        self.crew, self.operation = crew, operation
        spec = crew.spec
        if spec.send_hup and not (operation.change is not None and operation.change.replacing):
            self.mode = "hup"
        elif operation.sequential or spec.singleton:
            self.mode = "sequential"
        else:
            self.mode = "graceful"
        self.ok = True
        self._began = crew.now
        self._queue: list[tuple[int, int]] = []
        self._stage = 0
        self.failure: str | None = None

    def begin(self) -> None:
        """Tell, and take the first step."""
        crew, origin = self.crew, self.operation.origin
        crew.tell("reload.started", origin, mode=self.mode, workers=crew.target)
        crew.effects.append(do.OpenStreams())
        if self.mode == "hup":
            for slot in crew.slots.values():
                if slot.alive and not slot.ending and slot.pid is not None:
                    crew.hang_up(slot, origin)
                    self.operation.kept.append(slot.pid)
            return
        old = [slot for slot in crew.slots.values() if slot.alive and not slot.ending]
        for slot in [slot for slot in crew.slots.values() if not (slot.alive or slot.parting)]:
            crew.drop(slot)
        # A slot whose process has just ended gets its successor without our help, unless all are replaced anyway.
        parting = [slot for slot in crew.slots.values() if slot.parting and not slot.vacated]
        if self.mode == "sequential":
            self._queue = [(slot.wid, slot.generation) for slot in old]
            missing = crew.target - len(old) - len(parting)
        else:
            for slot in [*old, *parting]:
                slot.old = True
            missing = crew.target
        for _ in range(missing):
            crew.open("reload", origin, replaces=True)

    def advance(self) -> bool:
        """Take the next step; True when nothing is left to do."""
        if self.mode == "hup":
            return True
        if self.crew.unsettled:
            return False
        return self._advance_sequential() if self.mode == "sequential" else self._advance_graceful()

    def _advance_graceful(self) -> bool:
        crew, origin = self.crew, self.operation.origin
        old = [slot for slot in crew.slots.values() if slot.old]
        if self._stage == 0:
            self._stage = 1
            failed = [slot for slot in crew.slots.values() if slot.state is None]
            if failed:
                self._fail(failed)
                old = sorted(old, key=_age)[: max(0, len(old) + _new(crew) - crew.target)]
            for slot in old:
                crew.stop(slot, "stopped", "reload", origin)
            if failed:
                for slot in crew.slots.values():
                    slot.old = slot.old and slot.ending
        return not any(slot.old for slot in crew.slots.values())

    def _advance_sequential(self) -> bool:
        crew = self.crew
        failed = [slot for slot in crew.slots.values() if slot.state is None]
        if failed:
            self._queue.clear()
            self._failed(failed)
            return True
        if crew.ending or crew.parting or (self._queue and crew.warming):
            return False
        while self._queue:
            wid, generation = self._queue.pop(0)
            slot = crew.find(wid, generation)
            if slot is not None and slot.alive:
                crew.stop(slot, "stopped", "reload", self.operation.origin, respawn_as="reload")
                return False
        return True

    def _fail(self, failed: list[Slot]) -> None:
        self._failed(failed)
        for slot in failed:
            self.crew.drop(slot)

    def _failed(self, slots: list[Slot]) -> None:
        trouble = next((f": {slot.trouble}" for slot in slots if slot.spawn_failures), "")
        self.ok, self.failure = False, f"a new process did not start{trouble}"

    def finish(self) -> None:
        """Tell how it went."""
        self._told(self.failure)
        if self.ok:
            self.crew.effects.append(do.Publish("reload"))

    def abandon(self, reason: str) -> None:
        """Something overtook it."""
        self.ok = False
        self._told(reason)
        for slot in self.crew.slots.values():
            slot.old = False

    def _told(self, reason: str | None) -> None:
        crew = self.crew
        crew.tell("reload.finished", self.operation.origin, mode=self.mode, workers=crew.target, ok=self.ok,
                  reason=reason, seconds=crew.now - self._began)  # fmt: skip


def _new(crew: Crew) -> int:
    return sum(slot.alive and not slot.old and not slot.ending for slot in crew.slots.values())


def _age(slot: Slot) -> float:
    return slot.spawned_at
