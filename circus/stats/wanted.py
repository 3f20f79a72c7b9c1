"""What of one watcher somebody listens to.

Knows topics and subscriptions, nothing of samples. Invariant: it is made anew when subscriptions change.
"""

from __future__ import annotations

from circus.runtime.subscriptions import Subscriptions
from circus.wire import topics


class Wanted:
    """What of one watcher is subscribed: topics that are not are None."""

    __slots__ = ("pids", "sample", "stat", "stem")

    def __init__(self, subscriptions: Subscriptions, watcher: str) -> None:
        sample, stat = topics.sample_topic(watcher), topics.stat_topic(watcher)
        self.stem = stat + b"."
        self.sample = sample if subscriptions.wants(sample) else None
        self.stat = stat if subscriptions.wants(stat) else None
        self.pids = subscriptions.wants_below(self.stem)

    def __bool__(self) -> bool:
        return self.sample is not None or self.stat is not None or self.pids
