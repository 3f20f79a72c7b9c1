"""Following the journal of a daemon from outside.

Invariant: no record is told twice, and what was missed is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from circus.exc import MessageError

if TYPE_CHECKING:
    from circus.consumer import CircusConsumer


class Trail:
    """The records that a client has not seen yet, asked for page by page, over gaps and restarts of the daemon.

    `lost` is how many the daemon no longer kept when they were last asked for.
    """

    def __init__(self, call: Callable[[Mapping[str, Any]], Mapping[str, Any]], request: dict[str, Any]) -> None:
        self.lost = 0
        self._call = call
        self._request = request
        self._boot: str | None = None

    def news(self) -> Iterator[Mapping[str, Any]]:
        """Everything since the last time; MessageError when the daemon refuses the request."""
        props = self._request["properties"]
        self.lost = 0
        while True:
            reply = self._call(self._request)
            if reply.get("status") != "ok":
                raise MessageError(str(reply.get("reason")))
            if self._boot is not None and reply["boot"] != self._boot:
                # A new daemon, whose records are counted from the beginning.
                self._boot, props["since"] = reply["boot"], 0
                continue
            self._boot = reply["boot"]
            if props["since"]:
                self.lost += max(reply["first"] - 1 - props["since"], 0)
            yield from reply["records"]
            if reply["next"] == props["since"]:
                return
            props["since"] = reply["next"]


def rings(consumer: CircusConsumer) -> Iterator[None]:
    """A doorbell: yields when there may be new records. What they say is asked from the journal, which loses none.

    The subscription takes a moment to reach the daemon, so it rings a few times by itself first.
    """
    for pause in (0.05, 0.2, 1.0):
        consumer.receive(pause)
        yield
    while True:
        if consumer.receive(3600.0) is not None:
            while consumer.receive(0.0) is not None:
                pass
            yield
