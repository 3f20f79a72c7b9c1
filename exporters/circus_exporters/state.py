"""What is known of the fleet: the last snapshot, the last sample of each watcher, and how well the feed is.

Owns the folding of messages and every decision about what is still true. It refuses to know sockets, clocks (each call
is told the monotonic time) and how values are shown. Invariant: nothing is counted here but the exporter's own gaps;
all totals are the daemon's, so an exporter that is killed and started again shows the same numbers.

Ages are measured from the moment a message arrived, on the exporter's own monotonic clock: the daemon may run on a
machine whose clock differs, and clocks are set.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from circus.wire.events import Record
from circus.wire.samples import DaemonSample, WatcherSample
from circus.wire.snapshot import Telemetry, WatcherSnapshot

RECENT_RECORDS = 20
BEHIND_PASSES = 3.0
_SERIES_OF_SINK = 8
_ALIVE = ("starting", "running", "stopping")


def stale_after(interval: float) -> float:
    """Age in seconds beyond which a sample says nothing about now: the limit of the alert on stale samples too."""
    return max(10.0 * interval, 30.0)


@dataclass(frozen=True, slots=True)
class Missing:
    """Records `first` to `last` did not arrive."""

    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first + 1


@dataclass(slots=True)
class _Received:
    sample: WatcherSample
    at: float


@dataclass(slots=True)
class Deliveries:
    """What became of what was pushed to a collector; `dropped` by reason, `requests` of metrics by outcome."""

    spans_exported: int = 0
    spans_waiting: int = 0
    spans_dropped: dict[str, int] = field(default_factory=dict)
    metric_exports: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Alerting:
    """What fires, and what became of what was to be told: `active` by severity, `suppressed` by reason, the others by
    notifier; `failed` by notifier and reason. `problems` are those that do not take anything now, each with why.
    """

    active: dict[str, int] = field(default_factory=dict)
    suppressed: dict[str, int] = field(default_factory=dict)
    delivered: dict[str, int] = field(default_factory=dict)
    retried: dict[str, int] = field(default_factory=dict)
    failed: dict[str, dict[str, int]] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


class Listener:
    """Who wants to hear what arrives, when it has been folded. Each record comes once and in order."""

    def on_record(self, record: Record) -> None: ...
    def on_snapshot(self, telemetry: Telemetry) -> None: ...
    def on_sample(self, sample: WatcherSample, now: float) -> None: ...
    def on_pass(self, sample: DaemonSample, now: float) -> None: ...


def alive(watcher: WatcherSnapshot) -> int:
    """The number of slots that a process fills."""
    return sum(watcher.processes.get(state, 0) for state in _ALIVE)


class FleetState:
    """One daemon as an exporter sees it. `address` is where it is asked for, for people to read.

    While no daemon answers (`attached_at` is None) nothing that it once said is given out: a frozen value would live
    for ever in a time series.
    """

    def __init__(self, address: str = "") -> None:
        self.address = address
        self.telemetry: Telemetry | None = None
        self.daemon: DaemonSample | None = None
        self.recent: deque[Record] = deque(maxlen=RECENT_RECORDS)
        self.attached_at: float | None = None
        self.sampled = True  # False when the daemon has no stats channel
        self.last_seq = 0  # of the last lifecycle record that was folded
        self.listeners: list[Listener] = []
        """With one, the records from before the first snapshot are wanted too."""
        self.deliveries: Deliveries | None = None
        self.alerting: Alerting | None = None
        self.problems: dict[str, str] = {}
        """What of the exporter's own work cannot be done, by section, each with a sentence that says why."""
        self.stats_gaps = 0
        self.event_gaps = 0
        self.events_lost = 0
        self._daemon_at = 0.0
        self._samples: dict[str, _Received] = {}
        self._stat_seqs: dict[str | None, int] = {}

    @property
    def boot(self) -> str | None:
        """The life of the daemon that is known, also after its end."""
        return self.telemetry.boot if self.telemetry is not None else None

    # What arrives

    def attach(self, telemetry: Telemetry, now: float, *, sampled: bool = True) -> bool:
        """A daemon answered; True when it is another one (or another life) than before."""
        other = telemetry.boot != self.boot
        self.fold_telemetry(telemetry)
        self.attached_at = now
        self.sampled = sampled
        return other

    def detach(self) -> None:
        """The daemon is gone; its boot stays known, so that it is recognised when it answers again."""
        self.attached_at = None
        self._forget_samples()

    def fold_telemetry(self, telemetry: Telemetry) -> None:
        """Take a snapshot; one of another boot starts everything afresh."""
        if telemetry.boot != self.boot:
            self._forget_samples()
            self.recent.clear()
            self.last_seq = 0 if self.listeners else telemetry.seq
        self.telemetry = telemetry
        known = {watcher.name for watcher in telemetry.watchers}
        for gone in self._samples.keys() - known:
            del self._samples[gone], self._stat_seqs[gone]
        for listener in self.listeners:
            listener.on_snapshot(telemetry)

    def fold_sample(self, sample: WatcherSample, now: float) -> bool:
        """Take the sample of a watcher; False when it comes from another boot than the snapshot."""
        if sample.boot != self.boot:
            return False
        self._check_seq(sample.watcher, sample.seq)
        self._samples[sample.watcher] = _Received(sample, now)
        for listener in self.listeners:
            listener.on_sample(sample, now)
        return True

    def fold_daemon(self, sample: DaemonSample, now: float) -> bool:
        """Take the daemon's own sample; False when it comes from another boot than the snapshot."""
        if sample.boot != self.boot:
            return False
        self._check_seq(None, sample.seq)
        self.daemon = sample
        self._daemon_at = now
        for listener in self.listeners:
            listener.on_pass(sample, now)
        return True

    def fold_record(self, record: Record) -> Missing | None:
        """Take the next record. What is missing before it is returned, and the record is not taken then.

        Records that the snapshot or a replay contained already are passed over.
        """
        if record.boot != self.boot or record.seq <= self.last_seq:
            return None
        if record.seq > self.last_seq + 1:
            return Missing(self.last_seq + 1, record.seq - 1)
        self.last_seq = record.seq
        self.recent.append(record)
        for listener in self.listeners:
            listener.on_record(record)
        return None

    def begin_records(self, first: int) -> None:
        """The daemon remembers records from this seq on; what was before nobody here has missed."""
        self.last_seq = max(self.last_seq, first - 1)

    def lose_records(self, up_to: int) -> None:
        """Records up to this seq cannot be had any more."""
        if up_to > self.last_seq:
            self.events_lost += up_to - self.last_seq
            self.last_seq = up_to

    # What is true now

    def series_of_alerts(self) -> int:
        """How many series tell of alerts, at most."""
        alerting = self.alerting
        if alerting is None:
            return 0
        return len(alerting.active) + len(alerting.suppressed) + _SERIES_OF_SINK * len(alerting.delivered)

    def attached(self) -> bool:
        return self.attached_at is not None

    def sample_age(self, now: float) -> float | None:
        """Seconds since the daemon's last sample arrived, None when none did."""
        return now - self._daemon_at if self.daemon is not None else None

    def sample_fresh(self, now: float) -> bool:
        """True while the last sample still says something about now."""
        return self.daemon is not None and now - self._daemon_at <= stale_after(self.daemon.interval_seconds)

    def up(self, now: float) -> bool:
        """The daemon answers and its samples come; just after the start the first sample may still be on its way."""
        if self.attached_at is None:
            return False
        return not self.sampled or self.sample_fresh(now) or now - self.attached_at <= stale_after(0.0)

    def watchers(self) -> list[WatcherSnapshot]:
        """The watchers of the last snapshot; none while no daemon answers."""
        return self.telemetry.watchers if self.telemetry is not None and self.attached() else []

    def samples(self, now: float) -> Iterator[WatcherSample]:
        """The samples whose processes may be shown: of watchers that exist, and not overtaken by time.

        A watcher whose passes stopped while those of the others go on has lost its processes.
        """
        if self.daemon is None or not self.sample_fresh(now):
            return
        for watcher in self.watchers():
            received = self._samples.get(watcher.name)
            if received is None or not alive(watcher):
                continue
            behind = self._daemon_at - received.at
            if behind <= BEHIND_PASSES * max(received.sample.interval_seconds, self.daemon.interval_seconds):
                yield received.sample

    def watcher_cpu(self, watcher: WatcherSnapshot) -> tuple[float, float] | None:
        """(user, system) seconds of all its processes ever; None while they are not known.

        Both what a sample and what the snapshot says are lower bounds that never fall, so the larger one never falls
        either: the sample misses processes that ended since, the snapshot those that still live. Before the first
        sample the live ones are unknown, and a total without them would look like a fall to who saw it before.
        """
        ended = watcher.counters
        received = self._samples.get(watcher.name)
        if received is None:
            if alive(watcher):
                return None
            return ended.cpu_user_seconds, ended.cpu_system_seconds
        totals = received.sample.totals
        return (
            max(totals.cpu_user_seconds, ended.cpu_user_seconds),
            max(totals.cpu_system_seconds, ended.cpu_system_seconds),
        )

    def _forget_samples(self) -> None:
        self.daemon = None
        self._samples.clear()
        self._stat_seqs.clear()

    def _check_seq(self, watcher: str | None, seq: int) -> None:
        """Count the messages between the last one of a topic and this; the first one of a topic is where it begins."""
        before = self._stat_seqs.get(watcher)
        if before is not None and seq > before + 1:
            self.stats_gaps += seq - before - 1
        self._stat_seqs[watcher] = seq
