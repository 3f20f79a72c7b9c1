"""When a file is to be rotated by time, and what the moved file is called.

Owns the arithmetic of periods, midnights and weekdays, local (with its summer time) or UTC. Touches no file and reads no
clock. Invariant: the next rotation is always later than the moment it is asked for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

_DAY = 86_400
_SECONDS = {"S": 1, "M": 60, "H": 3_600, "D": _DAY}
_LABELS = {"S": "%Y%m%d%H%M%S", "M": "%Y%m%d%H%M", "H": "%Y%m%d%H"}
_DAY_LABEL = "%Y%m%d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """`seconds` is the length of a period, `weekday` the day at whose end a week is over.

    `at_midnight` periods end at midnights, whatever the length of their days; the others count seconds.
    """

    seconds: int
    at_midnight: bool
    weekday: int | None
    utc: bool
    label_format: str

    @classmethod
    def parse(cls, when: object, interval: int, utc: bool) -> Schedule:
        """Read `rotate_when` and `rotate_interval`; ValueError with the words that are known."""
        word = str(when).strip().upper() if when is not None else ""
        weekday = int(word[1]) if len(word) == 2 and word[0] == "W" and word[1] in "0123456" else None
        if word not in _SECONDS and word != "MIDNIGHT" and weekday is None:
            raise ValueError(f"rotate_when = {when!r}: expected S, M, H, D, MIDNIGHT or W0 (Monday) to W6")
        if interval < 1:
            raise ValueError(f"rotate_interval = {interval}: expected 1 or more")
        days = 7 if weekday is not None else 1
        return cls(
            seconds=_SECONDS.get(word, _DAY * days) * interval,
            at_midnight=word not in _SECONDS,
            weekday=weekday,
            utc=utc,
            label_format=_LABELS.get(word, _DAY_LABEL),
        )

    def next_after(self, moment: float) -> float:
        """When a file that was started at that moment is full."""
        if not self.at_midnight:
            return moment + self.seconds
        today = self._parts(moment)
        wait = 0 if self.weekday is None else (self.weekday - today.tm_wday) % 7
        return self._midnight(today, wait + 1)

    def following(self, rollover: float, now: float) -> float:
        """The rotation after this one, skipping those that nothing was written for."""
        if not self.at_midnight:
            return rollover + self.seconds * (int(now - rollover) // self.seconds + 1)
        days = self.seconds // _DAY
        result = rollover
        while result <= now:
            # Between two midnights there may be 23 or 25 hours: count days in the calendar, not seconds.
            result = self._midnight(self._parts(result + _DAY / 2), days)
        return result

    def label(self, rollover: float) -> str:
        """What is put behind the name of the file whose time ends then: when that time began."""
        return time.strftime(self.label_format, self._parts(self._start(rollover)))

    @property
    def label_digits(self) -> int:
        return len(time.strftime(self.label_format, time.gmtime(0)))

    def _start(self, rollover: float) -> float:
        if not self.at_midnight:
            return rollover - self.seconds
        return self._midnight(self._parts(rollover + _DAY / 2), -(self.seconds // _DAY))

    def _parts(self, moment: float) -> time.struct_time:
        return time.gmtime(moment) if self.utc else time.localtime(moment)

    def _midnight(self, day: time.struct_time, days: int) -> float:
        """The midnight at the start of that day, so many days on."""
        if self.utc:
            start = datetime(day.tm_year, day.tm_mon, day.tm_mday, tzinfo=UTC)
            return start.timestamp() + days * _DAY
        return time.mktime((day.tm_year, day.tm_mon, day.tm_mday + days, 0, 0, 0, 0, 0, -1))
