"""The table behind circus-top, folded from what was heard: samples, telemetry, or the stats of circus 0.19.

Pure: no socket, no clock (`now` is monotonic time and handed in), no text for people. Invariant: everything shown comes
from one life of one daemon; when another one speaks, what the one before said is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from circus.stats.viewer.daemon import Daemon
from circus.stats.viewer.usage import Process, Rate, Watcher, total
from circus.wire.samples import DaemonSample, ProcessSample, WatcherSample
from circus.wire.snapshot import SocketSnapshot, Telemetry

PROCESS_TIMEOUT: Final = 3.0
# circus 0.19 shows these under `circus`, and so do we.
HIDDEN: Final = frozenset({"circusd-stats", "circushttpd"})
_SOCKETS: Final = "sockets"
_UNITS: Final[dict[str, int]] = {"B": 1, **{unit: 1024**power for power, unit in enumerate("KMGTPEZY", 1)}}


class View:
    """All that is known. `process_timeout`: a process that nothing was heard of for so many seconds is dropped.

    Attributes:
        watchers: by name.
        daemon: None until it spoke for itself, which circus 0.19 does not.
        legacy: the numbers are those of circus 0.19, which knows no slots, states and restarts.
        sockets: the daemon's sockets, as `telemetry` told them; `hits` what circus 0.19 tells of its own, by address.
        machine_memory: bytes, to tell shares of it.
        heard: when anything was heard last; None before.
        grown: counts changes of which processes there are.
        refused: messages that were not understood.
    """

    def __init__(self, process_timeout: float = PROCESS_TIMEOUT) -> None:
        self.process_timeout = process_timeout
        self.grown = 0
        self.refused = 0
        self.heard: float | None = None
        self.forget()

    def forget(self) -> None:
        """Nothing is known."""
        self.watchers: dict[str, Watcher] = {}
        self.daemon: Daemon | None = None
        self.legacy = False
        self.sockets: list[SocketSnapshot] = []
        self.hits: dict[str, int] = {}
        self.machine_memory: int | None = None
        self._boot: str | None = None

    @property
    def interval(self) -> float:
        """Seconds between two samples."""
        return self.daemon.sample.interval_seconds if self.daemon is not None else 1.0

    @property
    def time(self) -> float | None:
        """The daemon's time, as of what it said last."""
        return self.daemon.sample.time if self.daemon is not None else None

    def silent(self, now: float) -> bool:
        """True when nothing was heard for longer than can be explained by the pace of the samples."""
        return self.heard is not None and now - self.heard > self._patience

    @property
    def _patience(self) -> float:
        return max(self.process_timeout, 2.5 * self.interval)

    def cpu_percent(self) -> float | None:
        """Of all watchers together, in percent of a core."""
        known = [watcher.cpu_percent for watcher in self.watchers.values() if watcher.cpu_percent is not None]
        return sum(known) if known else None

    def memory_bytes(self) -> int | None:
        """Of all watchers together."""
        return total(watcher.memory_bytes for watcher in self.watchers.values())

    def processes(self) -> int:
        """How many processes are shown."""
        return sum(len(watcher.processes) for watcher in self.watchers.values())

    def share(self, size: int | None) -> float | None:
        """A size in percent of the machine's memory."""
        return None if size is None or not self.machine_memory else size / self.machine_memory * 100.0

    # -- samples ------------------------------------------------------------------------------------------------------

    def take_daemon(self, sample: DaemonSample, now: float) -> None:
        """`sample.-`, which ends a pass over all processes."""
        self._of_boot(sample.boot, now)
        self.machine_memory = sample.machine_memory_bytes
        if self.daemon is None:
            self.daemon = Daemon(boot=sample.boot, sample=sample)
            for watcher in self.watchers.values():  # the first time, they came before it
                self._shares(watcher)
        self.daemon.take(sample)

    def take_sample(self, sample: WatcherSample, now: float) -> None:
        """`sample.<watcher>`: all processes that it has."""
        self._of_boot(sample.boot, now)
        watcher = self._watcher(sample.watcher)
        totals = sample.totals
        watcher.rate.take(totals.cpu_user_seconds + totals.cpu_system_seconds, sample.time)
        watcher.cpu_percent = watcher.rate.percent
        watcher.memory_bytes = totals.resident_bytes
        known, watcher.processes = watcher.processes, {}
        for told in sample.processes:
            process = known.get(told.wid)
            if process is None or process.pid != told.pid:
                process = Process(wid=told.wid, pid=told.pid, heard=now, started=told.started)
                self.grown += 1
            watcher.processes[told.wid] = process
            self._take_process(process, told, sample, now)
        self.grown += len(known) != len(watcher.processes)
        watcher.sample_time = sample.time
        watcher.add_up()
        watcher.place_slots()
        self._shares(watcher)

    def _take_process(self, process: Process, told: ProcessSample, sample: WatcherSample, now: float) -> None:
        user, system, age = told.cpu_user_seconds, told.cpu_system_seconds, max(sample.time - told.started, 0.0)
        newborn = age <= 2.0 * sample.interval_seconds
        process.rate.take(
            None if user is None and system is None else (user or 0.0) + (system or 0.0),
            sample.time,
            since=told.started if newborn else None,
        )
        process.heard = now
        process.cpu_percent = process.rate.percent
        process.generation = told.generation
        process.memory_bytes = told.resident_bytes
        process.threads = told.threads
        process.open_fds = told.open_fds
        process.max_fds = told.max_fds
        process.age_seconds = age
        process.system_state = told.state

    def _shares(self, watcher: Watcher) -> None:
        watcher.memory_percent = self.share(watcher.memory_bytes)
        for process in watcher.processes.values():
            process.memory_percent = self.share(process.memory_bytes)

    def _of_boot(self, boot: str, now: float) -> None:
        if self._boot != boot:
            self.forget()
            self._boot = boot
            self.grown += 1
        self.heard = now

    # -- telemetry ----------------------------------------------------------------------------------------------------

    def take_telemetry(self, told: Telemetry) -> None:
        """The answer of `telemetry`, of all watchers; one of another daemon than the one we hear is passed over."""
        if told.boot != self._boot:
            return
        self.sockets = told.sockets
        names = {snapshot.name for snapshot in told.watchers}
        for name in self.watchers.keys() - names:
            # A watcher that was added after this answer was on its way is no stranger.
            if (self.watchers[name].sample_time or 0.0) <= told.time:
                del self.watchers[name]
        for snapshot in told.watchers:
            watcher = self._watcher(snapshot.name)
            watcher.state = snapshot.state
            watcher.desired = snapshot.desired
            watcher.restarts = sum(snapshot.counters.restarts.values())
            watcher.last_exit = snapshot.last_exit
            watcher.slots = {slot.wid: slot for slot in snapshot.slots}
            watcher.slots_time = told.time
            watcher.place_slots()

    # -- circus 0.19 --------------------------------------------------------------------------------------------------

    def take_stat(self, name: str, subtopic: str | None, told: Mapping[str, Any], now: float) -> None:
        """A message of a `stat.` topic; fields that are not numbers are unknown."""
        if self._boot is not None:
            self.forget()
        self.heard = now
        self.legacy = True
        if name == _SOCKETS:
            reads = _number(told.get("reads"))
            if subtopic is not None and reads is not None:
                self.hits[str(told.get("address"))] = int(reads)
            return
        if name in HIDDEN:
            return
        watcher = self._watcher(name)
        if subtopic is not None:
            self._take_info(watcher, told, now)
        elif isinstance(told.get("pid"), list):
            for pid in watcher.processes.keys() - set(told["pid"]):
                del watcher.processes[pid]
            self._add_up_infos(watcher)

    def _take_info(self, watcher: Watcher, told: Mapping[str, Any], now: float) -> None:
        pid = told.get("pid")
        if not isinstance(pid, int):
            return
        process = watcher.processes.get(pid)
        if process is None:
            process = watcher.processes[pid] = Process(wid=None, pid=pid, heard=now)
        process.heard = now
        process.name = told.get("name") or None
        process.cpu_percent = _number(told.get("cpu"))
        process.memory_percent = _number(told.get("mem"))
        process.memory_bytes = size_of(told.get("mem_info1"))
        process.age_seconds = _number(told.get("age"))

    def _add_up_infos(self, watcher: Watcher) -> None:
        processes = list(watcher.processes.values())
        watcher.add_up()
        watcher.cpu_percent = _sum([process.cpu_percent for process in processes])
        watcher.memory_percent = _sum([process.memory_percent for process in processes])
        watcher.memory_bytes = total(process.memory_bytes for process in processes)

    # -- time ---------------------------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Drop processes that nothing was heard of for too long; with a silent daemon, all that may have changed."""
        if self.silent(now):
            self._lose()
            return
        for watcher in self.watchers.values():
            gone = [key for key, process in watcher.processes.items() if now - process.heard > self._patience]
            for key in gone:
                del watcher.processes[key]
            if gone:
                self._add_up_infos(watcher)
                watcher.rate = Rate()

    def _lose(self) -> None:
        """What stays is what was true for good: which watchers there were, their restarts and exits."""
        self.daemon = None
        self.sockets, self.hits = [], {}
        for watcher in self.watchers.values():
            watcher.processes, watcher.waiting, watcher.slots = {}, [], {}
            watcher.state = None
            watcher.rate = Rate()
            self._add_up_infos(watcher)

    def _watcher(self, name: str) -> Watcher:
        watcher = self.watchers.get(name)
        if watcher is None:
            watcher = self.watchers[name] = Watcher(name=name)
        return watcher


def size_of(text: object) -> int | None:
    """The bytes in the `8.02M` of circus 0.19."""
    if not isinstance(text, str) or text[-1:] not in _UNITS:
        return None
    try:
        return round(float(text[:-1]) * _UNITS[text[-1]])
    except ValueError:
        return None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
