"""The life of each alert: what a sequence of observations, each with its time, makes of it.

    inactive -> pending (for) -> firing -> keeping (keep) -> resolved, which is inactive again

Owns the steps of that life. It refuses to know clocks, kinds of rules and where observations come from. Invariants, for
each key: firing and resolved take turns, firing first; nothing begins to fire that was not high for the whole time `for`,
as far as anybody looked; what is excused never begins to fire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Level = Literal["high", "band", "low", "hold", "gone"]
"""What one observation says. `band`: between the two thresholds, so as it was before. `hold`: nothing can be said, or what
is seen is planned: nothing begins and nothing ends. `gone`: there is nothing to watch any more, by somebody's wish."""

Turn = Literal["firing", "resolved"]


class Key(NamedTuple):
    """What an alert is about. Never a pid: the next process of a slot goes on with the same alert."""

    rule: str
    watcher: str | None = None
    wid: int | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: `before` firing it must be high (`for`), and `after` the last time it was it goes on firing (`keep`)."""

    before: float = 0.0
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Life:
    """An alert that is not inactive; `since` is when the phase began."""

    phase: Literal["pending", "firing", "keeping"]
    since: float


def level_of(value: float, above: float, clear_below: float) -> Level:
    """High beyond `above`, low below `clear_below`, and in between what it was; without a gap there is no between."""
    if value > above:
        return "high"
    return "low" if value < clear_below or clear_below >= above else "band"


def step(life: Life | None, level: Level, now: float, patience: Patience) -> tuple[Life | None, Turn | None]:
    """The life after an observation, and what everybody must be told then."""
    if level == "gone":
        return None, "resolved" if life is not None and life.phase != "pending" else None
    if life is None:
        if level != "high":
            return None, None
        return (Life("pending", now), None) if patience.before > 0 else (Life("firing", now), "firing")
    if life.phase == "pending":
        if level in ("low", "hold"):
            return None, None
        return (Life("firing", now), "firing") if now - life.since >= patience.before else (life, None)
    if life.phase == "firing":
        if level != "low":
            return life, None
        return (Life("keeping", now), None) if patience.after > 0 else (None, "resolved")
    if level == "high":
        return Life("firing", now), None
    over = level != "hold" and now - life.since >= patience.after
    return (None, "resolved") if over else (life, None)


class Engine:
    """All alerts that are not inactive. Times given to it must not go back."""

    def __init__(self, patience: Mapping[str, Patience]) -> None:
        self._patience = patience
        self._lives: dict[str | None, dict[Key, Life]] = {}

    def see(self, key: Key, level: Level, now: float) -> Turn | None:
        """Take one observation; `firing` or `resolved` is returned once, when it becomes so."""
        lives = self._lives.get(key.watcher)
        life = None if lives is None else lives.get(key)
        after, turn = step(life, level, now, self._patience[key.rule])
        if after is None:
            if lives is not None and life is not None:
                del lives[key]
                if not lives:
                    del self._lives[key.watcher]
        elif after is not life:
            self._lives.setdefault(key.watcher, {})[key] = after
        return turn

    def restore(self, key: Key, now: float) -> None:
        """It fires already, as somebody else has told."""
        self._lives.setdefault(key.watcher, {})[key] = Life("firing", now)

    def of(self, watcher: str | None) -> Mapping[Key, Life]:
        """What is not inactive about a watcher; with None, about the daemon."""
        return self._lives.get(watcher, _NOTHING)

    def all_keys(self) -> list[Key]:
        """Of all that is not inactive."""
        return [key for lives in self._lives.values() for key in lives]

    def left(self, key: Key, now: float) -> float | None:
        """Seconds until it is resolved unless it is high again; None while it is."""
        life = self._lives.get(key.watcher, _NOTHING).get(key)
        if life is None or life.phase != "keeping":
            return None
        return max(self._patience[key.rule].after - (now - life.since), 0.0)

    def firing(self) -> list[Key]:
        """What fires, the keeping included."""
        return [key for lives in self._lives.values() for key, life in lives.items() if life.phase != "pending"]


_NOTHING: Mapping[Key, Life] = {}
