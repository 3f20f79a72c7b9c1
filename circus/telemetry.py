"""The snapshot behind the `telemetry` command: cumulative numbers and present states, in the wire's structs.

Reads and builds; changes nothing. Invariant: `seq` is taken before anything else, so that whoever replays the records
after it misses nothing (he may see something twice).
"""

from __future__ import annotations

import os
import platform
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Protocol

import msgspec
import zmq

from circus import __version__
from circus.controller import Controller
from circus.core.slots import Slot
from circus.events.bus import Bus
from circus.events.counters import HOOK_BOUNDS, WatcherTally, new_histogram
from circus.publisher import EventPublisher
from circus.runtime.reaper import Reaper
from circus.runtime.signals import name as signal_name
from circus.services import Services
from circus.sockets import CircusSocket
from circus.spec.arbiter import ArbiterSpec
from circus.watcher import Watcher
from circus.wire import snapshot as wire
from circus.wire.events import PROCESS_STATES

# struct tcp_info begins with eight bytes; the sixth u32 after `rto` and `ato`, `snd_mss`, `rcv_mss` is the accept queue
# of a listening socket (unacked), the next its limit (sacked).
_TCP_INFO_BYTES = 32
_TCP_INFO_QUEUE = struct.Struct("=8x16xII")


class Described(Protocol):
    """What an arbiter says of itself."""

    pid: int
    started: float
    state: str
    endpoint: str
    pubsub_endpoint: str
    stats_endpoint: str
    check_delay: float
    upgrades: int
    upgraded: float | None


def watcher_snapshot(watcher: Watcher, bus: Bus, *, detail: bool) -> wire.WatcherSnapshot:
    """One watcher; without `detail` its slots are left out."""
    life, spec, tally = watcher.lifecycle, watcher.spec, bus.tally(watcher.name)
    processes = dict.fromkeys(PROCESS_STATES, 0)
    slots: list[wire.SlotSnapshot] = []
    ready, backoff, failures = 0, 0.0, 0
    for slot in life.crew.slots.values():
        processes[slot.public_state] += 1
        ready += slot.ready and not slot.ending and slot.alive
        if slot.state is None:
            backoff = max(backoff, slot.backoff_seconds)
        failures = max(failures, _in_a_row(slot, watcher))
        if detail:
            slots.append(_slot(slot, watcher, tally.last_exits.get(slot.wid)))
    return wire.WatcherSnapshot(
        name=watcher.name,
        state=life.public_state,
        want=life.want.value,
        desired=life.target,
        ready=ready,
        processes=processes,
        generation=life.crew.generation,
        role=spec.role,
        singleton=spec.singleton,
        executable=_executable(spec.cmd),
        user=None if spec.uid is None else str(spec.uid),
        stop_signal=signal_name(spec.stop_signal),
        labels={key[7:]: str(value) for key, value in spec.options.items() if key.startswith("labels.")},
        memory_limit_bytes=spec.memory_limit or None,
        memory_limit_of=spec.memory_limit_of,
        limits={name: None if value is None else float(value) for name, value in spec.rlimits.items()},
        backoff_seconds=backoff,
        consecutive_failures=failures,
        reload_started=tally.reload_started,
        last_exit=tally.last_exit,
        counters=_counters(tally, spec.hooks),
        histograms=_histograms(tally, spec.hooks),
        slots=slots,
    )


def _slot(slot: Slot, watcher: Watcher, last_exit: wire.LastExit | None) -> wire.SlotSnapshot:
    process = watcher.processes.get(slot.pid) if slot.pid is not None else None
    return wire.SlotSnapshot(
        wid=slot.wid,
        pid=slot.pid if slot.alive else None,
        state=slot.public_state,
        started=process.started if process is not None else None,
        ready=slot.ready and slot.alive,
        generation=slot.generation,
        backoff_seconds=slot.backoff_seconds if slot.state is None else 0.0,
        consecutive_failures=_in_a_row(slot, watcher),
        last_exit=last_exit,
    )


def _in_a_row(slot: Slot, watcher: Watcher) -> int:
    """Failures in a row. The machine clears its count when the next process dies; who looks sees that this one runs."""
    process = watcher.processes.get(slot.pid) if slot.pid is not None and slot.alive else None
    return 0 if process is not None and process.age() >= watcher.spec.stable_after else slot.failures


def _counters(tally: WatcherTally, hooks: Iterable[str]) -> wire.WatcherCounters:
    """With every hook that can be called, so that its first failure is seen as an increase."""
    told = tally.counters()
    told.hook_failures = {**dict.fromkeys(hooks, 0), **told.hook_failures}
    return told


def _histograms(tally: WatcherTally, hooks: Iterable[str]) -> wire.WatcherHistograms:
    told = tally.histograms
    missing = {hook: new_histogram(HOOK_BOUNDS) for hook in hooks if hook not in told.hook_seconds}
    return msgspec.structs.replace(told, hook_seconds=told.hook_seconds | missing) if missing else told


def _executable(cmd: str) -> str:
    return os.path.basename(cmd.split(maxsplit=1)[0]) if cmd.strip() else ""


def socket_snapshot(name: str, sock: CircusSocket) -> wire.SocketSnapshot:
    """One socket of ours, with its accept queue where the system tells it (TCP on Linux)."""
    queue = limit = None
    if not sock.is_unix and hasattr(socket, "TCP_INFO"):
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
            queue, limit = _TCP_INFO_QUEUE.unpack(info)
        except (OSError, struct.error):
            queue = limit = None
    address = sock.path if sock.is_unix else f"{sock.host}:{sock.port}"
    return wire.SocketSnapshot(
        name=name, fd=sock.fileno(), address=address or "", accept_queue=queue, accept_limit=limit
    )


def arbiter_snapshot(
    arbiter: Described, controller: Controller, publisher: EventPublisher, services: Services, reaper: Reaper
) -> wire.ArbiterSnapshot:
    """The daemon itself."""
    return wire.ArbiterSnapshot(
        pid=arbiter.pid,
        started=arbiter.started,
        state=arbiter.state,
        python_version=platform.python_version(),
        zmq_version=zmq.zmq_version(),
        endpoint=arbiter.endpoint,
        pubsub_endpoint=arbiter.pubsub_endpoint,
        stats_endpoint=arbiter.stats_endpoint,
        check_delay=arbiter.check_delay,
        commands=controller.command_counts,
        command_errors=controller.command_errors,
        commands_in_flight=controller.in_flight,
        command_seconds=controller.command_seconds,
        events_published=publisher.published,
        events_dropped=publisher.dropped,
        illegal_transitions=services.illegal_transitions,
        strangers_reaped=reaper.strangers,
        command_error_kinds=controller.command_error_kinds,
        subscribers=publisher.subscriptions.total,
        send_hwm=publisher.send_hwm,
        upgrades=arbiter.upgrades,
        upgraded=arbiter.upgraded,
    )


def telemetry(
    *,
    bus: Bus,
    spec: ArbiterSpec,
    applied: float,
    refused: float | None,
    arbiter: wire.ArbiterSnapshot,
    alerts: wire.AlertsSnapshot,
    sockets: Mapping[str, CircusSocket],
    watchers: Iterable[Watcher],
    pattern: str | None,
    detail: bool,
) -> wire.Telemetry:
    """The whole snapshot, of the watchers whose names match the glob (compared in lower case)."""
    seq = bus.seq
    wanted = None if pattern is None else pattern.lower()
    return wire.Telemetry(
        boot=bus.boot,
        seq=seq,
        time=time.time(),
        version=__version__,
        config=wire.ConfigSnapshot(
            hash=spec.config_hash,
            file=spec.config_file,
            applied_time=applied,
            refused_time=refused,
            ok=not spec.omitted,
            omitted=[str(mistake) for mistake in spec.omitted],
            warnings=[str(mistake) for mistake in spec.warnings],
        ),
        arbiter=arbiter,
        alerts=alerts,
        sockets=[socket_snapshot(name, sock) for name, sock in sockets.items()],
        watchers=[
            watcher_snapshot(watcher, bus, detail=detail)
            for watcher in watchers
            if wanted is None or fnmatchcase(watcher.name.lower(), wanted)
        ],
    )
