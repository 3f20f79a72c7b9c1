"""Signals to circusd. Installed before anything is started, so that SIGTERM works at every moment.

circusd installs it, and an arbiter that is started in a program without a loop for as long as it runs; in the loop of a
program the signals are the program's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Awaitable, Iterator
from typing import Any, Final, NamedTuple, Protocol

from circus.core.origin import Origin
from circus.events.cause import CURRENT
from circus.wire.events import Cause

logger = logging.getLogger("circus")

SIGNALS: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGWINCH,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


class Signalled(Protocol):
    """What signals do to the arbiter."""

    @property
    def quitting(self) -> bool: ...
    def quit(self) -> Awaitable[None]: ...
    def hasten(self, origin: Origin) -> None: ...
    def reload_soon(self) -> None: ...
    def reopen_streams(self) -> None: ...
    def upgrade_soon(self) -> None: ...


@contextlib.contextmanager
def taken_over(loop: asyncio.AbstractEventLoop, arbiter: Signalled) -> Iterator[None]:
    """Signals for a program that is nothing but an arbiter for a while; elsewhere than in the main thread, nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    handler = SysHandler(Commanded(loop, arbiter))
    try:
        yield
    finally:
        handler.stop()
        for signum, was in before.items():
            # None is a handler that is not Python's; it cannot be put back.
            signal.signal(signum, signal.SIG_DFL if was is None else was)


class Commanded(NamedTuple):
    """What a handler of signals needs, as a controller has it."""

    loop: asyncio.AbstractEventLoop
    arbiter: Signalled


class SysHandler:
    """Takes the signals over when it is made. One method per signal, named `handle_<signal>`.

    Attributes:
        SIGNALS: those that are taken over.
        SIG_NAMES: the names of all signals of this system, as they are in `handle_<signal>`.
    """

    SIGNALS = SIGNALS
    SIG_NAMES: Final = {int(signum): signum.name.removeprefix("SIG").lower() for signum in signal.Signals}

    def __init__(self, controller: Commanded | Any) -> None:
        self.controller = controller
        self._name = ""
        self._on_their_way = 0
        for signum in SIGNALS:
            signal.signal(signum, self._caught)

    def stop(self) -> None:
        """Give them back to their defaults."""
        for signum in SIGNALS:
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)

    def _caught(self, signum: int, _: object) -> None:
        # Not by the loop's own handler, which loses signals when very many come at once. The loop may be closed already.
        with contextlib.suppress(RuntimeError):
            self.controller.loop.call_soon_threadsafe(self._arrived, signum)
            self._on_their_way += 1

    def _arrived(self, signum: int) -> None:
        self._on_their_way -= 1
        self.signal(signum)

    def hold(self) -> bool:
        """Let signals wait in the kernel; False, and they do not, when one has left it and was not handled yet."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        if self._on_their_way == 0:
            return True
        self.let()
        return False

    def let(self) -> None:
        """Let them come again."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def signal(self, sig: int, frame: object = None) -> None:
        """Handle a signal."""
        del frame
        self._name = signal.Signals(sig).name
        logger.info("Got signal %s", self._name)
        getattr(self, f"handle_{self.SIG_NAMES[sig]}")()

    def quit(self) -> None:
        """Stop everything and leave; the second time without grace."""
        arbiter: Signalled = self.controller.arbiter
        if arbiter.quitting:
            logger.warning("%s again: no more grace", self._name)
            arbiter.hasten(Origin(kind="signal", name=self._name))
            return
        CURRENT.set(Cause(kind="signal", name=self._name))
        arbiter.quit()

    def reload(self) -> None:
        """Reload all watchers gracefully."""
        CURRENT.set(Cause(kind="signal", name=self._name))
        self.controller.arbiter.reload_soon()

    def handle_int(self) -> None:
        """Leave."""
        self.quit()

    def handle_term(self) -> None:
        """Leave."""
        self.quit()

    def handle_quit(self) -> None:
        """Leave."""
        self.quit()

    def handle_hup(self) -> None:
        """Reload."""
        self.reload()

    def handle_winch(self) -> None:
        """A terminal changed its size, which is nothing to us."""

    def handle_usr1(self) -> None:
        """Open the files of all streams anew, for who rotates them from outside."""
        self.controller.arbiter.reopen_streams()

    def handle_usr2(self) -> None:
        """Replace circusd by the program that is installed now."""
        CURRENT.set(Cause(kind="signal", name=self._name))
        self.controller.arbiter.upgrade_soon()
