"""Made-up answers of a daemon: snapshots and samples with every field filled, for tests and benchmarks of exporters."""

from __future__ import annotations

from circus.wire import events
from circus.wire.events import Cause, Record
from circus.wire.samples import DaemonSample, Histogram, ProcessSample, Totals, WatcherSample
from circus.wire.snapshot import (
    ArbiterSnapshot,
    ConfigSnapshot,
    Exits,
    LastExit,
    SlotSnapshot,
    Telemetry,
    WatcherCounters,
    WatcherHistograms,
    WatcherSnapshot,
)

BOOT = "4f2a"
STARTED = 1795465000.25
BOUNDS = [0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0]


def histogram(*values: float, bounds: list[float] = BOUNDS) -> Histogram:
    """The histogram of these values."""
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[sum(value > bound for bound in bounds)] += 1
    return Histogram(bounds=bounds, counts=counts, sum=sum(values))


def last_exit(**changes: object) -> LastExit:
    fields: dict[str, object] = {
        "time": STARTED + 5, "pid": 99, "generation": 1, "reason": "exit_error", "initiator": "process",
        "outcome": "error", "exit_code": 3, "signal": None, "lifetime_seconds": 1.5, "max_resident_bytes": 8_192_000,
    }  # fmt: skip
    return LastExit(**{**fields, **changes})  # type: ignore[arg-type]  # test data


def counters(**changes: object) -> WatcherCounters:
    fields: dict[str, object] = {
        "starts": dict.fromkeys(events.START_CAUSES, 0),
        "restarts": dict.fromkeys(events.RESTART_CAUSES, 0),
        "exits": [Exits(initiator, outcome, 0) for initiator in events.INITIATORS for outcome in events.OUTCOMES],
        "signal_exits": dict.fromkeys(events.CRASH_SIGNALS, 0),
        "spawn_failures": dict.fromkeys(events.SPAWN_STAGES, 0),
        "hook_failures": {}, "reloads": 0, "reload_failures": 0,
        "stream_bytes": {}, "stream_lines": {}, "stream_drops": {},
        "cpu_user_seconds": 0.0, "cpu_system_seconds": 0.0,
    }  # fmt: skip
    return WatcherCounters(**{**fields, **changes})  # type: ignore[arg-type]  # test data


def slots(count: int, first_pid: int = 1000) -> list[SlotSnapshot]:
    return [
        SlotSnapshot(
            wid=wid, pid=first_pid + wid, state="running", started=STARTED, ready=True, generation=1,
            backoff_seconds=0.0, consecutive_failures=0, last_exit=None,
        )
        for wid in range(1, count + 1)
    ]  # fmt: skip


def watcher(name: str = "web", processes: int = 2, **changes: object) -> WatcherSnapshot:
    fields: dict[str, object] = {
        "name": name, "state": "active", "want": "up", "desired": processes, "ready": processes,
        "processes": {"starting": 0, "running": processes, "stopping": 0, "backoff": 0},
        "generation": 1, "role": "worker", "singleton": False, "executable": "python3", "user": "www-data",
        "stop_signal": "SIGTERM", "labels": {}, "limits": {}, "backoff_seconds": 0.0, "consecutive_failures": 0,
        "reload_started": None, "last_exit": None, "counters": counters(),
        "histograms": WatcherHistograms(
            start_seconds=histogram(*([0.02] * processes)), respawn_seconds=histogram(), stop_seconds=histogram(),
            lifetime_seconds=histogram(), reload_seconds=histogram(),
        ),
        "slots": slots(processes),
    }  # fmt: skip
    return WatcherSnapshot(**{**fields, **changes})  # type: ignore[arg-type]  # test data


def telemetry(*watchers: WatcherSnapshot, **changes: object) -> Telemetry:
    """A snapshot of these watchers; `arbiter` in changes replaces single fields of the arbiter's part."""
    arbiter: dict[str, object] = {
        "pid": 77, "started": STARTED, "state": "running", "python_version": "3.11.7", "zmq_version": "4.3.5",
        "endpoint": "ipc:///run/c/control", "pubsub_endpoint": "ipc:///run/c/events",
        "stats_endpoint": "ipc:///run/c/stats", "check_delay": 5.0, "commands": {"list": 3},
        "command_errors": {}, "commands_in_flight": 0, "command_seconds": {"list": histogram(0.001, 0.001, 0.002)},
        "events_published": {"lifecycle": 12}, "events_dropped": {}, "illegal_transitions": 0, "strangers_reaped": 0,
        "command_error_kinds": {"list": {"message": 0, "os": 0, "command": 0, "data": 0}}, "subscribers": 1,
        "send_hwm": 1000,
    }  # fmt: skip
    arbiter.update(changes.pop("arbiter", {}))  # type: ignore[call-overload]  # test data
    fields: dict[str, object] = {
        "boot": BOOT, "seq": 10, "time": STARTED + 10, "version": "1.0.0",
        "config": ConfigSnapshot(
            hash="c0ffee", file="/etc/circus.ini", applied_time=STARTED, ok=True, omitted=[], warnings=[]
        ),
        "sockets": [], "watchers": list(watchers), "arbiter": ArbiterSnapshot(**arbiter),  # type: ignore[arg-type]
    }  # fmt: skip
    return Telemetry(**{**fields, **changes})  # type: ignore[arg-type]  # test data


def process(wid: int = 1, pid: int | None = None, **changes: object) -> ProcessSample:
    fields: dict[str, object] = {
        "wid": wid, "pid": 1000 + wid if pid is None else pid, "generation": 1, "started": STARTED + wid,
        "state": "S", "cpu_user_seconds": 12.25 + wid, "cpu_system_seconds": 3.5,
        "resident_bytes": 29_184_000 + wid * 4096, "virtual_bytes": 245_760_000, "shared_bytes": 8_192_000,
        "threads": 4, "minor_faults": 5120, "major_faults": 3, "open_fds": 17, "max_fds": 1024,
        "read_bytes": 4096, "write_bytes": 8192, "voluntary_switches": 900, "involuntary_switches": 30,
        "peak_resident_bytes": 40_960_000, "cpu_wait_seconds": 0.75,
        "slow_time": STARTED,
    }  # fmt: skip
    return ProcessSample(**{**fields, **changes})  # type: ignore[arg-type]  # test data


def sample(
    name: str = "web", processes: int | list[ProcessSample] = 2, seq: int = 1, **changes: object
) -> WatcherSample:
    """The sample of a watcher with these processes, or this many."""
    found = [process(wid) for wid in range(1, processes + 1)] if isinstance(processes, int) else processes
    fields: dict[str, object] = {
        "boot": BOOT, "seq": seq, "time": STARTED + 10, "interval_seconds": 1.0, "watcher": name, "processes": found,
        "totals": Totals(
            processes=len(found),
            cpu_user_seconds=sum(one.cpu_user_seconds or 0.0 for one in found),
            cpu_system_seconds=sum(one.cpu_system_seconds or 0.0 for one in found),
            resident_bytes=sum(one.resident_bytes or 0 for one in found),
        ),
    }  # fmt: skip
    return WatcherSample(**{**fields, **changes})  # type: ignore[arg-type]  # test data


def daemon_sample(seq: int = 1, processes: int = 2, **changes: object) -> DaemonSample:
    fields: dict[str, object] = {
        "boot": BOOT, "seq": seq, "time": STARTED + 10, "interval_seconds": 1.0, "pid": 77, "version": "1.0.0",
        "started": STARTED, "endpoint": "ipc:///run/c/control", "pubsub_endpoint": "ipc:///run/c/events",
        "stats_endpoint": "ipc:///run/c/stats", "cpu_user_seconds": 1.5, "cpu_system_seconds": 0.5,
        "resident_bytes": 25_000_000, "open_fds": 60, "max_fds": 1024, "processes": processes, "pass_seconds": 0.01,
        "pass_duration": histogram(0.01), "loop_lag": histogram(0.0004, 0.0005), "passes": seq, "skipped": 0,
        "errors": {}, "queue_depth": 0, "subscribers": {"sample.": 1}, "drops": {}, "send_hwm": 64,
    }  # fmt: skip
    return DaemonSample(**{**fields, **changes})  # type: ignore[arg-type]  # test data


def record(seq: int, name: str = "process.spawned", watcher_name: str | None = "web", **changes: object) -> Record:
    fields: dict[str, object] = {
        "boot": BOOT, "seq": seq, "previous": None, "time": STARTED + seq, "record": name, "watcher": watcher_name,
        "wid": 1, "pid": 1001, "generation": 1, "cause": Cause(kind="boot"), "data": {},
    }  # fmt: skip
    return Record(**{**fields, **changes})  # type: ignore[arg-type]  # test data
