"""The states of watchers as numbers, for panels that show one state at a time.

Owns the numbers, the words and the colours. Invariant: every state of the catalogue has one; the worse, the larger.
"""

from __future__ import annotations

from typing import Final

from circus_exporters.catalogue import WATCHER_STATE
from dashboards.grafana.panels import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, YELLOW, Meaning
from dashboards.grafana.promql import WATCHER, Scope, by, select

_COLORS: Final = {
    "active": GREEN,
    "waiting": BLUE,
    "stopped": GREY,
    "starting": YELLOW,
    "reloading": PURPLE,
    "stopping": ORANGE,
    "backoff": RED,
    "fatal": "dark-red",
}
CODES: Final = {state: code for code, state in enumerate(_COLORS, 1)}
MEANINGS: Final[dict[int, Meaning]] = {CODES[state]: (state, color) for state, color in _COLORS.items()}

if set(_COLORS) != set(WATCHER_STATE.closed["state"]):
    raise ValueError(
        f"states of the catalogue and of the dashboards differ: {set(_COLORS) ^ set(WATCHER_STATE.closed['state'])}"
    )


def code(scope: Scope, suffix: str = "") -> str:
    """The number of the state that each watcher is in; `suffix` goes behind each selector."""
    parts = [f"{select(WATCHER_STATE, scope, state=state)}{suffix} * {number}" for state, number in CODES.items()]
    return by(WATCHER, " or ".join(parts))
