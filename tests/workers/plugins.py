"""Plugins as other people write them: they report to the control endpoint what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from circus.plugins import CircusPlugin


class Reporter(CircusPlugin):
    """Casts `report` with everything that happens to it; the event `ask` makes it call `list`."""

    name = "reporter"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.begun = 0

    def handle_init(self) -> None:
        self.begun += 1
        self.loop.call_soon(lambda: self.report("ticking", config=self.config, check_delay=self.check_delay))

    def handle_recv(self, data: Sequence[bytes]) -> None:
        watcher, action, body = self.split_data(data)
        if action == "break":
            raise ValueError("this event cannot be handled")
        if action == "leave":
            raise SystemExit
        answer = self.call("list") if action == "ask" else None
        self.report("event", watcher=watcher, action=action, body=self.load_message(body), answer=answer)

    def handle_stop(self) -> None:
        self.report("stopped", begun=self.begun)

    def report(self, what: str, **told: Any) -> None:
        self.cast("report", what=what, **told)


class Impatient(Reporter):
    """Does not wait long for circusd."""

    call_timeout = 0.2

    def handle_recv(self, data: Sequence[bytes]) -> None:
        try:
            self.call("list")
        except Exception as error:  # told as it is
            self.report("failed", error=f"{type(error).__name__}: {error}")


class Tasks(Reporter):
    """Has a task of its own in its loop, which is still there when it is stopped."""

    def handle_init(self) -> None:
        super().handle_init()
        self.forever = self.loop.create_task(asyncio.sleep(3600))


class Broken(CircusPlugin):
    """Cannot be made."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise ValueError("no such option")


class Unstarted(Reporter):
    """Cannot be started."""

    def handle_init(self) -> None:
        raise ValueError("nothing to initialize")
