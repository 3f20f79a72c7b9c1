"""The names of attributes and resources, in one place: OpenTelemetry's where it has one, ours (`circus.`) where not.

Owns the names. Invariant: they mean what the semantic conventions of `SCHEMA_URL` say; when those change, this file and
the URL change together. There is no attribute there for a signal that ended a process, and its number must not stand in
`process.exit.code`, so it has a name of ours.
"""

from __future__ import annotations

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
SCOPE: Final = "circus"

ERROR_TYPE: Final = "error.type"
PID: Final = "process.pid"
CREATION_TIME: Final = "process.creation.time"
EXIT_TIME: Final = "process.exit.time"
EXIT_CODE: Final = "process.exit.code"
SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE: Final = "service.instance.id"
HOST_NAME: Final = "host.name"

WATCHER: Final = "circus.watcher.name"
WID: Final = "circus.process.wid"
GENERATION: Final = "circus.process.generation"
START_CAUSE: Final = "circus.process.start.cause"
REPLACEMENT: Final = "circus.process.replacement"
EXIT_SIGNAL: Final = "circus.process.exit.signal"
EXIT_REASON: Final = "circus.process.exit.reason"
EXIT_INITIATOR: Final = "circus.process.exit.initiator"
EXIT_OUTCOME: Final = "circus.process.exit.outcome"
LIFETIME: Final = "circus.process.lifetime_seconds"
CPU_USER: Final = "circus.process.cpu.user_seconds"
CPU_SYSTEM: Final = "circus.process.cpu.system_seconds"
MAX_RESIDENT: Final = "circus.process.memory.max_resident_bytes"
SIGNAL: Final = "circus.signal.name"
SIGNAL_BY: Final = "circus.signal.by"
SIGNAL_SCOPE: Final = "circus.signal.scope"
SPAWN_STAGE: Final = "circus.spawn.stage"
HOOK: Final = "circus.hook.name"
COMMAND: Final = "circus.command.name"
COMMAND_ID: Final = "circus.command.id"
ACTOR: Final = "circus.actor"
CAUSE: Final = "circus.cause"
BOOT: Final = "circus.boot"
SEQ: Final = "circus.record.seq"
RELOAD_MODE: Final = "circus.reload.mode"
WORKERS: Final = "circus.workers"
WATCHERS: Final = "circus.watchers"
VERSION: Final = "circus.version"
VERSION_BEFORE: Final = "circus.version.before"
ALERT: Final = "circus.alert.name"
SEVERITY: Final = "circus.alert.severity"
QUEUE_SECONDS: Final = "circus.command.queue_seconds"

# `outcome` of process.exited → error.type
EXIT_ERRORS: Final = {
    "error": "exit_code", "signal": "signal", "oom": "oom", "stop_timeout": "stop_timeout", "lost": "lost",
}  # fmt: skip

# Command → name of its trace. Names are few, so that a backend can group by them; who is meant is an attribute.
OPERATIONS: Final = {
    "start": "watcher.start",
    "stop": "watcher.stop",
    "restart": "watcher.restart",
    "reload": "watcher.reload",
    "incr": "watcher.scale",
    "decr": "watcher.scale",
    "set": "watcher.reconfigure",
    "add": "watcher.add",
    "rm": "watcher.remove",
    "kill": "process.kill",
    "signal": "process.signal",
    "reloadconfig": "arbiter.reload_config",
    "quit": "arbiter.stop",
    "upgrade": "arbiter.upgrade",
}
# Operations that no command and no boot began, by the record that they begin with; watcher.state by the state it leads to.
SPONTANEOUS: Final = {
    "process.exited": "process.respawn",
    "process.lost": "process.respawn",
    "process.signalled": "process.replace",
    "process.spawned": "process.start",
    "process.spawn_failed": "process.start",
    "starting": "watcher.start",
    "stopping": "watcher.stop",
    "reloading": "watcher.reload",
    "arbiter.stopping": "arbiter.stop",
    "arbiter.upgraded": "arbiter.upgrade",
    "arbiter.upgrade_failed": "arbiter.upgrade",
}
