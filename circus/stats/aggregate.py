"""Sums over the processes of one watcher: the totals of `sample.` and the averages of circus 0.19.

Pure functions. Invariant: totals of CPU never go below what was told before, whatever a process says on its way out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


class Averages:
    """The body of `stat.<watcher>`, from infos that come one after the other and need not be kept until the last."""

    __slots__ = ("_cpu", "_mem", "_oldest", "_pids", "_with_cpu", "_with_mem")

    def __init__(self) -> None:
        self._pids: list[int] = []
        self._cpu = self._mem = 0.0
        self._with_cpu = self._with_mem = 0
        self._oldest: float | None = None

    def add(self, info: Mapping[str, Any]) -> None:
        """Count one process in; a number that it does not have counts nowhere."""
        self._pids.append(info["pid"])
        cpu, mem, age = info["cpu"], info["mem"], info["age"]
        if cpu != NOT_AVAILABLE:
            self._cpu += cpu
            self._with_cpu += 1
        if mem != NOT_AVAILABLE:
            self._mem += mem
            self._with_mem += 1
        if age != NOT_AVAILABLE and (self._oldest is None or age > self._oldest):
            self._oldest = age

    def told(self) -> dict[str, Any]:
        """The mean of CPU, the sum of memory, the age of the oldest; `N/A` without numbers."""
        return {
            "pid": self._pids,
            "cpu": round(self._cpu / self._with_cpu, 3) if self._with_cpu else NOT_AVAILABLE,
            "mem": round(self._mem, 3) if self._with_mem else NOT_AVAILABLE,
            "age": NOT_AVAILABLE if self._oldest is None else self._oldest,
        }


def averages(infos: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The same of infos that are all there."""
    found = Averages()
    for info in infos:
        found.add(info)
    return found.told()
