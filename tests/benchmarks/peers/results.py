"""What was measured, as it was measured: one entry for each number, with its round and the load of the machine then.

Everything that is shown is worked out from that, so a page can be made anew from a file. Invariant: a number that is
missing has a reason beside it, either that the supervisor cannot do it or what went wrong.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import pathlib
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from tests.benchmarks.peers.catalogue import BY_KEY, WORKS, Work

OURS = "circus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """`load` is the load average of the last minute when it was taken, `size` the number of processes."""

    peer: str
    key: str
    size: int
    round: int
    value: float
    load: float


@dataclass(slots=True, kw_only=True)
class Results:
    """All of one run. `cannot` and `failed` are reasons by peer and key (or measurement)."""

    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    processes: int
    numbers: list[Number] = field(default_factory=list)
    cannot: dict[str, dict[str, str]] = field(default_factory=dict)
    failed: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, peer: str, key: str, size: int, turn: int, value: float) -> Number:
        made = Number(peer=peer, key=key, size=size, round=turn, value=value, load=os.getloadavg()[0])
        self.numbers.append(made)
        return made

    def values(self, peer: str, key: str, size: int | None = None) -> list[float]:
        wanted = self.processes if size is None else size
        return [
            number.value
            for number in self.numbers
            if number.peer == peer and number.key == key and number.size == wanted
        ]

    def folded(self, peer: str, key: str, size: int | None = None) -> float | None:
        values = self.values(peer, key, size)
        return BY_KEY[key].fold(values) if values else None

    def ratio(self, peer: str, key: str) -> float | None:
        """The peer's number in those of ours, the median over the rounds in which there are both."""
        pairs = self._by_round(peer, key), self._by_round(OURS, key)
        ratios = [pairs[0][turn] / ours for turn, ours in pairs[1].items() if turn in pairs[0] and ours]
        return median(ratios) if ratios else None

    def _by_round(self, peer: str, key: str) -> dict[int, float]:
        return {
            number.round: number.value
            for number in self.numbers
            if number.peer == peer and number.key == key and number.size == self.processes
        }

    def loads(self, key: str) -> tuple[float, float] | None:
        """The least and the greatest load while the numbers of a row were taken."""
        loads = [number.load for number in self.numbers if number.key == key and number.size == self.processes]
        return (min(loads), max(loads)) if loads else None

    def peers(self) -> list[str]:
        return list(self.versions)

    def sizes(self) -> list[int]:
        return sorted({number.size for number in self.numbers if number.key in {"start", "stats_cpu"}})

    def works(self) -> Iterable[Work]:
        return WORKS

    def write(self, path: pathlib.Path) -> None:
        text = asdict(self)
        rows = ",\n".join(f"  {json.dumps(row)}" for row in text.pop("numbers"))
        head = json.dumps(text, indent=1).removesuffix("\n}")
        path.write_text(f'{head},\n "numbers": [\n{rows}\n ]\n}}\n')

    @classmethod
    def read(cls, path: pathlib.Path) -> Results:
        told = json.loads(path.read_text())
        told["numbers"] = [Number(**number) for number in told["numbers"]]
        return cls(**told)


def machine() -> dict[str, Any]:
    """What the numbers depend on, and nothing that tells whose machine it is."""
    return {
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "python": platform.python_version(),
    }


def _processor() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def today() -> str:
    return dt.datetime.now(dt.UTC).date().isoformat()
