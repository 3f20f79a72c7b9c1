"""Watchers, the daemon and the exporter itself, as metrics.

Owns the way from the fleet state to the metrics of the catalogue, one method a part. It refuses to know HTTP and text
formats, and keeps no value between two scrapes: a removed watcher leaves nothing behind. Invariant: every value of a
closed label is there, at 0 when the daemon said nothing about it.
"""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Iterable, Mapping

from circus.wire.samples import DaemonSample
from circus.wire.snapshot import LastExit, SocketSnapshot, Telemetry, WatcherSnapshot
from circus_exporters import catalogue
from circus_exporters.prometheus.render import FamilyWriter
from circus_exporters.state import FleetState

_DROP_REASON = "hwm"
_DROP_REASONS = {"log": "limit"}  # lines of output are left out beyond a rate


class FleetCollector:
    """Writes one scrape: first what the daemon says, then what the exporter says of itself and of the page."""

    def __init__(self, state: FleetState, families: FamilyWriter) -> None:
        self._state = state
        self._families = families

    def collect(self, room: float = math.inf) -> dict[str, int]:
        """Write what the daemon says, nothing while none answers, in at most `room` series (but for the daemon's own
        numbers, which are always there). What was left out is counted by its part.
        """
        state, telemetry, families = self._state, self._state.telemetry, self._families
        left_out: dict[str, int] = {}
        if telemetry is None or not state.attached():
            return left_out
        self._target(telemetry)
        self._commands(telemetry)
        if state.daemon is not None:
            self._daemon(state.daemon)
        written: list[WatcherSnapshot] = []
        for watcher in telemetry.watchers:
            marks = families.marks()
            self._watcher(watcher)
            if families.count() > room:
                families.undo(marks)
                left_out["watchers"] = len(telemetry.watchers) - len(written)
                break
            written.append(watcher)
        marks = families.marks()
        self._sockets(telemetry.sockets)
        if families.count() > room:
            families.undo(marks)
            left_out["sockets"] = len(telemetry.sockets)
        marks = families.marks()
        for watcher in written:
            self._durations(watcher)
        if families.count() > room:
            families.undo(marks)
            left_out["watcher_histograms"] = len(written)
        return left_out

    def tell_of_exporter(
        self, now: float, collectors: Mapping[str, tuple[bool, float]], *, web_config: bool | None = None
    ) -> None:
        """`now` is the monotonic time of the scrape; `collectors` tells of each part whether it has current values and
        how long it took; `web_config` whether its file is in force, None where there is none.
        """
        add, state = self._families.add, self._state
        add(catalogue.UP, int(state.up(now)))
        for name, (ok, seconds) in collectors.items():
            add(catalogue.COLLECTOR_SUCCESS, int(ok), name)
            add(catalogue.COLLECTOR_DURATION, seconds, name)
        add(catalogue.WEB_CONFIG_OK, None if web_config is None else int(web_config))
        add(catalogue.STATS_GAPS, state.stats_gaps)
        add(catalogue.EVENT_GAPS, state.event_gaps)
        add(catalogue.EVENTS_LOST, state.events_lost)

    def tell_of_page(self, *, others: int, limit: int, detail: str, left_out: Mapping[str, int]) -> None:
        """To be called last; `others` is the number of series that are written elsewhere."""
        families = self._families
        families.add_all(catalogue.PROCESS_DETAIL, {detail: 1})
        families.add_all(catalogue.LEFT_OUT_PARTS, left_out)
        families.add(catalogue.SERIES_LIMIT, limit)
        families.add(catalogue.SERIES, families.count() + 1 + others)

    def _target(self, telemetry: Telemetry) -> None:
        add, arbiter, config = self._families.add, telemetry.arbiter, telemetry.config
        _, _, revision = telemetry.version.partition("+")
        add(catalogue.BUILD_INFO, 1, telemetry.version, arbiter.python_version, arbiter.zmq_version, revision)
        add(catalogue.START_TIME, arbiter.started)
        add(catalogue.CONFIG_INFO, 1, config.hash)
        add(catalogue.CONFIG_OK, int(config.ok and config.refused_time is None))
        add(catalogue.CONFIG_TIME, config.applied_time)

    def _watcher(self, watcher: WatcherSnapshot) -> None:
        families, name, counters = self._families, watcher.name, watcher.counters
        add, add_all = families.add, families.add_all
        add(
            catalogue.WATCHER_INFO, 1,
            name, watcher.executable, watcher.user or "", watcher.stop_signal, str(watcher.singleton).lower(),
        )  # fmt: skip
        if watcher.labels:
            families.add_labelled(catalogue.WATCHER_LABELS, [("watcher", name), *configured_labels(watcher.labels)])
        add_all(catalogue.WATCHER_STATE, {watcher.state: 1}, name)
        add(catalogue.WATCHER_DESIRED, watcher.desired, name)
        add_all(catalogue.WATCHER_PROCESSES, watcher.processes, name)
        add(catalogue.WATCHER_READY, watcher.ready, name)
        add(catalogue.CONSECUTIVE_FAILURES, watcher.consecutive_failures, name)
        add(catalogue.BACKOFF, watcher.backoff_seconds, name)
        add(catalogue.RELOAD_START, watcher.reload_started, name)
        add(catalogue.MEMORY_LIMIT, watcher.memory_limit_bytes, name, watcher.memory_limit_of)
        add_all(catalogue.STARTS, counters.starts, name)
        add_all(catalogue.RESTARTS, counters.restarts, name)
        exits = {(entry.initiator, entry.outcome): entry.n for entry in counters.exits}
        for initiator in catalogue.EXITS.closed["initiator"]:
            for outcome in catalogue.EXITS.closed["outcome"]:
                add(catalogue.EXITS, exits.get((initiator, outcome), 0), name, initiator, outcome)
        add_all(catalogue.SIGNAL_EXITS, counters.signal_exits, name)
        add_all(catalogue.SPAWN_FAILURES, counters.spawn_failures, name)
        add_all(catalogue.HOOK_FAILURES, counters.hook_failures, name)
        add_all(catalogue.STREAM_BYTES, counters.stream_bytes, name)
        add_all(catalogue.STREAM_LINES, counters.stream_lines, name)
        add_all(catalogue.STREAM_DROPS, counters.stream_drops, name)
        add(catalogue.RELOADS, counters.reloads, name)
        add(catalogue.RELOAD_FAILURES, counters.reload_failures, name)
        cpu = self._state.watcher_cpu(watcher)
        if cpu is not None:
            add_all(catalogue.WATCHER_CPU, dict(zip(catalogue.CPU_MODES, cpu, strict=True)), name)
        if watcher.last_exit is not None:
            self._last_exit(name, watcher.last_exit)

    def _durations(self, watcher: WatcherSnapshot) -> None:
        families, name, histograms = self._families, watcher.name, watcher.histograms
        families.add_histogram(catalogue.START_DURATION, histograms.start_seconds, name)
        families.add_histogram(catalogue.STOP_DURATION, histograms.stop_seconds, name)
        families.add_histogram(catalogue.LIFETIME, histograms.lifetime_seconds, name)
        families.add_histogram(catalogue.RELOAD_DURATION, histograms.reload_seconds, name)
        for hook, histogram in histograms.hook_seconds.items():
            families.add_histogram(catalogue.HOOK_DURATION, histogram, name, hook)

    def _last_exit(self, name: str, last: LastExit) -> None:
        add = self._families.add
        add(catalogue.LAST_EXIT_TIME, last.time, name)
        add(catalogue.LAST_EXIT_CODE, last.exit_code, name)
        add(catalogue.LAST_EXIT_SIGNAL, signal_number(last.signal), name)
        add(catalogue.LAST_EXIT_PEAK, last.max_resident_bytes, name)

    def _commands(self, telemetry: Telemetry) -> None:
        families, arbiter = self._families, telemetry.arbiter
        families.add_all(catalogue.COMMANDS, arbiter.commands)
        for command, errors in arbiter.command_error_kinds.items():
            families.add_all(catalogue.COMMAND_ERRORS, errors, command)
        for command, histogram in arbiter.command_seconds.items():
            families.add_histogram(catalogue.COMMAND_DURATION, histogram, command)
        families.add(catalogue.COMMANDS_IN_FLIGHT, arbiter.commands_in_flight)
        families.add(catalogue.SUBSCRIBERS, arbiter.subscribers, "events")
        families.add(catalogue.SEND_HWM, arbiter.send_hwm, "events")
        families.add(catalogue.ILLEGAL_TRANSITIONS, arbiter.illegal_transitions)
        families.add(catalogue.STRANGERS, arbiter.strangers_reaped)
        families.add_all(catalogue.EVENTS_PUBLISHED, _by_known_kind(arbiter.events_published))
        for sink, count in _by_known_kind(arbiter.events_dropped).items():
            families.add(catalogue.EVENTS_DROPPED, count, sink, _DROP_REASONS.get(sink, _DROP_REASON))

    def _sockets(self, sockets: Iterable[SocketSnapshot]) -> None:
        add = self._families.add
        for socket in sockets:
            add(catalogue.ACCEPT_QUEUE, socket.accept_queue, socket.name)
            add(catalogue.ACCEPT_LIMIT, socket.accept_limit, socket.name)

    def _daemon(self, sample: DaemonSample) -> None:
        families = self._families
        add, add_all = families.add, families.add_all
        families.add_histogram(catalogue.LOOP_LAG, sample.loop_lag)
        families.add_histogram(catalogue.SAMPLE_DURATION, sample.pass_duration)
        add(catalogue.SAMPLE_TIME, sample.time)
        add(catalogue.SAMPLE_INTERVAL, sample.interval_seconds)
        add(catalogue.SAMPLE_PROCESSES, sample.processes)
        add(catalogue.SAMPLES_SKIPPED, sample.skipped)
        add_all(catalogue.SAMPLE_ERRORS, sample.errors)
        # By prefix on the wire; anybody may subscribe to anything, so prefixes must not become labels.
        add(catalogue.SUBSCRIBERS, sum(sample.subscribers.values()), "stats")
        add(catalogue.SEND_HWM, sample.send_hwm, "stats")
        add(catalogue.EVENTS_DROPPED, sample.drops.get("stats"), "stats", _DROP_REASON)
        add_all(catalogue.DAEMON_CPU, {"user": sample.cpu_user_seconds, "system": sample.cpu_system_seconds})
        add(catalogue.DAEMON_RESIDENT, sample.resident_bytes)
        add(catalogue.DAEMON_OPEN_FDS, sample.open_fds)
        add(catalogue.DAEMON_MAX_FDS, sample.max_fds)


def _by_known_kind(counts: Mapping[str, int]) -> dict[str, int]:
    """Programs inside the daemon may publish under any topic; those must not become labels."""
    known: dict[str, int] = {}
    for kind, count in counts.items():
        name = kind if kind in catalogue.EVENT_KINDS else catalogue.EVENT_KINDS[-1]
        known[name] = known.get(name, 0) + count
    return known


def configured_labels(labels: Mapping[str, str]) -> list[tuple[str, str]]:
    """Labels of a configuration under names that Prometheus takes; of two that become the same the second is numbered.

    With their prefix they cannot be mistaken for labels that a metric has by itself.
    """
    found: dict[str, str] = {}
    for written in sorted(labels):
        name = stem = catalogue.WATCHER_LABELS.prefix + re.sub(r"[^a-zA-Z0-9_]", "_", written)
        number = 1
        while name in found:
            number += 1
            name = f"{stem}_{number}"
        found[name] = labels[written]
    return list(found.items())


def signal_number(name: str | None) -> int | None:
    """The number of a signal by its name; None for none and for names that this system does not know."""
    return signal.Signals[name].value if name and name in signal.Signals.__members__ else None
