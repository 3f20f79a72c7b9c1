"""What is noted of workers while they live, so that a circusd that comes after a killed one knows them again.

Decides whose workers are noted, writes a line for each before anything else is done with it, and keeps the file small.
Knows nothing of what becomes of the lines. Invariants: where every policy is `ignore` nothing is opened or written; the
daemon goes on whatever becomes of the file, and says so once.
"""

from __future__ import annotations

import asyncio
import logging
import os
from _blake2 import blake2b  # hashlib would bring OpenSSL in
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Final

from msgspec.structs import replace

from circus.core import statefile as notes
from circus.exc import CircusError
from circus.handover import LedgerRecord
from circus.planning import used
from circus.process import Process
from circus.runtime import identity
from circus.runtime.kin import mark_of
from circus.runtime.statefile import StateFile
from circus.spec.diff import flat, watcher_changes
from circus.spec.fields import Effect
from circus.spec.watcher import Orphans, WatcherSpec

_STREAMS: Final = ("stdout_stream", "stderr_stream")
_NOTHING: Final[Mapping[str, int]] = {}
logger = logging.getLogger("circus")

_LARGE_BYTES: Final = 65_536
"""A file this large is written anew when it has grown to several times of what was last written whole."""
_TIMES: Final = 4
_AGAIN_SECONDS: Final = 5.0
"""A file that cannot be written is tried again so often, and with it everything that should be in it."""


def policy_of(spec: WatcherSpec, default: Orphans) -> Orphans:
    """What becomes of the processes of a watcher when circusd was killed.

    Plugins and the like hold keys and addresses of their circusd, so they are never taken over.
    """
    wanted = spec.orphans or default
    return "kill" if wanted == "adopt" and spec.role != "worker" else wanted


class Ledger:
    """The notes of one daemon.

    Args:
        boot: of the daemon.
        config: the file that it was started with.
        default: the policy of watchers that say nothing.
        sockets: the inodes of the sockets of Circus, by name; 0 for one that each process has for itself.
        open_file: claims the state file.
    """

    def __init__(
        self,
        *,
        boot: Callable[[], str],
        config: str,
        default: Callable[[], Orphans],
        sockets: Callable[[], Mapping[str, int]],
        open_file: Callable[[], StateFile],
    ) -> None:
        self._default, self._sockets, self._open = default, sockets, open_file
        self._boot, self._config = boot, config
        self._file: StateFile | None = None
        self._given_up = False
        self._current: dict[str, tuple[WatcherSpec, notes.Recipe]] = {}
        self._recipes: dict[int, notes.Recipe] = {}
        self._inodes: dict[str, int] = {}
        self._generations: dict[str, int] = {}
        self._latest = 0
        self._gone: list[notes.Gone] = []
        self._workers: dict[int, notes.Worker] = {}
        self._live_bytes = 0
        self._retry: asyncio.TimerHandle | None = None
        self._failing = False
        self._first = 0
        self._trusted: bool | None = None

    # -- which ------------------------------------------------------------------------------------------------------

    def policy(self, spec: WatcherSpec) -> Orphans:
        """What becomes of the processes of a watcher when this circusd is killed."""
        return policy_of(spec, self._default())

    def expect(self, spec: WatcherSpec) -> Orphans:
        """The policy for the process of that watcher that is about to be started: unless it is `ignore`, it is to carry
        a mark and to be added.
        """
        policy = self.policy(spec)
        if policy == "ignore" or not self._is_open():
            return "ignore"
        self._first = identity.tick()
        known = self._current.get(spec.name)
        if known is None or known[0] is not spec or known[1].policy != policy:
            self._note_recipe(spec, policy)
        return policy

    def _is_open(self) -> bool:
        if self._file is None and not self._given_up:
            try:
                self.hold(self._open())
            except CircusError as error:
                self._given_up = True
                logger.error("orphans: %s; a later circusd will not find these workers", error)  # noqa: TRY400 - a fact
        return self._file is not None

    def give_up(self) -> None:
        """Nothing can be noted, and that was said."""
        self._given_up = True

    # -- the file ---------------------------------------------------------------------------------------------------

    def hold(
        self,
        file: StateFile,
        taken: Iterable[tuple[notes.Worker, notes.Recipe]] = (),
        inodes: Mapping[str, int] | None = None,
    ) -> None:
        """Write to this file from now on; of what is in it only the workers stay that are `taken` over."""
        self._file = file
        self._inodes |= inodes or {}
        numbers: dict[int, int] = {}
        for worker, recipe in taken:
            if recipe.id not in numbers:
                numbers[recipe.id] = max(self._recipes, default=0) + 1
                self._recipes[numbers[recipe.id]] = replace(recipe, id=numbers[recipe.id])
            self._workers[worker.pid] = replace(worker, recipe=numbers[recipe.id])
            known = self._generations.get(recipe.watcher, 0)
            self._generations[recipe.watcher] = max(known, worker.generation, recipe.generation)
        self._write_anew()

    def restore(self) -> None:
        """Write the file anew if somebody has removed it, as happens to what lies about in directories for a time."""
        if self._file is not None and not self._failing and self._file.is_lost:
            logger.warning("orphans: the state file %s was removed by somebody, and is written anew", self._file.path)
            self._write_anew()

    def _head(self) -> notes.Head:
        pid = os.getpid()
        return notes.head(
            boot=self._boot(),
            machine=identity.machine() or "",
            namespace=identity.namespace(),
            pid=pid,
            started=identity.started(pid) or 0,
            config=self._config,
        )

    def _write_anew(self) -> None:
        assert self._file is not None
        self._retry = None
        needed = {worker.recipe for worker in self._workers.values()} | {each.id for _, each in self._current.values()}
        self._recipes = {
            number: replace(recipe, generation=self._generations.get(recipe.watcher, 0), latest=self._latest)
            for number, recipe in self._recipes.items()
            if number in needed
        }
        sockets = [notes.Socket(name=name, inode=inode) for name, inode in self._inodes.items()]
        text = notes.whole(self._head(), [*self._recipes.values(), *sockets, *self._workers.values(), *self._gone])
        try:
            self._file.rewrite(text)
        except OSError as error:
            self._failed(error)
            return
        self._live_bytes = len(text)
        if self._failing:
            self._failing = False
            logger.warning("orphans: the state file %s is written again, and whole", self._file.path)

    def _append(self, text: bytes) -> None:
        if self._file is None or self._failing:
            return  # it will be in the next file that can be written
        try:
            self._file.append(text)
        except OSError as error:
            self._failed(error)
            return
        if self._file.size > max(_LARGE_BYTES, _TIMES * self._live_bytes):
            self._write_anew()

    def _failed(self, error: OSError) -> None:
        assert self._file is not None
        if not self._failing:
            self._failing = True
            logger.error(
                "orphans: the state file %s cannot be written: %s; until it can, a later circusd may not find "
                "workers that are started now",
                self._file.path,
                error.strerror or error,
            )
        self._retry = asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._write_anew)

    # -- what is noted ----------------------------------------------------------------------------------------------

    def _note_recipe(self, spec: WatcherSpec, policy: Orphans) -> None:
        """Before the first process is made by it: one that nobody had the time to note is known by its mark."""
        inodes = self._sockets()
        given = sorted(used(spec, set(inodes)))
        recipe = notes.Recipe(
            id=max(self._recipes, default=0) + 1,
            watcher=spec.name,
            role=spec.role,
            policy=policy,
            scope=spec.scope,
            stop_signal=spec.stop_signal,
            graceful_timeout=spec.graceful_timeout,
            salt=self._boot(),
            options=making(spec, self._boot()),
            sockets=tuple(given),
        )
        self._current[spec.name], self._recipes[recipe.id] = (spec, recipe), recipe
        moved = {name: inode for name in given if (inode := inodes[name]) and self._inodes.get(name) != inode}
        self._inodes |= moved
        lines: list[notes.Line] = [recipe, *(notes.Socket(name=name, inode=inode) for name, inode in moved.items())]
        self._append(b"".join(map(notes.written, lines)))

    def add(self, process: Process, spec: WatcherSpec, group: str | None, *, lasting: bool) -> None:
        """A process that was expected is there. `group` is where its cgroup is; its pipes outlive us if `lasting`."""
        if self._trusted is None:
            self._trust(process.pid)
        if self._trusted is False:
            return
        out, err = process.stdout, process.stderr
        worker = notes.Worker(
            recipe=self._current[spec.name][1].id,
            wid=process.wid,
            generation=process.generation,
            pid=process.pid,
            first=self._first,
            last=identity.tick(),
            time=process.started,
            pipes=_inodes(stdout=out, stderr=err) if lasting else _NOTHING,
            captured=out is not None or err is not None,
            group=group,
        )
        self._workers[process.pid] = worker
        self._generations[spec.name], self._latest = process.generation, self._first
        self._append(notes.written(worker))

    def _trust(self, pid: int) -> None:
        """Once: whether the clock and /proc speak of the same moments. Reading each start would cost ten times as much."""
        start = identity.started(pid)
        if start is None:
            return  # it has ended already; the next one will do
        self._trusted = self._first <= start <= identity.tick()
        if not self._trusted:
            logger.error("orphans: the clock and /proc tell different starts of processes; none is remembered")

    def discard(self, pid: int) -> None:
        """A process has ended: its start proves that, so nothing needs to be written."""
        self._workers.pop(pid, None)

    def forget(self, pid: int) -> None:
        """A process lives on and is nobody's business any more."""
        worker = self._workers.pop(pid, None)
        if worker is not None:
            watcher = self._recipes[worker.recipe].watcher
            mark = mark_of(worker.boot or self._boot(), watcher, worker.wid, worker.generation)
            self._gone.append(notes.Gone(pid=pid, first=worker.first, mark=mark))
            self._append(notes.written(self._gone[-1]))

    def leave(self, watcher: str) -> None:
        """A watcher is forgotten; its processes have ended, or were forgotten one by one."""
        self._current.pop(watcher, None)
        self._generations.pop(watcher, None)

    # -- to another program -----------------------------------------------------------------------------------------

    def handed(self) -> LedgerRecord | None:
        """All of it, to be handed over; None where nothing is noted."""
        if self._file is None:
            return None
        return LedgerRecord(
            path=self._file.path,
            fd=self._file.fileno(),
            recipes=list(self._recipes.values()),
            workers=list(self._workers.values()),
            inodes=self._inodes,
            generations=self._generations,
            latest=self._latest,
            gone=self._gone,
            trusted=self._trusted,
        )

    def take_over(self, record: LedgerRecord) -> None:
        """Hold the file that another program of this daemon has locked, and go on with it."""
        self._recipes = {recipe.id: recipe for recipe in record.recipes}
        self._workers = {worker.pid: worker for worker in record.workers}
        self._inodes, self._generations, self._trusted = record.inodes, record.generations, record.trusted
        self._latest, self._gone = record.latest, record.gone
        self.hold(StateFile(record.path, record.fd, b""))

    def close(self) -> None:
        """Let go of the file. It stays where processes live on."""
        if self._retry is not None:
            self._retry.cancel()
        if self._file is not None:
            self._file.close(remove=not any(map(_lives, self._workers.values())))
            self._file = None


def _lives(worker: notes.Worker) -> bool:
    start = identity.started(worker.pid)
    return start is not None and worker.first <= start <= worker.last


def _inodes(**ends: IO[bytes] | None) -> dict[str, int]:
    return {name: os.fstat(end.fileno()).st_ino for name, end in ends.items() if end is not None}


def making(spec: WatcherSpec, salt: str) -> dict[str, str]:
    """Digests of what only a new process gets of a spec, by the names of options."""
    values = flat(spec)
    found = {}
    for change in watcher_changes(WatcherSpec(name=spec.name), spec):
        stream, _, part = change.name.partition(".")
        if change.effect < Effect.SIGNAL:
            continue
        # Where captured output goes is changed under the processes; whether it is captured is not.
        name, value = (stream, "") if part and stream in _STREAMS else (change.name, repr(values[change.name]))
        found[name] = blake2b(value.encode(errors="surrogateescape"), digest_size=8, key=salt.encode()).hexdigest()
    return found
