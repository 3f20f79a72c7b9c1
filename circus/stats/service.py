"""Answers `stats` and `dstats`: the infos of circus 0.19, from samples that are fresh enough.

Owns asking for a sweep when nothing fresh is known, and how long readers stay open after they were used; refuses to
know commands and sockets. Invariant: however many processes there are, the loop gets its turn about every millisecond.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final

from circus.stats.psinfo import process_info, total_memory, work_out
from circus.stats.readers import Description
from circus.stats.sampler import Member, Sampler
from circus.wire.samples import ProcessSample

Infos = dict[int, dict[str, Any]]
Extend = Callable[[str, int, dict[str, Any]], Awaitable[None]]

# Whoever asked once often asks again, and opening descriptors costs more than reading them.
LINGER_SECONDS: Final = 30.0


class StatsService:
    """`ports.StatsLike` on a sampler. `extend` runs the hook extended_stats of a watcher on the info of a pid.

    Attributes:
        sampler: the table of processes that the watchers keep up to date.
        own: the daemon itself, which is no member of a watcher.
        machine_memory: the bytes of memory of this machine.
    """

    def __init__(
        self,
        sampler: Sampler,
        *,
        interval: float,
        loop: asyncio.AbstractEventLoop,
        extend: Extend | None = None,
    ) -> None:
        pid = os.getpid()
        self.sampler = sampler
        self.own = Member(
            sampler.reader_factory(pid, keep=False),
            ProcessSample(wid=0, pid=pid, generation=0, started=sampler.clock.time()),
            memory=False,
            born=sampler.clock.monotonic(),
        )
        self._interval = interval
        self._loop = loop
        self._extend = extend
        self.machine_memory = total_memory()
        self._users = 0
        self._linger: asyncio.TimerHandle | None = None

    async def infos(self, watcher: str, extended: bool = False) -> Infos:
        """The info of each live process of a watcher by pid, none for an unknown watcher."""
        found: Infos = {}
        await self._drive(self._collect(watcher, found))
        if extended and self._extend is not None:
            for pid, info in found.items():
                await self._extend(watcher, pid, info)
        return found

    async def all_infos(self) -> dict[str, Infos]:
        """The same for all watchers by name."""
        found: dict[str, Infos] = {name: {} for name in self.sampler.watchers()}
        await self._drive(step for name, infos in found.items() for step in self._collect(name, infos))
        return found

    async def daemon_info(self) -> dict[str, Any]:
        """The info of the daemon itself."""
        await self._drive(self.sampler.sweep([self.own], max_age=self._interval))
        return self.info(self.own)

    def info(self, member: Member) -> dict[str, Any]:
        """The info of a process as of its last reading."""
        return self._info(member, self.sampler.clock.monotonic() - member.born, ())

    def change_interval(self, interval: float) -> None:
        """What counts as fresh from now on."""
        self._interval = interval

    def begin_use(self) -> None:
        """Readers are needed, and stay open until every user has ended."""
        self._users += 1
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    def end_use(self) -> None:
        """The end of one `begin_use`."""
        self._users -= 1
        if not self._users:
            self._linger = self._loop.call_later(LINGER_SECONDS, self.sampler.release)

    def close(self) -> None:
        """Close all readers now."""
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        self.sampler.release()
        self.own.reader.close()

    async def _drive(self, steps: Iterable[None]) -> None:
        """Take steps with turns of the loop between them: two, since one alone comes before what is due."""
        self.begin_use()
        try:
            self.sampler.slice.begin()
            for _ in steps:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                self.sampler.slice.begin()
        finally:
            self.end_use()

    def _collect(self, watcher: str, found: Infos) -> Iterator[None]:
        sampler = self.sampler
        members = sampler.members(watcher)
        yield from sampler.sweep(members, max_age=self._interval)
        for member in members:
            sample = member.sample
            if sample.state is None or member.gone:
                continue
            children: list[dict[str, Any]] = []
            try:
                pids = member.reader.children()
            except OSError:
                pids = []
            if pids:
                yield from self._read_children(pids, children)
            info = self._info(member, sampler.clock.monotonic() - member.born, children)
            info["started"] = sample.started
            info["wid"] = sample.wid
            found[sample.pid] = info
            if sampler.slice.over():
                yield

    def _read_children(self, pids: list[int], infos: list[dict[str, Any]]) -> Iterator[None]:
        """The infos of children, each read this once."""
        for pid in pids:
            reader = self.sampler.reader_factory(pid, keep=False)
            sample = ProcessSample(wid=0, pid=pid, generation=0, started=0.0)
            child = Member(reader, sample, memory=False, born=0.0)
            yield from self.sampler.sweep([child])
            child.born = self.sampler.born(reader.create_time)
            if not child.gone and child.sample.state is not None:
                infos.append(self.info(child))
            reader.close()

    def _info(self, member: Member, age: float, children: Iterable[dict[str, Any]]) -> dict[str, Any]:
        described: Description | None
        try:
            described = member.reader.describe()
        except (OSError, ValueError):
            described = None
        worked = member.worked
        if worked is None or member.worked_told is not member.told or member.worked_described is not described:
            worked = member.worked = work_out(member.sample, described, self.machine_memory)
            member.worked_told, member.worked_described = member.told, described
        return process_info(
            member.sample,
            described,
            percent=member.percent,
            create_time=member.reader.create_time,
            age=age,
            worked=worked,
            children=list(children),
        )
