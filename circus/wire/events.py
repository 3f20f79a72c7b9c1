"""Lifecycle records: what happened, when, to whom and because of what.

One struct for all of them; what differs lives in `data`, whose keys for each record are listed in
`docs/reference/records.md`. Closed enums stand here, so that counters can be born at 0 for every value.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

START_CAUSES: Final = ("boot", "scale", "crash", "reload", "manual", "max_age", "memory_limit", "watchdog", "schedule")
RESTART_CAUSES: Final = START_CAUSES[2:]
INITIATORS: Final = ("process", "supervisor", "external")
OUTCOMES: Final = ("success", "error", "signal", "oom", "stop_timeout", "lost")
EXIT_REASONS: Final = (
    "completed", "exit_error", "crash", "killed", "stopped", "stop_timeout",
    "max_age", "memory_limit", "watchdog", "oom", "lost",
)  # fmt: skip
SPAWN_STAGES: Final = ("rlimit", "user", "cwd", "exec", "fork", "hook", "socket", "readiness")
CRASH_SIGNALS: Final = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGSYS", "SIGTRAP")
WATCHER_STATES: Final = (
    "starting", "active", "reloading", "stopping", "stopped", "waiting", "backoff", "fatal",
)  # fmt: skip
PROCESS_STATES: Final = ("starting", "running", "stopping", "backoff")

CauseKind = Literal["command", "record", "timer", "signal", "config", "boot"]


class Cause(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What led to a record. `command`: id, name, actor; `record`: seq; `timer` and `signal`: name; `config`: hash."""

    kind: CauseKind
    id: str | None = None
    name: str | None = None
    actor: str | None = None
    seq: int | None = None
    hash: str | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One lifecycle record. `watcher` is None (topic part `-`) for the arbiter; `previous` is the seq of the record
    before it of the same watcher, None for its first. `time` is Unix time in seconds.
    """

    boot: str
    seq: int
    previous: int | None
    time: float
    record: str
    watcher: str | None
    wid: int | None = None
    pid: int | None = None
    generation: int | None = None
    cause: Cause
    traceparent: str | None = None
    data: dict[str, Any] = {}


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    """The JSON body of a record."""
    return _encoder.encode(record)


def decode(body: bytes) -> Record:
    """The record in a JSON body; raises msgspec.DecodeError (or its ValidationError) for anything else."""
    return _decoder.decode(body)
