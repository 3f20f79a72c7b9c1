"""Samples: what processes use, as numbers with units, `null` when unknown.

`sample.<watcher>` carries one `WatcherSample` per pass; `sample.-` one `DaemonSample`. Fields of the slow tier keep
their last value with `slow_time` beside them. CPU totals of a watcher include its processes that have ended.
"""

from __future__ import annotations

import msgspec


class TreeSample(msgspec.Struct, frozen=True, gc=False):
    """A process with all its descendants."""

    processes: int
    cpu_seconds: float
    resident_bytes: int


class ProcessSample(msgspec.Struct, gc=False):
    """One process. `started` is Unix time; `state` the letter of /proc (R S D Z T I); `wid` the slot."""

    wid: int
    pid: int
    generation: int
    started: float
    state: str | None = None
    cpu_user_seconds: float | None = None
    cpu_system_seconds: float | None = None
    resident_bytes: int | None = None
    virtual_bytes: int | None = None
    shared_bytes: int | None = None
    threads: int | None = None
    minor_faults: int | None = None
    major_faults: int | None = None
    open_fds: int | None = None
    max_fds: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    peak_resident_bytes: int | None = None
    cpu_wait_seconds: float | None = None
    proportional_bytes: int | None = None
    unique_bytes: int | None = None
    swapped_bytes: int | None = None
    tree: TreeSample | None = None
    slow_time: float | None = None


class Totals(msgspec.Struct):
    """Sums of a watcher. The CPU seconds never go down while the daemon lives."""

    processes: int
    cpu_user_seconds: float
    cpu_system_seconds: float
    resident_bytes: int


class WatcherSample(msgspec.Struct, kw_only=True):
    """One watcher in one pass. `seq` counts what was published on this topic; `time` is Unix time of the pass."""

    boot: str
    seq: int
    time: float
    interval_seconds: float
    watcher: str
    totals: Totals
    processes: list[ProcessSample]


class Exemplar(msgspec.Struct, frozen=True):
    """The value that was counted last in one bucket, and the trace it belongs to; `time` is Unix time."""

    bucket: int
    value: float
    time: float
    trace: str


class Histogram(msgspec.Struct):
    """`bounds` are upper edges in ascending order, `counts` has one more entry for +Inf and is not cumulative.
    `exemplars` has at most one entry a bucket.
    """

    bounds: list[float]
    counts: list[int]
    sum: float
    last_trace: str | None = None
    exemplars: list[Exemplar] = []


class DaemonSample(msgspec.Struct, kw_only=True):
    """The daemon about itself, with the addresses of its other channels so that one address is enough to find all.

    Counters (`passes`, `skipped`, `errors`, `drops`) are cumulative over the daemon's life. `machine_memory_bytes` is
    what the machine has, so that who looks from another one can tell shares of it.
    """

    boot: str
    seq: int
    time: float
    interval_seconds: float
    pid: int
    version: str
    started: float
    endpoint: str
    pubsub_endpoint: str
    stats_endpoint: str
    cpu_user_seconds: float
    cpu_system_seconds: float
    resident_bytes: int
    open_fds: int | None
    max_fds: int | None
    processes: int
    pass_seconds: float
    pass_duration: Histogram
    loop_lag: Histogram
    passes: int
    skipped: int
    errors: dict[str, int]
    queue_depth: int
    subscribers: dict[str, int]
    drops: dict[str, int]
    machine_memory_bytes: int | None = None
    send_hwm: int | None = None


_encoder = msgspec.json.Encoder()
_watcher_decoder = msgspec.json.Decoder(WatcherSample)
_daemon_decoder = msgspec.json.Decoder(DaemonSample)


def encode(sample: WatcherSample | DaemonSample) -> bytes:
    """The JSON body of a sample."""
    return _encoder.encode(sample)


def decode_watcher(body: bytes) -> WatcherSample:
    """The body of a `sample.<watcher>` message; raises msgspec.DecodeError."""
    return _watcher_decoder.decode(body)


def decode_daemon(body: bytes) -> DaemonSample:
    """The body of a `sample.-` message; raises msgspec.DecodeError."""
    return _daemon_decoder.decode(body)
