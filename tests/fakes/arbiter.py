"""An arbiter without processes: watchers that are numbers and states, work that takes as long as a test wants.

Small and real rather than mocked; checked against the ports by mypy's eyes and by `test_fakes` at run time.
"""

from __future__ import annotations

import asyncio
import fnmatch
import itertools
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from circus.exc import AlreadyExist, CircusError, Overtaken
from circus.ports import WatcherLike
from circus.spec.watcher import WatcherSpec


@dataclass
class FakeProcess:
    pid: int
    wid: int = 1
    started: float = 1000.0
    generation: int = 1
    signals: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)
    further_below: list[int] = field(default_factory=list)

    def send_signal(self, signum: int) -> None:
        self.signals.append(signum)

    def children(self, recursive: bool = False) -> list[int]:
        return self.below + self.further_below if recursive else list(self.below)


class FakeWatcher:
    """Does at once what it is asked, or, while `hold` is set, when that future is resolved (or fails)."""

    pids = itertools.count(1000)

    def __init__(self, name: str, numprocesses: int = 1, *, singleton: bool = False, autostart: bool = True) -> None:
        self.name, self.res_name = name, name.lower().replace(" ", "_")
        self.numprocesses, self.singleton, self.autostart = numprocesses, singleton, autostart
        self.processes: dict[int, FakeProcess] = {}
        self.state = "stopped"
        self.hold: asyncio.Future[None] | None = None
        self.killed: list[tuple[int | None, int | None, float | None]] = []
        self.done: list[str] = []
        self.changed: list[dict[str, object]] = []
        self.extra: dict[str, Any] = {}
        self.fill()

    def fill(self) -> list[int]:
        started = [next(self.pids) for _ in range(self.numprocesses - len(self.processes))]
        self.processes |= {pid: FakeProcess(pid, wid) for wid, pid in enumerate(started, 1)}
        self.state = "active"
        return started

    def empty(self) -> list[int]:
        stopped = list(self.processes)
        self.processes.clear()
        return stopped

    shortfall: str | None = None

    def status(self) -> str:
        return self.state

    def is_stopped(self) -> bool:
        return self.state == "stopped"

    def options(self) -> list[tuple[str, Any]]:
        known = {"numprocesses": self.numprocesses, "stop_signal": 15, "env": {"B": "2", "A": "1"}, **self.extra}
        return list(known.items())

    def all_options(self) -> dict[str, Any]:
        return {"autostart": self.autostart, **dict(self.options())}

    def set(self, options: Mapping[str, object]) -> Awaitable[dict[str, str]]:
        if options.get("cmd") == "impossible":
            raise CircusError("it cannot be had")
        self.changed.append(dict(options))
        return self._set()

    async def _set(self) -> dict[str, str]:
        await self._held("set")
        return {"effect": "nothing"}

    def get_active_pids(self) -> list[int]:
        return list(self.processes)

    async def _held(self, what: str) -> None:
        self.done.append(what)
        if self.hold is not None:
            await self.hold

    async def start(self) -> dict[str, list[int]]:
        await self._held("start")
        kept = list(self.processes)
        return {"started": self.fill(), "kept": kept}

    async def stop(self) -> None:
        if self.hold is not None and not self.hold.done():
            self.hold.set_exception(Overtaken(f"cancelled: stop overtook start of '{self.name}'"))
        self.done.append("stop")
        self.empty()
        self.state = "stopped"

    async def restart(self) -> dict[str, list[int]]:
        await self._held("restart")
        return {"stopped": self.empty(), "started": self.fill(), "kept": []}

    async def reload(self, graceful: bool = True, sequential: bool = False) -> dict[str, list[int]]:
        await self._held(f"reload graceful={graceful} sequential={sequential}")
        return {"stopped": self.empty(), "started": self.fill(), "kept": []}

    async def incr(self, nb: int = 1) -> int:
        await self._held(f"incr {nb}")
        self.numprocesses = max(self.numprocesses + nb, 0)
        return self.numprocesses

    async def decr(self, nb: int = 1) -> int:
        await self._held(f"decr {nb}")
        self.numprocesses = max(self.numprocesses - nb, 0)
        return self.numprocesses

    async def kill(
        self, pid: int | None = None, signum: int | None = None, graceful_timeout: float | None = None
    ) -> None:
        await self._held("kill")
        self.killed.append((pid, signum, graceful_timeout))

    def send_signal(self, pid: int, signum: int) -> None:
        self.processes[pid].send_signal(signum)

    def tail(
        self,
        wid: int | None,
        stream: str | None,
        count: int | None = None,
        life: str | None = None,
        after: Mapping[tuple[int, str], int] | None = None,
    ) -> Any:
        return (wid, stream, count, life, after)


@dataclass
class FakeSocket:
    name: str
    fd: int
    host: str = "127.0.0.1"
    port: int = 8080
    path: str | None = None
    backlog: int = 2048

    def fileno(self) -> int:
        return self.fd


class FakeStats:
    def __init__(self, arbiter: FakeArbiter) -> None:
        self._arbiter = arbiter
        self.asked_extended = False

    @staticmethod
    def info(pid: int, **more: Any) -> dict[str, Any]:
        told = {"mem_info1": "1.50M", "mem_info2": "2.44M", "cpu": 0.0, "mem": 0.006, "ctime": "0:00.0", "pid": pid}
        return told | {"username": "root", "nice": 0, "cmdline": "sleep", "children": []} | more

    async def infos(self, watcher: str, extended: bool = False) -> dict[int, dict[str, Any]]:
        self.asked_extended = extended
        return {pid: self.info(pid, wid=1) for pid in self._arbiter.get_watcher(watcher).processes}

    async def all_infos(self) -> dict[str, dict[int, dict[str, Any]]]:
        return {watcher.name: await self.infos(watcher.name) for watcher in self._arbiter.iter_watchers()}

    async def daemon_info(self) -> dict[str, Any]:
        return self.info(1, cmdline="python3")


class FakeJournal:
    boot = "b00t"

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.asked: tuple[Any, ...] = ()

    def replay(
        self, since: int = 0, limit: int | None = None, watcher: str | None = None, record: str | None = None
    ) -> tuple[list[bytes], int, int]:
        self.asked = (since, limit, watcher, record)
        found = self.records[since:][:limit]
        return found, 1, since + len(found)


class FakeArbiter:
    """Has what a test puts into it; `done` tells what was asked of it as a whole."""

    def __init__(self, *watchers: FakeWatcher) -> None:
        self.endpoint, self.pubsub_endpoint = "tcp://127.0.0.1:5555", "tcp://127.0.0.1:5556"
        self.stats_endpoint, self.multicast_endpoint = "tcp://127.0.0.1:5557", ""
        self.check_delay = 5.0
        self.quitting = False
        self.endpoint_owner: str | None = None
        self.watchers = {watcher.name.lower(): watcher for watcher in watchers}
        self.sockets: dict[str, FakeSocket] = {}
        self.stats = FakeStats(self)
        self.journal = FakeJournal()
        self.done: list[str] = []
        self.added: list[WatcherSpec] = []
        self.hold: asyncio.Future[None] | None = None
        self.snapshot: Any = {"seq": 7}

    def iter_watchers(self, reverse: bool = True) -> Iterable[FakeWatcher]:
        return list(self.watchers.values())

    def get_watcher(self, name: str) -> FakeWatcher:
        return self.watchers[name.lower()]

    def numprocesses(self) -> int:
        return sum(len(watcher.processes) for watcher in self.watchers.values())

    def numwatchers(self) -> int:
        return len(self.watchers)

    def statuses(self) -> dict[str, str]:
        return {watcher.name: watcher.state for watcher in self.watchers.values()}

    async def _all(self, what: str, watchers: Sequence[WatcherLike] | None) -> dict[str, str]:
        names = "all" if watchers is None else ",".join(watcher.name for watcher in watchers)
        self.done.append(f"{what} {names}")
        if self.hold is not None:
            await self.hold
        known = [*self.watchers.values()] if watchers is None else watchers
        return {watcher.name: watcher.shortfall for watcher in known if watcher.shortfall is not None}

    def start_watchers(self, watchers: Sequence[WatcherLike] | None = None) -> Awaitable[dict[str, str]]:
        return self._all("start", watchers)

    def stop_watchers(self, watchers: Sequence[WatcherLike] | None = None) -> Awaitable[object]:
        return self._all("stop", watchers)

    def restart_watchers(self, watchers: Sequence[WatcherLike]) -> Awaitable[dict[str, str]]:
        return self._all("restart", watchers)

    def reload(self, graceful: bool = True, sequential: bool = False) -> Awaitable[dict[str, str]]:
        return self._all(f"reload graceful={graceful} sequential={sequential}", None)

    def restart(self, inside_circusd: bool = False) -> Awaitable[dict[str, str]]:
        return self._all("restart from the file" if inside_circusd else "restart", None)

    def add(self, spec: WatcherSpec, *, start: bool = False) -> Awaitable[dict[str, list[int]] | None]:
        if spec.name.lower() in self.watchers:
            raise AlreadyExist(f"{spec.name!r} already exist")
        self.added.append(spec)
        watcher = self.watchers[spec.name.lower()] = FakeWatcher(spec.name, 0)
        return self._add(watcher, start)

    async def _add(self, watcher: FakeWatcher, start: bool) -> dict[str, list[int]] | None:
        return await watcher.start() if start else None

    def remove(self, watcher: WatcherLike, *, stop: bool = True) -> Awaitable[None]:
        return self._all(f"remove stop={stop}", [watcher])

    def plan(self) -> dict[str, Any]:
        return {"changes": [], "restart": [], "warnings": [], "refused": [], "by_hand": []}

    async def reload_from_config(self) -> dict[str, Any]:
        self.done.append("reloadconfig")
        return {"changes": [], "restart": [], "warnings": []}

    def quit(self) -> Awaitable[None]:
        return self._all("quit", None)

    def telemetry(self, watchers: str | None = None, detail: bool = True) -> Any:
        self.done.append(f"telemetry {watchers} {detail}")
        names = [name for name in self.watchers if watchers is None or fnmatch.fnmatch(name, watchers)]
        return self.snapshot if not isinstance(self.snapshot, Mapping) else {**self.snapshot, "watchers": names}
