"""The answer of `telemetry`: everything cumulative that the daemon knows, in one document.

Exporters read totals from here and never count messages. Every value of a closed enum is present, at 0 from the
start, so that the first failure is visible as an increase.
"""

from __future__ import annotations

from typing import Final

import msgspec

from circus.wire.samples import Histogram

# What can be wrong with a command, and with a request that names none; the words of the errnos on the wire.
COMMAND_ERRORS: Final = {3: "message", 4: "os", 5: "command", 6: "data", 7: "permission"}
REQUEST_ERRORS: Final = {1: "json", 2: "unknown", 3: "message"}


class LastExit(msgspec.Struct, frozen=True, kw_only=True):
    """How the last process of a slot ended. `exit_code` is None when a signal (a name such as `SIGKILL`) did it."""

    time: float
    pid: int
    generation: int
    reason: str
    initiator: str
    outcome: str
    exit_code: int | None
    signal: str | None
    lifetime_seconds: float | None
    max_resident_bytes: int | None = None


class SlotSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One slot of a watcher; `state` is one of PROCESS_STATES, `started` Unix time or None while nothing lives."""

    wid: int
    pid: int | None
    state: str
    started: float | None
    ready: bool
    generation: int
    backoff_seconds: float
    consecutive_failures: int
    last_exit: LastExit | None


class Exits(msgspec.Struct, frozen=True):
    """The number of exits of one kind."""

    initiator: str
    outcome: str
    n: int


class WatcherCounters(msgspec.Struct, kw_only=True):
    """Cumulative counts of one watcher since the daemon's boot."""

    starts: dict[str, int]
    restarts: dict[str, int]
    exits: list[Exits]
    signal_exits: dict[str, int]
    spawn_failures: dict[str, int]
    hook_failures: dict[str, int]
    reloads: int
    reload_failures: int
    stream_bytes: dict[str, int]
    stream_lines: dict[str, int]
    stream_drops: dict[str, int]
    cpu_user_seconds: float
    cpu_system_seconds: float
    leftovers: int = 0


class WatcherHistograms(msgspec.Struct, kw_only=True):
    """Durations of one watcher in seconds; `hook_seconds` by hook."""

    start_seconds: Histogram
    respawn_seconds: Histogram
    stop_seconds: Histogram
    lifetime_seconds: Histogram
    reload_seconds: Histogram
    hook_seconds: dict[str, Histogram] = {}


class WatcherSnapshot(msgspec.Struct, kw_only=True):
    """One watcher. `processes` counts slots by PROCESS_STATES; `counters.cpu_*` is of ended processes only, the live
    ones are in the samples.
    """

    name: str
    state: str
    want: str
    desired: int
    ready: int
    processes: dict[str, int]
    generation: int
    role: str
    singleton: bool
    executable: str
    user: str | None
    stop_signal: str
    labels: dict[str, str]
    limits: dict[str, float | None]
    backoff_seconds: float
    consecutive_failures: int
    reload_started: float | None
    last_exit: LastExit | None
    counters: WatcherCounters
    histograms: WatcherHistograms
    slots: list[SlotSnapshot]
    memory_limit_bytes: int | None = None
    memory_limit_of: str = "rss"


class SocketSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A socket that Circus owns; the accept queue is None where the system cannot tell."""

    name: str
    fd: int
    address: str
    accept_queue: int | None
    accept_limit: int | None


class ConfigSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Which configuration is in force, and what of it had to be left out (one sentence each)."""

    hash: str
    file: str | None
    applied_time: float
    ok: bool
    omitted: list[str]
    warnings: list[str]
    refused_time: float | None = None


class ArbiterSnapshot(msgspec.Struct, kw_only=True):
    """The daemon itself. `commands` and `command_errors` are counts by command name, `command_error_kinds` tells the
    errors apart; `subscribers` and `send_hwm` are of the events channel.
    """

    pid: int
    started: float
    state: str
    python_version: str
    zmq_version: str
    endpoint: str
    pubsub_endpoint: str
    stats_endpoint: str
    check_delay: float
    commands: dict[str, int]
    command_errors: dict[str, int]
    commands_in_flight: int
    command_seconds: dict[str, Histogram]
    events_published: dict[str, int]
    events_dropped: dict[str, int]
    illegal_transitions: int
    strangers_reaped: int
    command_error_kinds: dict[str, dict[str, int]] = {}
    subscribers: int = 0
    send_hwm: int | None = None
    upgrades: int = 0
    upgraded: float | None = None


class AlertsSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts that fire, by severity, and what became of deliveries since the daemon's boot, by notifier."""

    active: dict[str, int]
    silenced: int
    silences: int
    refused: int
    delivered: dict[str, int]
    failed: dict[str, int]


class Telemetry(msgspec.Struct, kw_only=True):
    """The whole snapshot; `seq` is the last lifecycle record given out before it was taken."""

    status: str = "ok"
    boot: str
    seq: int
    time: float
    version: str
    config: ConfigSnapshot
    arbiter: ArbiterSnapshot
    sockets: list[SocketSnapshot]
    watchers: list[WatcherSnapshot]
    alerts: AlertsSnapshot | None = None


class EndStory(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended: the record of it, what led there and what followed, each oldest first."""

    wid: int
    record: msgspec.Raw
    because: list[msgspec.Raw]
    after: list[msgspec.Raw]


class WhyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the command `why` answers; `end` is None while no process has ended."""

    status: str = "ok"
    boot: str
    watcher: str
    state: str
    state_because: list[msgspec.Raw]
    end: EndStory | None


class EventsAnswer(msgspec.Struct, kw_only=True):
    """The answer of `events`: records oldest first. `first` is the oldest seq kept, `next` the one to ask for next."""

    boot: str
    records: list[msgspec.Raw]
    first: int
    next: int
