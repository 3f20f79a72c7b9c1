"""The thresholds of the alerts, so that what is drawn red is what wakes somebody.

Owns how they are read from `config.yaml`. Invariant: a dashboard has no threshold of its own where an alert has one.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

CONFIG: Final = Path(__file__).parents[1] / "config.yaml"
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"(?:\d+[smhd])+")
_PART: Final = re.compile(r"(\d+)([smhd])")


@cache
def _settings() -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    return settings


def above(alert: str) -> float:
    """Beyond what the alert fires: a share, a number, or seconds. KeyError where it has no such threshold."""
    told = _settings()[alert]["above"][0]
    if isinstance(told, str) and _DURATION.fullmatch(told):
        return sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(told))
    return float(told)


DESCRIPTORS: Final = above("ProcessFdExhaustion")
MEMORY: Final = above("ProcessMemoryAboveLimit")
CPU: Final = above("ProcessCPUHog")
LOOP: Final = above("SupervisorLoopBlocked")
RELOAD: Final = above("WatcherReloadStuck")
