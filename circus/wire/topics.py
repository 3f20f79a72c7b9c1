"""Topics of the events and stats channels, and which subscriptions mean that somebody listens.

Topics carry the lower-case underscore name of circus 0.19 (`res_name`), which may hold dots; consumers take watcher
and record from the body. Subscriptions are prefixes and match both ways: `''`, `s`, `stat.` and `stat.web.12` all
ask for `stat.web.12`.
"""

from __future__ import annotations

from collections.abc import Iterable


def res_name(watcher: str) -> str:
    """The name of a watcher inside a topic."""
    return watcher.lower().replace(" ", "_")


def watcher_topic(watcher: str, action: str) -> bytes:
    """`watcher.<name>.<action>`: the events of circus 0.19."""
    return f"watcher.{res_name(watcher)}.{action}".encode()


def lifecycle_topic(watcher: str | None, record: str) -> bytes:
    """`lifecycle.<name>.<record>`; the arbiter's own carry `-`."""
    return f"lifecycle.{'-' if watcher is None else res_name(watcher)}.{record}".encode()


def sample_topic(watcher: str | None) -> bytes:
    """`sample.<name>`; the daemon's own sample is `sample.-`."""
    return f"sample.{'-' if watcher is None else res_name(watcher)}".encode()


def stat_topic(watcher: str, subtopic: int | str | None = None) -> bytes:
    """`stat.<name>` or `stat.<name>.<pid>`: the stats of circus 0.19."""
    name = res_name(watcher)
    return (f"stat.{name}" if subtopic is None else f"stat.{name}.{subtopic}").encode()


def log_topic(watcher: str, wid: int, stream: str) -> bytes:
    """`log.<name>.<wid>.<stream>`: the lines of one output."""
    return f"log.{res_name(watcher)}.{wid}.{stream}".encode()


def wanted(subscriptions: Iterable[bytes], topic: bytes) -> bool:
    """True when a message of exactly this topic would reach a subscriber."""
    return any(topic.startswith(prefix) for prefix in subscriptions)


def wanted_below(subscriptions: Iterable[bytes], stem: bytes) -> bool:
    """True when some topic that begins with `stem` could reach a subscriber."""
    return any(stem.startswith(prefix) or prefix.startswith(stem) for prefix in subscriptions)


def split_action(topic: bytes) -> tuple[str, str]:
    """(`res_name`, action) of a `watcher.` topic, right also when the name holds dots."""
    _, _, rest = topic.decode().partition(".")
    name, _, action = rest.rpartition(".")
    return name, action


def split_stat(topic: bytes, subtopic: object) -> tuple[str, str | None]:
    """(`res_name`, subtopic or None) of a `stat.` topic. Names may hold dots, so only the body tells whether the last
    part is a subtopic: `subtopic` is what it carries under that key.
    """
    name = topic.decode().partition(".")[2]
    if subtopic is not None and name.endswith(f".{subtopic}"):
        return name.removesuffix(f".{subtopic}"), str(subtopic)
    return name, None
