"""What circusd-stats publishes once a second: a collector for each watcher, and one for the sockets.

Owns when one name is measured, and the stats of it in their order; refuses to know where pids come from. Invariant:
a name that nobody subscribed to is not measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from circus import logger
from circus.stats import aggregate, backlog

if TYPE_CHECKING:
    from circus.stats.streamer import StatsStreamer


class BaseStatsCollector:
    """Publishes what `collect_stats` yields, every `callback_time` seconds from `start` to `stop`.

    `io_loop` is an asyncio loop, that of the streamer unless given.
    """

    def __init__(
        self,
        streamer: StatsStreamer,
        name: str,
        callback_time: float = 1.0,
        io_loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.streamer = streamer
        self.name = name
        self.callback_time = callback_time
        self._loop = io_loop
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0

    def start(self) -> None:
        """Measure now, and from now on."""
        self.stop()
        loop = self._loop or self.streamer.loop
        self._loop, self._next = loop, loop.time()
        self._timer = loop.call_soon(self._tick)  # type: ignore[assignment] # a Handle, which is cancelled the same way

    def stop(self) -> None:
        """Measure no more. Stopping twice is harmless."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def collect_stats(self) -> Iterator[dict[str, Any]]:
        """The stats of one moment, each with its `subtopic`, and last the sums without one."""
        raise NotImplementedError

    def _tick(self) -> None:
        assert self._loop is not None
        self._next = max(self._next + self.callback_time, self._loop.time())
        self._timer = self._loop.call_at(self._next, self._tick)
        publisher = self.streamer.publisher
        if not publisher.wants(self.name):
            self.streamer.unwanted(self.name)
            return
        try:
            for stat in self.collect_stats():
                publisher.publish(self.name, stat)
        except Exception:  # the next second must come, whatever this one met
            logger.exception("the stats of %s failed", self.name)


class WatcherStatsCollector(BaseStatsCollector):
    """The processes of one watcher; as `circus` those of Circus itself, which have a `name`."""

    def collect_stats(self) -> Iterator[dict[str, Any]]:
        names = self.streamer.get_circus_pids() if self.name == self.streamer.own_name else {}
        infos = self.streamer.read(self.name)
        for info in infos:
            yield info | {"subtopic": info["pid"], "name": names.get(info["pid"])}
        yield aggregate.averages(infos)


class SocketStatsCollector(BaseStatsCollector):
    """The sockets of circusd whose queue can be seen from here; nothing where there are none."""

    def collect_stats(self) -> Iterator[dict[str, Any]]:
        rows = backlog.queues(self.streamer.sockets)
        yield from rows
        if rows:
            yield {"addresses": [row["address"] for row in rows], "reads": sum(row["reads"] for row in rows)}
