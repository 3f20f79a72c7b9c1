"""The program that this daemon is: trying its present files in a child, and executing them in place of itself.

Owns the words of both and what a child that was tried has said. Refuses to know what is handed over: that is a descriptor
here. Invariants: an exec that fails leaves this program as it was; nothing is inherited through it but what was named.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final

from circus.exc import CircusError
from circus.runtime.argv import Command
from circus.runtime.fds import devnull
from circus.runtime.reaper import Reaper
from circus.runtime.spawn import Stdio, spawn

ENV: Final = "CIRCUSD_HANDOVER"
"""Names the descriptor to take over from, for the program that is executed."""
TRIAL: Final = "--trial"
"""The option with which a child only tries; who does not know it must not begin to run."""
TRIAL_SECONDS: Final = 60.0
_MOST_SAID: Final = 64 * 1024


class Interrupted(CircusError):
    """A signal wants to be handled first."""


class Image:
    """How this program was started.

    Args:
        words: what followed the interpreter.
        hold_signals: blocks the signals of the daemon; False when one is on its way to be handled, which none blocks.
        let_signals: the opposite.
    """

    def __init__(
        self,
        words: Sequence[str],
        hold_signals: Callable[[], bool] = lambda: True,
        let_signals: Callable[[], None] = lambda: None,
    ) -> None:
        self.words = tuple(words)
        self.hold_signals, self.let_signals = hold_signals, let_signals

    async def tried(self, handover: int, reaper: Reaper) -> None:
        """Let the files that are there now read what would be handed over to them, in a child.

        Raises:
            CircusError: they cannot be used, and why.
        """
        said = os.memfd_create("circus-trial")
        try:
            try:
                pid = spawn(
                    Command((sys.executable, *self.words, TRIAL, str(handover)), dict(os.environ), None, None),
                    Stdio(stdin=devnull(), stdout=said, stderr=said),
                    inherit=[handover],
                )
            except CircusError as error:
                raise CircusError(f"the program cannot be started again: {error}") from error
            status = await _end_of(pid, reaper)
            if status is None:
                raise CircusError(f"the program that was tried in a child was not done after {TRIAL_SECONDS:g} s")
            if status != 0:
                text = os.pread(said, _MOST_SAID, 0).decode("utf-8", "replace").strip()
                last = text.rpartition("\n")[2] or f"it ended with {status}"
                raise CircusError(f"the program as it is now cannot take over: {last}")
        finally:
            os.close(said)

    def execute(self, handover: int, inherit: Sequence[int]) -> None:
        """Become the program as it is now; returns only by an error, and nothing has changed then.

        Raises:
            OSError: the system does not execute it.
        Interrupted: a signal came at the last moment.
        """
        flipped: list[int] = []
        try:
            for fd in (handover, *inherit):
                os.set_inheritable(fd, True)
                flipped.append(fd)
            for output in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    output.flush()
            # Other threads block no signals; one that such a thread has got would be lost now.
            if not self.hold_signals():
                raise Interrupted("signals come all the time")
            words = [sys.executable, *self.words]
            os.execve(sys.executable, words, {**os.environ, ENV: str(handover)})  # noqa: S606 -- ourselves
        finally:
            for fd in flipped:
                os.set_inheritable(fd, False)


def handed_descriptor() -> int | None:
    """The descriptor that this program is to take over from; None when it was started by itself. Asked once."""
    text = os.environ.pop(ENV, None)
    return int(text) if text is not None and text.isdecimal() else None


async def _end_of(pid: int, reaper: Reaper) -> int | None:
    """The exit status of a child as a shell tells it; None when it had to be killed."""
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    reaper.watch(pid, lambda _, status: None if ended.done() else ended.set_result(status.as_shell))
    try:
        async with asyncio.timeout(TRIAL_SECONDS):
            return await asyncio.shield(ended)
    except TimeoutError:
        return None
    finally:
        if not ended.done():
            reaper.send_signal(pid, signal.SIGKILL)
