"""Which processes have ended, as their pidfds tell the loop.

Where it can be, the pidfds are out of the way of spawns (`pidfds.PidfdThread`); a handle that came from elsewhere is in
the table of this program. Invariant: an end is told once, and never of a process that was forgotten before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from circus.runtime.fds import ROOM
from circus.runtime.loop import HEAD_START_SECONDS
from circus.runtime.pidfds import Pidfds, PidfdThread

_Some = TypeVar("_Some", bound=Pidfds)

_TURN_SECONDS = 0.002
"""After this time the loop gets its turn: each end leads to records, and perhaps to a fork."""

_LATER_SECONDS = 2 * HEAD_START_SECONDS
"""Handles are opened and closed when the new process runs; who ends meanwhile is found when they are."""


class Ends:
    """Tells one loop.

    Args:
        loop: where `told` is called.
        told: takes the pid of a process that has ended.
        missed: takes the pid of one that no handle can be had on: it is for others to find out.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, told: Callable[[int], object], missed: Callable[[int], None]
    ) -> None:
        self._loop, self._told, self._missed = loop, told, missed
        self._near: Pidfds | None = None
        self._far: PidfdThread | None = None
        self._alone = False
        self._ended: deque[int] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def open(self, pid: int) -> None:
        """Tell of the end of a child that was not waited for."""
        if self._far is None and not self._alone:
            self._begin()
        if self._far is not None:
            self._far.open(pid)
            self._soon()
            return
        try:
            self._by_hand().open(pid)
        except ProcessLookupError:
            self._loop.call_soon(self._told, pid)
        except OSError:
            self._missed(pid)

    def take(self, pid: int, pidfd: int) -> None:
        """Tell of the end of the process with that handle, which is ours from now on."""
        self._by_hand().take(pid, ROOM.move_up(pidfd))

    def handle(self, pid: int) -> int | None:
        """The handle on a process, if it is in the table of this program."""
        return None if self._near is None else self._near.get(pid)

    def forget(self, pid: int) -> None:
        """Tell nothing more of a process, and close the handle on it."""
        if self._near is not None and pid in self._near:
            self._near.forget(pid)
        elif self._far is not None:
            self._far.forget(pid)
            self._soon()

    def are_coming(self) -> bool:
        """Whether something is going to be told already."""
        return bool(self._ended) or any(each is not None and each.tell() for each in (self._far, self._near))

    def look(self) -> None:
        """See to it that ends of those that have just been opened are told."""
        if self._far is not None and self._far.waits:
            self._far.hurry()

    def close(self) -> None:
        """Tell nothing more, and give all handles up."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._ended.clear()
        both = self._far, self._near
        self._far = self._near = None  # a signal handler may ask at any moment
        for each in both:
            if each is not None:
                self._loop.remove_reader(each.epoll.fileno())
                each.close()

    def _begin(self) -> None:
        soon: Callable[..., object] = self._loop.call_soon
        here = partial(soon, self._told), partial(soon, self._missed), partial(soon, self._be_alone)
        try:
            self._far = self._heard(PidfdThread(*here))
        except (OSError, RuntimeError):  # no descriptor, or no thread
            self._alone = True

    def _heard(self, pidfds: _Some) -> _Some:
        try:
            self._loop.add_reader(pidfds.epoll.fileno(), self._readable, pidfds)
        except OSError:  # a user may have only so many in epolls
            pidfds.close()
            raise
        return pidfds

    def _be_alone(self) -> None:
        far, self._far, self._alone = self._far, None, True
        if far is not None:
            pids = far.undone()
            self._loop.remove_reader(far.epoll.fileno())
            far.close()
            for pid in pids:
                self.open(pid)

    def _by_hand(self) -> Pidfds:
        if self._near is None:
            self._near = self._heard(Pidfds())
        return self._near

    def _soon(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(_LATER_SECONDS, self._hurry)

    def _hurry(self) -> None:
        self._timer = None
        self.look()

    def _readable(self, pidfds: Pidfds) -> None:
        # What is told once is not told again, so it is kept.
        idle = not self._ended
        self._ended += pidfds.ended()
        if idle:
            self._go_on()

    def _go_on(self) -> None:
        over = self._loop.time() + _TURN_SECONDS
        try:
            while self._ended and self._loop.time() < over:
                self._told(self._ended.popleft())
        finally:
            if self._ended:
                self._loop.call_soon(self._go_on)
