"""A call that may use only so much of the processor: a regular expression of somebody else's can take for ever.

Owns SIGVTALRM while such a call goes on. Refuses to know what is called. Invariant: handler and timer are afterwards what
they were before, however the call ended.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T]) -> T:
    """The result of a call; TimeoutError when it has used more than so many seconds of CPU time.

    It is Python code and what looks for signals by itself, as matching does, that can be ended so. In another thread
    than the main one there are no signals, and no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    going_on = True

    def over(*_: object) -> None:
        if going_on:
            raise TimeoutError(f"it took more than {seconds:g} s")

    handler = signal.signal(signal.SIGVTALRM, over)
    # Again and again: what a handler raises while a finalizer runs is heard by nobody.
    timer = signal.setitimer(signal.ITIMER_VIRTUAL, seconds, seconds)
    try:
        try:
            return call()
        finally:
            going_on = False
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, *timer)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL if handler is None else handler)
