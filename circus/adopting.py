"""A watcher takes over workers of a circusd that was killed: they run on, and are its own from now on.

Knows nothing of how they were found and proven. Invariant: a worker that is taken over is not started; what is missing
beside them is started, and what is too much is stopped, once all of them are there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from circus.core.origin import Origin
from circus.core.resuming import MachineRecord, TimerRecord, adopted
from circus.core.watcher_fsm import Want, WatcherState
from circus.events.cause import cause_of
from circus.handover import AdoptedRecord, PipeRecord, ProcessRecord, WatcherRecord
from circus.orphans.taking import Taken
from circus.runtime import identity
from circus.taking import Taking

_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Adopting(Taking):
    """A driver that can take over what another circusd left."""

    def adopt(self, workers: Sequence[Taken], boot: str, origin: Origin) -> None:
        """Take workers over, right after `attach`; what they are read and watched by is ours from now on.

        Args:
            workers: of this watcher.
            boot: of the circusd that started them, for records.
            origin: of the record that they were found.
        """
        services, spec = self._services, self.spec
        now, tick = services.clock.monotonic(), identity.tick()
        machine = MachineRecord(
            state=WatcherState.ACTIVE,
            want=Want.UP,
            target=self.lifecycle.target,
            generation=max(each.survivor.worker.generation for each in workers),
            been_active=True,
            opened=True,
            origin=origin,
        )
        outputs = self._launcher.outputs.handed()
        outputs.opened = True
        processes = []
        for each in workers:
            worker = each.survivor.worker
            age = max(tick - worker.first, 0) / _TICKS
            data = {"generation": worker.generation, "boot": worker.boot or boot, "lifetime_seconds": age,
                    "outputs": sorted(each.pipes)}  # fmt: skip
            seq, trace = services.bus.record(
                "process.adopted", self.name, cause_of(origin), data,
                trace=origin.trace, wid=worker.wid, pid=worker.pid, generation=worker.generation,
            )  # fmt: skip
            own = Origin(kind="record", seq=seq, trace=trace)
            machine.slots.append(adopted(worker.wid, worker.pid, worker.generation, spawned_at=now - age, origin=own))
            if spec.max_age > 0:
                bonus = round(services.random() * spec.max_age_variance)
                machine.timers.append(TimerRecord("max_age", worker.wid, now - age + spec.max_age + bonus))
            outputs.pipes += [
                PipeRecord(fd=fd, name=name, pid=worker.pid, wid=worker.wid) for name, fd in each.pipes.items()
            ]
            processes.append(
                ProcessRecord(
                    pid=worker.pid,
                    wid=worker.wid,
                    generation=worker.generation,
                    started=worker.time,
                    began=now - age,
                    adopted=AdoptedRecord(
                        pidfd=each.pidfd, start=worker.first, mark=each.survivor.mark, group=worker.group
                    ),
                )
            )
        self.take_over(
            WatcherRecord(spec=None, machine=machine, env=self._launcher.env, processes=processes, outputs=outputs)
        )
