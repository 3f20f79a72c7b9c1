"""A watcher with everything it has, given to a daemon that takes over and taken by it.

Owns the order in which its parts go on again; how each goes on is its own business. Invariant: nothing of it is opened,
started or told by that which was there before, and no process of it is signalled.
"""

from __future__ import annotations

from circus.changing import Changing
from circus.exc import CircusError
from circus.handover import AdoptedRecord, ProcessRecord, WatcherRecord, dumped
from circus.process import Process


class Taking(Changing):
    """A driver that can be given away."""

    @property
    def busy(self) -> str | None:
        """Why it cannot be handed over just now, as a sentence; None when it can."""
        busy = "what was decided is not done yet" if self._pending.effects else self.lifecycle.busy
        return None if busy is None else f"'{self.name}' is busy: {busy}"

    def before_handover(self) -> None:
        """What has to be done and told before it is handed over."""
        self._launcher.outputs.before_handover()

    def handed(self) -> WatcherRecord:
        """All of it; only while it is not busy.

        Raises:
            CircusError: something of it exists in this program only.
        """
        try:
            spec = dumped(self.spec)
        except CircusError as error:
            raise CircusError(f"watcher '{self.name}' cannot be handed over: {error}") from None
        return WatcherRecord(
            spec=spec,
            machine=self.lifecycle.record(),
            env=dict(self._launcher.env),
            processes=[self._handed(process) for process in self._by_pid.values()],
            outputs=self._launcher.outputs.handed(),
            cpu=self._services.sampler.told_cpu(self.name),
        )

    def _handed(self, process: Process) -> ProcessRecord:
        services, record = self._services, process.handed()
        adopted, mark = services.reaper.adopted(process.pid), services.reach.mark_of(process.pid)
        if adopted is not None and mark is not None:
            pidfd, start = adopted
            group = services.reach.group_of(process.pid)
            record.adopted = AdoptedRecord(pidfd=pidfd, start=start, mark=mark, group=group)
        return record

    def take_over(self, record: WatcherRecord) -> None:
        """Go on where another has ended, right after `attach`, with the same spec."""
        services, machine, launcher = self._services, record.machine, self._launcher
        launcher.env = record.env
        launcher.outputs.go_on(record.outputs)
        wids = {slot.wid: slot.generation for slot in machine.slots if slot.pid is not None}
        read: dict[int, Process] = {}
        for each in record.processes:
            pipes = [pipe for pipe in record.outputs.pipes if pipe.pid == each.pid and not pipe.lingers]
            process = launcher.take_over(each, pipes, services.reaper)
            self._by_pid[process.pid] = process
            if wids.get(process.wid) == process.generation:
                self._by_wid[process.wid] = process
            if pipes:
                read[process.pid] = process
        adopted = {each.pid: each.adopted for each in record.processes}
        for process in self._by_pid.values():
            ended = process.handed().ended is not None
            foreign = adopted[process.pid]
            if foreign is not None:
                services.reach.adopt(process, foreign.mark, foreign.group, ended=ended)
            elif self.spec.scope != "main":
                mark = services.reach.mark(self.name, process.wid, process.generation)
                services.reach.take_over(process, mark, ended=ended)
            if not ended:
                services.sampler.add(self.name, process.wid, process.pid, process.generation, process.started)
                if foreign is None:
                    services.reaper.watch(process.pid, self._report)
                else:
                    services.reaper.adopt(process.pid, foreign.pidfd, foreign.start, self._report)
        services.sampler.tell_cpu(self.name, record.cpu)
        # Opens the streams; the pipes are read after that, or a spawn in it had to wait for them.
        self._pending.perform(self.lifecycle.resume(services.clock.monotonic(), machine))
        launcher.outputs.take_over(record.outputs, read)
