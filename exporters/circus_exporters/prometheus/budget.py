"""How much a page may tell: the level of detail of processes, and what is left out when there are too many series.

Owns the order in which things are given up. It refuses to know how a series is written. Invariant: a page never has
more series than its limit, and whatever was left out for that is counted on the page and told once in the log.

What matters most comes first: the daemon and the exporter themselves (always), what each watcher does, sockets, the
histograms of watchers, then processes with CPU and memory, then their full detail.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from circus_exporters import catalogue
from circus_exporters.prometheus.options import ProcessDetail
from circus_exporters.prometheus.render import Detail, series_of_process

logger = logging.getLogger("circus_exporters.prometheus")

FULL_DETAIL_UP_TO: Final = 500
FULL_DETAIL_AGAIN: Final = 400
ROOM_AGAIN: Final = 0.9  # of the room must be enough before more is told again


class DetailChoice:
    """Which level of detail to show: the one that was set, else by the number of processes; less if room is short.

    The way back to more detail lies lower than the way out of it, so that a fleet of about that size does not flap.
    """

    def __init__(self, wanted: ProcessDetail) -> None:
        self._wanted = wanted
        self._full = True
        self._told: Detail = "full"

    def wanted(self, processes: int) -> Detail:
        """The level for this many processes if there is room."""
        if self._wanted != "auto":
            return self._wanted
        self._full = processes <= (FULL_DETAIL_UP_TO if self._full else FULL_DETAIL_AGAIN)
        return "full" if self._full else "cpu_mem"

    def choose(self, processes: int, room: int) -> Detail:
        """The level that fits into this many series."""
        levels: tuple[Detail, ...] = catalogue.DETAILS
        before = levels.index(self._told)
        for level in levels[levels.index(self.wanted(processes)) :]:
            share = ROOM_AGAIN if levels.index(level) < before else 1.0
            if processes * series_of_process(level) <= room * share:
                break
        self._told = level
        return level


class Budget:
    """What the pages of one exporter leave out."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._told: frozenset[str] = frozenset()

    def tell(self, left_out: Mapping[str, int]) -> None:
        """Log what is newly left out, or that nothing is any more."""
        parts = frozenset(part for part, number in left_out.items() if number)
        if parts - self._told:
            what = ", ".join(f"{part} ({left_out[part]})" for part in catalogue.LEFT_OUT if part in parts)
            logger.warning("a page may have %d series (max_series), so this is left out: %s", self.limit, what)
        elif self._told and not parts:
            logger.info("all series fit again into the limit of %d", self.limit)
        self._told = parts
