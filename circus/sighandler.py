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
from typing import Final, Protocol

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


@contextlib.contextmanager
def taken_over(loop: asyncio.AbstractEventLoop, arbiter: Signalled) -> Iterator[None]:
    """Signals for a program that is nothing but an arbiter for a while; elsewhere than in the main thread, nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    handler = SysHandler(loop, arbiter)
    handler.install()
    try:
        yield
    finally:
        handler.uninstall()
        for signum, was in before.items():
            # None is a handler that is not Python's; it cannot be put back.
            signal.signal(signum, signal.SIG_DFL if was is None else was)


class SysHandler:
    """One method per signal, named `handle_<signal>`."""

    SIGNALS = SIGNALS
    SIG_NAMES: Final = {int(signum): signum.name for signum in SIGNALS}

    def __init__(self, loop: asyncio.AbstractEventLoop, arbiter: Signalled) -> None:
        self._loop, self._arbiter = loop, arbiter

    def install(self) -> None:
        """Take the signals over."""
        for signum in SIGNALS:
            self._loop.add_signal_handler(signum, self._handle, signum)

    def uninstall(self) -> None:
        """Give them back to their defaults."""
        for signum in SIGNALS:
            self._loop.remove_signal_handler(signum)

    def _handle(self, signum: signal.Signals) -> None:
        logger.info("Got signal %s", signum.name)
        getattr(self, f"handle_{signum.name.removeprefix('SIG').lower()}")(signum)

    def handle_int(self, signum: signal.Signals) -> None:
        """Stop everything and leave; the second time without grace."""
        if self._arbiter.quitting:
            logger.warning("%s again: no more grace", signum.name)
            self._arbiter.hasten(Origin(kind="signal", name=signum.name))
            return
        CURRENT.set(Cause(kind="signal", name=signum.name))
        self._arbiter.quit()

    handle_term = handle_int
    handle_quit = handle_int

    def handle_hup(self, signum: signal.Signals) -> None:
        """Reload all watchers gracefully."""
        CURRENT.set(Cause(kind="signal", name=signum.name))
        self._arbiter.reload_soon()

    def handle_winch(self, _: signal.Signals) -> None:
        """A terminal changed its size, which is nothing to us."""

    def handle_usr1(self, _: signal.Signals) -> None:
        """Open the files of all streams anew, for who rotates them from outside."""
        self._arbiter.reopen_streams()

    def handle_usr2(self, _: signal.Signals) -> None:
        """Means nothing yet; its default would end the daemon and leave its workers to nobody."""
