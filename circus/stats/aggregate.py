"""Sums over the processes of one watcher: the totals of `sample.` and the averages of circus 0.19.

Pure functions. Invariant: totals of CPU never go below what was told before, whatever a process says on its way out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from circus.stats.readers import NOT_AVAILABLE
from circus.wire.samples import ProcessSample, Totals


def totals(samples: Iterable[ProcessSample], ended: tuple[float, float], floor: tuple[float, float]) -> Totals:
    """The living and the ended (CPU seconds, user and system) together, never below `floor`.

    A process that could not be read any more (no state) still has used its CPU time, but does not count as one.
    """
    user, system = ended
    processes = resident = 0
    for sample in samples:
        processes += sample.state is not None
        user += sample.cpu_user_seconds or 0.0
        system += sample.cpu_system_seconds or 0.0
        resident += sample.resident_bytes or 0
    return Totals(processes, max(round(user, 6), floor[0]), max(round(system, 6), floor[1]), resident)


def averages(infos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The body of `stat.<watcher>`: the mean of CPU, the sum of memory, the age of the oldest; `N/A` without numbers."""
    cpu, mem, age = ([info[key] for info in infos if info[key] != NOT_AVAILABLE] for key in ("cpu", "mem", "age"))
    return {
        "pid": [info["pid"] for info in infos],
        "cpu": round(sum(cpu) / len(cpu), 3) if cpu else NOT_AVAILABLE,
        "mem": round(sum(mem), 3) if mem else NOT_AVAILABLE,
        "age": max(age) if age else NOT_AVAILABLE,
    }
