"""Restarts a watcher whose processes use too much, or too little, for too long.

Owns the limits and what is counted against them. Invariant: nothing is done before one limit was broken more than
`max_count` times in a row, and a watcher without processes breaks none.
"""

from __future__ import annotations

import signal
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from circus import logger
from circus.exc import CircusError
from circus.plugins.options import Options
from circus.plugins.statsd import BaseObserver, amount
from circus.spec.scalars import to_size

UNKNOWN_PERCENT = 100.0  # what circus 0.19 takes `N/A` for
LIMITS: Final = ("over_cpu", "under_cpu", "over_memory", "under_memory", "over_health")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The extremes over some processes: percent of one processor, percent of the memory, bytes."""

    max_cpu: float
    max_mem: float
    max_mem_abs: float
    min_cpu: float
    min_mem: float
    min_mem_abs: float


class ResourceWatcher(BaseObserver):
    """Looks after one `watcher`; see its options in the guide.

    With `process_children` the children of its processes are judged too, one by one, and signalled.
    """

    name = "resource_watcher"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        options = Options(config)
        if config.get("watcher") is None and config.get("service") is not None:
            warnings.warn("service is deprecated, write watcher", DeprecationWarning, stacklevel=2)
        self.watcher = options.text("watcher", options.text("service"))
        if not self.watcher:
            options.refuse("watcher", "expected the name of the watcher to look after")
        self.max_cpu = options.number("max_cpu", 90.0, least=0)
        self.max_mem, self._max_percent = _memory(options, "max_mem") or (90.0, True)
        self.min_cpu = None if config.get("min_cpu") is None else options.number("min_cpu", 0.0, least=0)
        self.min_mem: float | None
        self.min_mem, self._min_percent = _memory(options, "min_mem") or (None, True)
        self.health_threshold = options.number("health_threshold", 75.0, least=0)
        self.max_count = options.whole("max_count", 3)
        self.process_children = options.flag("process_children", False)
        self.child_signal = options.signal("child_signal") or int(signal.SIGTERM)
        self._counts: dict[int | str, dict[str, int]] = {}

    def look_after(self) -> None:
        try:
            reply = self.call("stats", name=self.watcher)
        except CircusError as error:
            reply = {"status": "error", "reason": str(error)}
        if reply["status"] == "error":
            logger.warning("no statistics of %s: %s", self.watcher, reply.get("reason"))
            self.statsd.increment(f"_resource_watcher.{self.watcher}.error")
            return
        processes = [info for info in reply["info"].values() if isinstance(info, dict)]
        if self._broken_for_long("parent", processes):
            logger.warning("%s has broken a limit more than %s times: restarting it", self.watcher, self.max_count)
            self.cast("restart", name=self.watcher)
        if self.process_children:
            self._judge_children(processes)

    def _judge_children(self, processes: Sequence[Mapping[str, Any]]) -> None:
        children = {child["pid"]: (info["pid"], child) for info in processes for child in info.get("children") or ()}
        self._counts = {index: count for index, count in self._counts.items() if index in children or index == "parent"}
        for pid, (parent, child) in children.items():
            if self._broken_for_long(pid, [child]):
                logger.warning("child %s of %s has broken a limit: signal %s", pid, self.watcher, self.child_signal)
                self.cast("signal", name=self.watcher, signum=self.child_signal, pid=parent, childpid=pid)

    def _broken_for_long(self, index: int | str, processes: Sequence[Mapping[str, Any]]) -> bool:
        """Count this look; True, and counted afresh from there, when one limit has been broken too often in a row."""
        broken = self._broken(_usage(processes)) if processes else set()
        for limit in LIMITS:
            if limit in broken:
                self.statsd.increment(f"_resource_watcher.{self.watcher}.{limit}")
        counts = self._counts.get(index, {})
        self._counts[index] = counts = {limit: counts.get(limit, 0) + 1 for limit in broken}
        if max(counts.values(), default=0) <= self.max_count:
            return False
        self.statsd.increment(f"_resource_watcher.{self.watcher}.restarting")
        del self._counts[index]
        return True

    def _broken(self, usage: Usage) -> set[str]:
        max_mem = usage.max_mem if self._max_percent else usage.max_mem_abs
        min_mem = usage.min_mem if self._min_percent else usage.min_mem_abs
        verdicts = {
            "over_cpu": self.max_cpu and usage.max_cpu > self.max_cpu,
            "under_cpu": self.min_cpu is not None and usage.min_cpu <= self.min_cpu,
            "over_memory": max_mem > self.max_mem,
            "under_memory": self.min_mem is not None and min_mem < self.min_mem,
            "over_health": self.health_threshold and (usage.max_cpu + usage.max_mem) / 2.0 > self.health_threshold,
        }
        return {limit for limit, broken in verdicts.items() if broken}


def _memory(options: Options, name: str) -> tuple[float, bool] | None:
    """(limit, whether it is a percentage) of an option, None where it is not there."""
    text = options.text(name).strip()
    if not text:
        return None
    try:
        return float(text.removesuffix("%")), True
    except ValueError:
        pass
    try:
        return to_size(text), False
    except ValueError:
        options.refuse(name, "expected a percentage, or a size such as 250M")


def _usage(processes: Sequence[Mapping[str, Any]]) -> Usage:
    cpu = [_known(info.get("cpu"), UNKNOWN_PERCENT) for info in processes]
    mem = [_known(info.get("mem"), UNKNOWN_PERCENT) for info in processes]
    size = [_known(info.get("mem_info1"), 0.0) for info in processes]
    return Usage(
        max_cpu=max(cpu), max_mem=max(mem), max_mem_abs=max(size),
        min_cpu=min(cpu), min_mem=min(mem), min_mem_abs=min(size),
    )  # fmt: skip


def _known(told: Any, otherwise: float) -> float:
    number = amount(told)
    return otherwise if number is None else number
