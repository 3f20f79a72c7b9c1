"""Processes of a watcher, as circus 0.19 let one look at them and meddle with them.

Everything here is asked of the lifecycle, which decides as it would have done by itself. Invariant: nobody has to call
any of it for the processes to be what they should be.
"""

from __future__ import annotations

import asyncio
import contextlib
import os

from circus.operations import Operations
from circus.process import Process


class Meddling(Operations):
    """A watcher whose processes can be looked after by hand."""

    def get_active_processes(self) -> list[Process]:
        """The processes that have not ended, by slot."""
        return [process for _, process in sorted(self._by_wid.items()) if process.is_alive()]

    def send_signal_process(self, process: Process, signum: int, recursive: bool = False) -> None:
        """Signal a process, then its children, and theirs when `recursive`."""
        children = process.children(recursive)
        self.send_signal(process.pid, signum)
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)

    def send_signal_child(self, pid: int, child_id: int, signum: int) -> None:
        """Signal a child of a process of ours; nothing happens when the child is gone."""
        with contextlib.suppress(ProcessLookupError):
            self.processes[int(pid)].send_signal_child(int(child_id), signum)

    def send_signal_children(self, pid: int, signum: int, recursive: bool = False) -> None:
        """Signal the children of a process of ours, and theirs when `recursive`."""
        self.processes[int(pid)].send_signal_children(signum, recursive)

    async def kill_process(
        self, process: Process, stop_signal: int | None = None, graceful_timeout: float | None = None
    ) -> bool:
        """End a process: a signal, the grace, SIGKILL; it is replaced. False when it was none of ours any more."""
        if self.processes.get(process.pid) is not process:
            return False
        await self.kill(process.pid, stop_signal, graceful_timeout)
        return True

    async def kill_processes(self, stop_signal: int | None = None, graceful_timeout: float | None = None) -> None:
        """The same for all its processes."""
        await self.kill(None, stop_signal, graceful_timeout)

    def spawn_process(self, recovery_wid: int | None = None) -> bool:  # noqa: ARG002 - 0.19's signature
        """Begin to start what is missing of it; False when it is stopped."""
        if self.is_stopped():
            return False
        self.submit("resize", name="spawn", delta=0)
        return True

    async def spawn_processes(self) -> None:
        """Start what is missing of it, and wait for that."""
        if not self.is_stopped():
            await self.submit("resize", name="spawn", delta=0)

    def reap_process(self, pid: int, status: int | None = None) -> None:  # noqa: ARG002 - 0.19's signature
        """Collect a process of ours if it has ended: the kernel tells of each end, so there is seldom one to be found."""
        if pid in self.processes:
            self._services.reaper.sweep()

    def reap_processes(self) -> None:
        """Collect those that have ended."""
        if self.attached:
            self._services.reaper.sweep()

    async def manage_processes(self) -> None:
        """See to it that as many processes run as there should be, and wait for that; it is done without asking too."""
        await self.spawn_processes()

    async def reap_and_manage_processes(self) -> None:
        """Collect those that have ended, and replace them."""
        self.reap_processes()
        await self.manage_processes()

    async def remove_expired_processes(self) -> None:
        """End the processes that are older than `max_age`; that is done without asking too, with the variance."""
        if self.spec.max_age > 0:
            expired = [process for process in self.processes.values() if process.age() > self.spec.max_age]
            await asyncio.gather(*map(self.kill_process, expired))

    async def do_action(self, num: int) -> None:
        """What `set_opt` says is to be done: 0 for the number of processes, 1 for a graceful reload, -1 for nothing."""
        if num == 0:
            await self.manage_processes()
        elif num > 0 and not self.is_stopped():
            await self.reload()
