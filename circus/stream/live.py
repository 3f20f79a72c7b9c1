"""Lines of output as they come, for those who subscribed to them.

Owns the limit of one watcher, so that one that floods leaves room for the others. Invariant: without a subscription
that names `log` nothing is split, encoded or sent.
"""

from __future__ import annotations

import time

from circus.events.allowance import Allowance
from circus.events.bus import Bus
from circus.stream.pipe import Pipe
from circus.stream.ring import split
from circus.wire.logs import LogLines, encode
from circus.wire.topics import log_topic

# Of one watcher: so many bytes of output a second, after so many at once.
RATE = 1 << 20
BURST = 1 << 20


class LiveLog:
    """Publishes what the processes of one watcher write, as `log.<watcher>.<wid>.<stream>`."""

    def __init__(self, watcher: str, life: str, bus: Bus) -> None:
        # A name from a file that is not UTF-8 can be sent only escaped.
        self._watcher = watcher.encode("utf-8", "backslashreplace").decode()
        self._life, self._bus = life, bus
        self._allowance = Allowance(RATE, BURST)

    def __call__(self, pipe: Pipe, data: bytes, seq: int) -> None:
        """Publish a chunk, whose first line has that number, if somebody asked for it."""
        sink = self._bus.sink
        if sink is None or not sink.log_prefixes:
            return
        topic = log_topic(self._watcher, pipe.wid, pipe.name)
        if not topic.startswith(sink.log_prefixes):
            return
        if not self._allowance.take(len(data)):
            sink.skip(topic)
            return
        told = LogLines(
            life=self._life,
            watcher=self._watcher,
            wid=pipe.wid,
            pid=pipe.pid,
            stream=pipe.name,
            time=time.time(),
            seq=seq,
            lines=split(data),
        )
        sink.send(topic, encode(told))
