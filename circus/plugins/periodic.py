"""A plugin that looks at something again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from circus.exc import CircusError
from circus.plugins.base import CircusPlugin
from circus.plugins.options import Options
from circus.runtime.periodic import PeriodicCallback


class PeriodicPlugin(CircusPlugin):
    """A plugin that calls its `look_after`, which may be a coroutine function, every `loop_rate` seconds."""

    default_loop_rate = 60.0

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.loop_rate = Options(config).number("loop_rate", self.default_loop_rate, above=0)
        self.period: PeriodicCallback | None = None

    def handle_init(self) -> None:
        self.period = PeriodicCallback(self.look_after, self.loop_rate * 1000, loop=self.loop)
        self.period.start()

    def handle_stop(self) -> None:
        if self.period is not None:
            self.period.stop()
        super().handle_stop()

    def handle_recv(self, data: Sequence[bytes]) -> None:
        """Events do not matter here."""

    def look_after(self) -> Any:
        """What is done each time."""
        raise NotImplementedError


def answered(reply: dict[str, Any]) -> dict[str, Any]:
    """A reply of circusd that is none of an error, which is raised as CircusError: the timer logs it in one line."""
    if reply.get("status") == "error":
        raise CircusError(f"circusd says: {reply.get('reason')}")
    return reply
