"""Waiting for a condition with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE = 20.0  # generous: a loaded machine is not a failure


class Late(AssertionError):
    """The condition did not come true in time."""


def wait_until(
    predicate: Callable[[], T], deadline: float = DEADLINE, what: str | Callable[[], object] = "", pause: float = 0.01
) -> T:
    """The first true value of `predicate`; raises Late, which tells the last value and `what`, after `deadline`."""
    until = time.monotonic() + deadline
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= until:
            told = what() if callable(what) else what
            raise Late(f"not within {deadline} s, last value {value!r}{f': {told}' if told else ''}")
        time.sleep(pause)
