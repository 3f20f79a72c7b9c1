"""What a daemon hands over to the program that takes its place: all of it, on one page.

Owns the form of it and the file without a name that carries it through the exec. Refuses to know how each part is made
and used: that is the business of the part (`record`, `resume`). Descriptors are numbers here, which mean the same after
the exec. Moments are monotonic seconds of this boot of the system unless they are said to be Unix time.
Invariant: what was read is of a format that this release understands, or an error says which it is.
"""

from __future__ import annotations

import marshal
import os
from typing import Any, Final

import msgspec

from circus.core.origin import Origin
from circus.core.resuming import FORMAT as MACHINE_FORMAT
from circus.core.resuming import MachineRecord
from circus.core.statefile import Gone, Recipe, Worker
from circus.exc import CircusError
from circus.spec.arbiter import ArbiterSpec
from circus.spec.record import dump, load
from circus.spec.watcher import WatcherSpec
from circus.wire.alerts import Alert, Notifier, Silence
from circus.wire.samples import Histogram
from circus.wire.snapshot import LastExit, WatcherHistograms

FORMAT: Final = 1
"""Raised when an older reader would misunderstand something, not for a new field with a default."""

_PLAIN: Final = (bytes,)


class PipeRecord(msgspec.Struct, kw_only=True):
    """The read end of an output; `carry` is the line that was begun. `lingers` when its process has ended already."""

    fd: int
    name: str
    pid: int
    wid: int
    carry: bytes = b""
    lingers: bool = False


class RingRecord(msgspec.Struct, kw_only=True):
    """The last lines of an output of a slot, as `Ring` keeps them."""

    wid: int
    name: str
    following: int
    chunks: list[tuple[int, float, int, bytes]]


class OutputsRecord(msgspec.Struct, kw_only=True):
    """The captured output of one watcher. `streams` is what each stream keeps, by output and slot (0: of all slots)."""

    life: str
    opened: bool
    pipes: list[PipeRecord] = []
    rings: list[RingRecord] = []
    streams: list[tuple[str, int, dict[str, Any]]] = []
    drops: dict[str, tuple[int, int]] = {}


class AdoptedRecord(msgspec.Struct, kw_only=True):
    """What there is of a process that is not our child: a handle, the tick of its start, the mark in its environment, and
    where its cgroup is, if it has one.
    """

    pidfd: int
    start: int
    mark: str
    group: str | None = None


class ProcessRecord(msgspec.Struct, kw_only=True):
    """A process of a watcher. `started` is Unix time, `began` the same moment on the monotonic clock.

    `ended` holds its code, minus the signal, when its status was collected and its slot is not free yet. `left`: it runs
    on though its watcher was removed from it.
    """

    pid: int
    wid: int
    generation: int
    started: float
    began: float
    ended: tuple[int | None] | None = None
    adopted: AdoptedRecord | None = None


class TallyRecord(msgspec.Struct, kw_only=True):
    """The counters of one watcher, by the names of `WatcherTally`."""

    starts: dict[str, int]
    restarts: dict[str, int]
    exits: dict[tuple[str, str], int]
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
    histograms: WatcherHistograms
    last_exit: LastExit | None
    last_exits: dict[int, LastExit]
    ends: dict[int, bytes]
    leftovers: int = 0


class BusRecord(msgspec.Struct, kw_only=True):
    """The boot and its records. `following` is the next seq, `records` are (watcher, record, body), the oldest first.
    `generations` and `floor` are how far the processes of removed watchers were counted.
    """

    boot: str
    following: int
    records: list[tuple[str | None, str, bytes]]
    previous: dict[str | None, int]
    tallies: dict[str, TallyRecord]
    generations: list[tuple[str, int]] = []
    floor: int = 0


class WatcherRecord(msgspec.Struct, kw_only=True):
    """One watcher: its spec (see `spec.record`), its machine, and everything that is its own."""

    spec: Any
    machine: MachineRecord
    env: dict[str, str]
    processes: list[ProcessRecord]
    outputs: OutputsRecord
    cpu: tuple[float, float] = (0.0, 0.0)
    """The highest totals (user, system) that were ever told."""


class SocketRecord(msgspec.Struct, kw_only=True):
    """A socket of the configuration; `fd` is None for the placeholder of `so_reuseport`."""

    name: str
    fd: int | None
    host: str
    port: int
    bound: tuple[int, int] | None


class ListenerRecord(msgspec.Struct, kw_only=True):
    """The socket of a channel, at its real address; `identity` is that of its path, where we made it."""

    option: str
    endpoint: str
    fd: int
    identity: tuple[int, int] | None


class ChannelsRecord(msgspec.Struct, kw_only=True):
    """The doors: the directory that was made for them, and the keys (public and secret) of circusd and of its programs."""

    listeners: list[ListenerRecord]
    directory: str | None = None
    keys: tuple[str, str, str, str] | None = None


class AnsweredRecord(msgspec.Struct, kw_only=True):
    """Replies by (command, id), the oldest first, each with when it was given; `reaches` is since when all are there."""

    replies: list[tuple[str, bytes, float, bytes]]
    reaches: float


class ControlRecord(msgspec.Struct, kw_only=True):
    """What the control channel has counted and answered, by the names of `Controller`."""

    command_counts: dict[str, int]
    command_errors: dict[str, int]
    command_error_kinds: dict[str, dict[str, int]]
    command_seconds: dict[str, Histogram]
    drops: int
    answered: AnsweredRecord | None = None


class EventsRecord(msgspec.Struct, kw_only=True):
    """What the events channel has counted, by the names of `EventPublisher`."""

    published: dict[str, int]
    dropped: dict[str, int]


class SamplesRecord(msgspec.Struct, kw_only=True):
    """What the stats channel and the sampler have counted; `seqs` by topic."""

    seqs: dict[bytes, int]
    passes: int
    skipped: int
    loop_lag: Histogram
    pass_duration: Histogram
    drops: int
    errors: dict[str, int]


class CountsRecord(msgspec.Struct, kw_only=True):
    """Cumulative numbers of the daemon itself, which must not begin anew."""

    control: ControlRecord
    events: EventsRecord
    samples: SamplesRecord
    illegal_transitions: int
    strangers: int


class AlertsRecord(msgspec.Struct, kw_only=True):
    """What the daemon keeps of alerts. `firing` are (alert, size of its data, trace)."""

    firing: list[tuple[Alert, int, str]]
    silences: list[Silence]
    last_silence: int
    notifiers: list[Notifier]
    refused: int


class LedgerRecord(msgspec.Struct, kw_only=True):
    """The state file, which stays locked by its descriptor, and what is noted in it."""

    path: str
    fd: int
    recipes: list[Recipe]
    workers: list[Worker]
    inodes: dict[str, int]
    generations: dict[str, int]
    latest: int = 0
    gone: list[Gone] = []
    trusted: bool | None


class ArbiterRecord(msgspec.Struct, kw_only=True):
    """Everything. `started`, `applied` and `refused` are Unix time.

    `version` is the release that wrote it, `taken_at` when it did, `origin` who wanted it. `soft_limit` of descriptors is
    what workers get, `fd_base` where those of this program begin that stay long.
    """

    format: int = FORMAT
    machine_format: int = MACHINE_FORMAT
    version: str
    taken_at: float
    origin: Origin
    upgrades: int
    spec: Any
    started: float
    applied: float
    refused: float | None
    soft_limit: int
    fd_base: int | None
    channels: ChannelsRecord
    sockets: list[SocketRecord]
    watchers: list[WatcherRecord]
    bus: BusRecord
    counts: CountsRecord
    alerts: AlertsRecord
    ledger: LedgerRecord | None = None

    def arbiter_spec(self) -> ArbiterSpec:
        """The configuration in force."""
        found: ArbiterSpec = load(self.spec)
        return found

    def descriptors(self) -> list[int]:
        """All that has to stay open through the exec."""
        pipes = [pipe.fd for watcher in self.watchers for pipe in watcher.outputs.pipes]
        processes = [process.adopted for watcher in self.watchers for process in watcher.processes]
        handles = [each.pidfd for each in processes if each is not None]
        sockets = [sock.fd for sock in self.sockets if sock.fd is not None]
        ledger = [] if self.ledger is None else [self.ledger.fd]
        return [*pipes, *handles, *sockets, *ledger, *(listener.fd for listener in self.channels.listeners)]


def spec_of(record: WatcherRecord) -> WatcherSpec:
    """The spec of a watcher."""
    found: WatcherSpec = load(record.spec)
    return found


def dumped(spec: WatcherSpec | ArbiterSpec) -> Any:
    """A spec in the form of a record; CircusError for what exists in this program only, such as a hook that is no name."""
    return dump(spec)


def encode(record: ArbiterRecord) -> bytes:
    """The bytes of it. Not JSON: paths and environments may be bytes of no encoding, and lines of output are."""
    return marshal.dumps(msgspec.to_builtins(record, builtin_types=_PLAIN), 4)


def decode(data: bytes) -> ArbiterRecord:
    """Read it again.

    Raises:
        CircusError: it is none, or of a format that this release does not know.
    """
    try:
        found = marshal.loads(data)  # noqa: S302 -- from the file without a name that this very process has written
        formats = found["format"], found["machine_format"]
        if formats != (FORMAT, MACHINE_FORMAT):
            raise CircusError(
                f"what is handed over has the format {formats[0]}.{formats[1]}, this release knows {FORMAT}.{MACHINE_FORMAT}"
            )
        return msgspec.convert(found, ArbiterRecord, builtin_types=_PLAIN)
    except (ValueError, EOFError, TypeError, KeyError, msgspec.ValidationError) as error:
        raise CircusError(f"what is handed over cannot be read: {type(error).__name__}: {error}") from error


def written(record: ArbiterRecord) -> int:
    """A file without a name that holds it, close-on-exec; OSError when there is no room for it."""
    fd = os.memfd_create("circus-handover")
    try:
        data = memoryview(encode(record))
        while data:
            data = data[os.write(fd, data) :]
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read(fd: int) -> ArbiterRecord:
    """What `written` wrote, from its beginning; the descriptor is closed.

    Raises:
        CircusError: as `decode`.
        OSError: there is no such descriptor.
    """
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        return decode(file.read())
