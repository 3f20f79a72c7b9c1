"""The JSON that `circus-top --json` prints: the view with typed numbers, `null` for what is unknown.

Pure. Owns the names of its keys, which programs rely on: they are only added to. Units stand in the names, as on the
wire; times are Unix times by the daemon's clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from circus.stats.viewer.daemon import Daemon
from circus.stats.viewer.rows import Row
from circus.stats.viewer.usage import Process, Watcher
from circus.stats.viewer.view import View


def document(view: View, shown: Sequence[Row], endpoint: str, notes: Sequence[str]) -> bytes:
    """One indented JSON document. Watchers and processes are those of the rows, in their order."""
    watchers: list[dict[str, Any]] = []
    for row in shown:
        if row.process is None:
            watchers.append(_watcher(row.watcher))
        else:
            watchers[-1]["processes"].append(_process(row.process))
    whole = {
        "endpoint": endpoint,
        "source": "stat" if view.legacy else "sample",
        "time": view.time,
        "daemon": None if view.daemon is None else _daemon(view.daemon),
        "totals": {
            "watchers": len(view.watchers),
            "processes": view.processes(),
            "cpu_percent": _rounded(view.cpu_percent()),
            "resident_bytes": view.memory_bytes(),
        },
        "watchers": watchers,
        "sockets": [
            *view.sockets,
            *({"address": address, "hits": hits} for address, hits in view.hits.items()),
        ],
        "notes": list(notes),
    }
    return msgspec.json.format(msgspec.json.encode(whole), indent=2)


def _daemon(daemon: Daemon) -> dict[str, Any]:
    sample, late = daemon.sample, daemon.lateness
    return {
        "boot": sample.boot,
        "version": sample.version,
        "pid": sample.pid,
        "started": sample.started,
        "endpoint": sample.endpoint,
        "pubsub_endpoint": sample.pubsub_endpoint,
        "cpu_percent": _rounded(daemon.rate.percent),
        "resident_bytes": sample.resident_bytes,
        "open_fds": sample.open_fds,
        "max_fds": sample.max_fds,
        "loop_lag_mean_seconds": None if late is None else late.mean_seconds,
        "loop_lag_p99_seconds": None if late is None or math.isinf(late.p99_seconds) else late.p99_seconds,
        "interval_seconds": sample.interval_seconds,
        "pass_seconds": sample.pass_seconds,
        "passes": sample.passes,
        "skipped": sample.skipped,
        "drops": sample.drops,
        "machine_memory_bytes": sample.machine_memory_bytes,
    }


def _watcher(watcher: Watcher) -> dict[str, Any]:
    return {
        "name": watcher.name,
        "state": watcher.state,
        "desired": watcher.desired,
        "running": len(watcher.processes),
        **_use(watcher),
        "restarts": watcher.restarts,
        "last_exit": watcher.last_exit,
        "processes": [],
    }


def _process(process: Process) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "wid": process.wid,
        "name": process.name,
        "generation": process.generation,
        "started": process.started,
        "state": process.state,
        "system_state": process.system_state,
        **_use(process),
        "max_fds": process.max_fds,
        "backoff_seconds": process.backoff_seconds,
        "last_exit": process.last_exit,
    }


def _use(used: Process | Watcher) -> dict[str, Any]:
    return {
        "cpu_percent": _rounded(used.cpu_percent),
        "resident_bytes": used.memory_bytes,
        "memory_percent": _rounded(used.memory_percent),
        "threads": used.threads,
        "open_fds": used.open_fds,
        "age_seconds": _rounded(used.age_seconds),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
