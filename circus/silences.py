"""Silences: which alerts are told to nobody, and until when.

Pure: what time it is comes in. Invariant: a silence has an end, in the future when it is made, and their number is
bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Final, NamedTuple

from circus.exc import CircusError, MessageError
from circus.wire.alerts import Alert, NewSilence, Silence

MOST: Final = 200
_LONGEST: Final = 3650 * 86_400.0
_TEXT: Final = 1_000


class _Kept(NamedTuple):
    silence: Silence
    alert: re.Pattern[str]
    watcher: re.Pattern[str]

    def covers(self, alert: Alert) -> bool:
        return (
            self.silence.wid in (None, alert.wid)
            and self.alert.match(alert.alert.lower()) is not None
            and self.watcher.match((alert.watcher or "").lower()) is not None
        )


class Silences:
    """All that are in force, by their ids, which are counted from 1."""

    def __init__(self) -> None:
        self._kept: dict[int, _Kept] = {}
        self.last = 0
        """The id that was given last."""

    def __len__(self) -> int:
        return len(self._kept)

    def all(self) -> list[Silence]:
        """The silences, oldest first."""
        return [kept.silence for kept in self._kept.values()]

    def add(
        self,
        wanted: NewSilence,
        now: float,
        *,
        author: str,
        user: str | None = None,
        watchers: Iterable[str],
        alerts: Iterable[str],
    ) -> Silence:
        """Have one more.

        Args:
            wanted: what was asked for.
            now: Unix time.
            author: who it is from, where that was not said.
            user: the name of that author, if he has one.
            watchers: the names that there are.
            alerts: the rules that there are; none where nobody knows.

        Raises:
            MessageError: it means nothing that there is, or has no end in the future.
            CircusError: there are too many.
        """
        until = _end(wanted, now)
        if len(wanted.comment) > _TEXT or len(wanted.author or "") > _TEXT:
            raise MessageError(f"message invalid: 'comment' and 'author' have at most {_TEXT} characters")
        if max(len(wanted.watcher), len(wanted.alert)) > _TEXT:
            raise MessageError(f"message invalid: 'watcher' and 'alert' have at most {_TEXT} characters")
        watcher, alert = _pattern("watcher", wanted.watcher), _pattern("alert", wanted.alert)
        # One that is misspelt would silence nothing, and nobody would know before the alert.
        if wanted.watcher != "*" and not any(watcher.match(name.lower()) for name in watchers):
            raise MessageError(f"program {wanted.watcher} not found")
        rules = sorted(set(alerts))
        if rules and wanted.alert != "*" and not any(alert.match(name.lower()) for name in rules):
            raise MessageError(f"there is no alert {wanted.alert}; there are {', '.join(rules[:20])}")
        if len(self._kept) >= MOST:
            raise CircusError(f"there are {len(self._kept)} silences; lift one of them first")
        self.last += 1
        made = Silence(
            id=self.last, alert=wanted.alert, watcher=wanted.watcher, wid=wanted.wid, since=now, until=until,
            author=wanted.author or author, comment=wanted.comment, user=None if wanted.author else user,
        )  # fmt: skip
        self._kept[made.id] = _Kept(made, alert, watcher)
        return made

    def take_over(self, silences: Iterable[Silence], last: int) -> None:
        """Go on where another ended; what they cover need not be there any more."""
        for each in silences:
            self._kept[each.id] = _Kept(each, _pattern("alert", each.alert), _pattern("watcher", each.watcher))
        self.last = last

    def remove(self, number: int) -> Silence:
        """Forget one; MessageError where there is none of that number."""
        if number not in self._kept:
            raise MessageError(f"there is no silence {number}")
        return self._kept.pop(number).silence

    def covering(self, alert: Alert) -> int | None:
        """The oldest that covers an alert."""
        return next((number for number, kept in self._kept.items() if kept.covers(alert)), None)

    def first_end(self) -> float | None:
        """When the next one is over, Unix time; None without any."""
        return min((kept.silence.until for kept in self._kept.values()), default=None)

    def over(self, now: float) -> list[int]:
        """Those whose end has come."""
        return [number for number, kept in self._kept.items() if kept.silence.until <= now]


def _end(wanted: NewSilence, now: float) -> float:
    if (wanted.seconds is None) == (wanted.until is None):
        raise MessageError("message invalid: a silence needs either 'seconds' or 'until'")
    until = wanted.until if wanted.until is not None else now + (wanted.seconds or 0.0)
    if until <= now:
        raise MessageError(f"a silence has to end in the future, and not {now - until:.0f} seconds ago")
    if until - now > _LONGEST:
        raise MessageError("a silence has to end within ten years")
    return until


def _pattern(what: str, glob: str) -> re.Pattern[str]:
    if not 0 < len(glob) <= 200:
        raise MessageError(f"message invalid {what!r} isn't a name or glob of up to 200 characters")
    return re.compile(translate(glob.lower()))
