"""Signals to circusd. Installed before anything is started, so that SIGTERM works at every moment.

Only circusd installs it; an embedded arbiter leaves the signals to its program.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Final, Protocol

logger = logging.getLogger("circus")

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGWINCH)


class Signalled(Protocol):
    """What signals do to the arbiter."""

    def quit_for(self, signal_name: str) -> None: ...
    def reload_for(self, signal_name: str) -> None: ...


class SignalHandler:
    """One method per signal, named `handle_<signal>`."""

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
        self._arbiter.quit_for(signum.name)

    handle_term = handle_int
    handle_quit = handle_int

    def handle_hup(self, signum: signal.Signals) -> None:
        """Reload all watchers gracefully."""
        self._arbiter.reload_for(signum.name)

    def handle_winch(self, _: signal.Signals) -> None:
        """A terminal changed its size, which is nothing to us."""
