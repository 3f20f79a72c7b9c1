"""Cumulative numbers, folded from lifecycle records and nothing else.

Because every number comes from a record, the counters always equal the history. Every value of a closed enum is there
from the start at 0, so that the first failure shows as an increase.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from circus.handover import TallyRecord
from circus.wire.events import CRASH_SIGNALS, INITIATORS, OUTCOMES, RESTART_CAUSES, SPAWN_STAGES, START_CAUSES, Record
from circus.wire.samples import Exemplar, Histogram
from circus.wire.snapshot import Exits, LastExit, WatcherCounters, WatcherHistograms

START_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
STOP_BOUNDS: Final = START_BOUNDS
RELOAD_BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
HOOK_BOUNDS: Final = START_BOUNDS
LIFETIME_BOUNDS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0, 259200.0, 604800.0)
COMMAND_BOUNDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)
PASS_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
LAG_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


_EXITS: Final = tuple((who, how) for who in INITIATORS for how in OUTCOMES)


@cache
def _empty(bounds: tuple[float, ...]) -> tuple[list[float], list[int]]:
    """The edges and the counts of a histogram in which nothing is; shared, for most watchers never reload and few end."""
    return list(bounds), [0] * (len(bounds) + 1)


def new_histogram(bounds: tuple[float, ...]) -> Histogram:
    """An empty histogram with these upper edges. Its lists are not for changing; `observe` makes it counts of its own."""
    return Histogram(*_empty(bounds), 0.0)


def observe(histogram: Histogram, value: float, trace: str | None = None, moment: float = 0.0) -> None:
    """Count a value in; with a trace, seen at `moment` (Unix time), it becomes the exemplar of its bucket."""
    bucket = bisect_left(histogram.bounds, value)
    if not histogram.sum:
        histogram.counts = histogram.counts.copy()
    histogram.counts[bucket] += 1
    histogram.sum += value
    if trace is not None:
        histogram.last_trace = trace
        others = [each for each in histogram.exemplars if each.bucket != bucket]
        histogram.exemplars = [*others, Exemplar(bucket, value, moment, trace)]


class WatcherTally:
    """All cumulative numbers of one watcher."""

    def __init__(self) -> None:
        self.starts = dict.fromkeys(START_CAUSES, 0)
        self.restarts = dict.fromkeys(RESTART_CAUSES, 0)
        self.exits = dict.fromkeys(_EXITS, 0)
        self.signal_exits = dict.fromkeys(CRASH_SIGNALS, 0)
        self.spawn_failures = dict.fromkeys(SPAWN_STAGES, 0)
        self.hook_failures: dict[str, int] = {}
        self.reloads = 0
        self.reload_failures = 0
        self.leftovers = 0
        self.stream_bytes = {"stdout": 0, "stderr": 0}
        self.stream_lines = {"stdout": 0, "stderr": 0}
        self.stream_drops = {"stdout": 0, "stderr": 0}
        self.cpu_user_seconds = 0.0
        self.cpu_system_seconds = 0.0
        self.histograms = WatcherHistograms(
            start_seconds=new_histogram(START_BOUNDS),
            respawn_seconds=new_histogram(START_BOUNDS),
            stop_seconds=new_histogram(STOP_BOUNDS),
            lifetime_seconds=new_histogram(LIFETIME_BOUNDS),
            reload_seconds=new_histogram(RELOAD_BOUNDS),
        )
        self.last_exit: LastExit | None = None
        self.last_exits: dict[int, LastExit] = {}
        self.ends: dict[int, bytes] = {}
        """The encoded record of the last end in each slot, also when the journal has forgotten it."""
        self.reload_started: float | None = None

    def handed(self) -> TallyRecord:
        """All of it, to be handed over."""
        return TallyRecord(**{name: getattr(self, name) for name in TallyRecord.__struct_fields__})

    def take_over(self, record: TallyRecord) -> None:
        """Go on from there; what is counted now and was not then begins at 0."""
        for name in TallyRecord.__struct_fields__:
            value = getattr(record, name)
            setattr(self, name, {**getattr(self, name), **value} if isinstance(value, dict) else value)

    def chunk(self, stream: str, size: int, lines: int) -> None:
        """Captured output: bytes and complete lines."""
        self.stream_bytes[stream] += size
        self.stream_lines[stream] += lines

    def drop(self, stream: str, size: int, lines: int) -> None:
        """Captured output that its stream could not take; counted in lines."""
        del size
        self.stream_drops[stream] += lines

    def counters(self) -> WatcherCounters:
        """The numbers as `telemetry` tells them."""
        return WatcherCounters(
            starts=self.starts,
            restarts=self.restarts,
            exits=[Exits(who, how, n) for (who, how), n in self.exits.items()],
            signal_exits=self.signal_exits,
            spawn_failures=self.spawn_failures,
            hook_failures=self.hook_failures,
            reloads=self.reloads,
            reload_failures=self.reload_failures,
            leftovers=self.leftovers,
            stream_bytes=self.stream_bytes,
            stream_lines=self.stream_lines,
            stream_drops=self.stream_drops,
            cpu_user_seconds=self.cpu_user_seconds,
            cpu_system_seconds=self.cpu_system_seconds,
        )

    def fold(self, record: Record) -> None:
        """Count a record in."""
        folder = _FOLDERS.get(record.record)
        if folder is not None:
            folder(self, record, record.data)

    def _spawned(self, record: Record, data: Mapping[str, Any]) -> None:
        self.starts[data["cause"]] += 1
        if data["replacement"] and data["cause"] in self.restarts:
            self.restarts[data["cause"]] += 1
        if data.get("respawn_seconds") is not None:
            _observe(self.histograms.respawn_seconds, data["respawn_seconds"], record)

    def _spawn_failed(self, _: Record, data: Mapping[str, Any]) -> None:
        self.spawn_failures[data["stage"]] += 1

    def _ready(self, record: Record, data: Mapping[str, Any]) -> None:
        _observe(self.histograms.start_seconds, data["seconds"], record)

    def _exited(self, record: Record, data: Mapping[str, Any]) -> None:
        self.exits[data["initiator"], data["outcome"]] += 1
        signal = data["signal"]
        if signal is not None:
            self.signal_exits[signal] = self.signal_exits.get(signal, 0) + 1
        self.leftovers += len(data.get("leftovers") or ())
        self.cpu_user_seconds += data["cpu_user_seconds"] or 0.0
        self.cpu_system_seconds += data["cpu_system_seconds"] or 0.0
        _observe(self.histograms.lifetime_seconds, data["lifetime_seconds"], record)
        if data["stop_seconds"] is not None:
            _observe(self.histograms.stop_seconds, data["stop_seconds"], record)
        self.last_exit = LastExit(
            time=record.time,
            pid=record.pid or 0,
            generation=record.generation or 0,
            reason=data["reason"],
            initiator=data["initiator"],
            outcome=data["outcome"],
            exit_code=data["exit_code"],
            signal=signal,
            lifetime_seconds=data["lifetime_seconds"],
            max_resident_bytes=data.get("max_resident_bytes"),
        )
        self.last_exits[record.wid or 0] = self.last_exit

    def _hook(self, record: Record, data: Mapping[str, Any]) -> None:
        hook = data["hook"]
        if not data["ok"]:
            self.hook_failures[hook] = self.hook_failures.get(hook, 0) + 1
        histogram = self.histograms.hook_seconds.get(hook)
        if histogram is None:
            histogram = self.histograms.hook_seconds[hook] = new_histogram(HOOK_BOUNDS)
        _observe(histogram, data["seconds"], record)

    def _reload_started(self, record: Record, _: Mapping[str, Any]) -> None:
        self.reload_started = record.time

    def _reload_finished(self, record: Record, data: Mapping[str, Any]) -> None:
        self.reload_started = None
        self.reloads += 1
        if not data["ok"]:
            self.reload_failures += 1
        _observe(self.histograms.reload_seconds, data["seconds"], record)


def trace_of(traceparent: str | None) -> str | None:
    """The trace id in a traceparent."""
    return traceparent.split("-")[1] if traceparent else None


def _observe(histogram: Histogram, value: float, record: Record) -> None:
    observe(histogram, value, trace_of(record.traceparent), record.time)


_FOLDERS: Final[dict[str, Callable[[WatcherTally, Record, Mapping[str, Any]], None]]] = {
    "process.spawned": WatcherTally._spawned,  # noqa: SLF001 -- a table of the class's own methods
    "process.spawn_failed": WatcherTally._spawn_failed,  # noqa: SLF001
    "process.ready": WatcherTally._ready,  # noqa: SLF001
    "process.exited": WatcherTally._exited,  # noqa: SLF001
    "process.lost": WatcherTally._exited,  # noqa: SLF001
    "hook.finished": WatcherTally._hook,  # noqa: SLF001
    "reload.started": WatcherTally._reload_started,  # noqa: SLF001
    "reload.finished": WatcherTally._reload_finished,  # noqa: SLF001
}
