"""Watchers, the daemon and the exporter itself, as metrics.

Owns the way from the fleet state to the metrics of the catalogue, one method a part. It refuses to know HTTP and text
formats, and keeps no value between two scrapes: a removed watcher leaves nothing behind. Invariant: every value of a
closed label is there, at 0 when the daemon said nothing about it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from circus.wire.samples import DaemonSample
from circus.wire.snapshot import SocketSnapshot, Telemetry, WatcherSnapshot
from circus_exporters import catalogue
from circus_exporters.prometheus.render import FamilyWriter
from circus_exporters.state import FleetState
from circus_exporters.watchers import tell_deliveries, tell_durations, tell_watcher

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
            tell_watcher(families, state, watcher)
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
            tell_durations(families, watcher)
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
        add(catalogue.SECTIONS_FAILED, len(state.problems))
        add(catalogue.STATS_GAPS, state.stats_gaps)
        add(catalogue.EVENT_GAPS, state.event_gaps)
        add(catalogue.EVENTS_LOST, state.events_lost)
        tell_deliveries(self._families, state)

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
        families.add(catalogue.UPGRADES, arbiter.upgrades)
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
