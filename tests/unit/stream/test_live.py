"""Lines on their way to subscribers."""

from __future__ import annotations

import json
from typing import Any

from circus.events.bus import Bus
from circus.runtime.clock import SystemClock
from circus.stream import live
from circus.stream.live import LiveLog


class Source:
    pid, wid, name = 4242, 3, "stdout"


class Collected:
    """A sink that keeps what it gets."""

    def __init__(self, *prefixes: bytes) -> None:
        self.log_prefixes = prefixes
        self.sent: list[tuple[bytes, Any]] = []
        self.skipped: list[bytes] = []

    def wants(self, topic: bytes) -> bool:
        return topic.startswith(self.log_prefixes)

    def send(self, topic: bytes, body: bytes) -> None:
        self.sent.append((topic, json.loads(body)))

    def skip(self, topic: bytes) -> None:
        self.skipped.append(topic)


def told(sink: Collected | None, *chunks: bytes) -> None:
    bus = Bus(SystemClock())
    bus.sink = sink
    subject = LiveLog("Web One", "5eed", bus)
    for number, chunk in enumerate(chunks):
        subject(Source(), chunk, 10 * number)  # type: ignore[arg-type]  # as much of a pipe as is needed


def test_a_chunk_is_one_message_with_the_name_as_configured() -> None:
    sink = Collected(b"log.")
    told(sink, b"a\n\xff\n", b"b\n")
    (topic, body), (_, second) = sink.sent
    assert topic == b"log.web_one.3.stdout"
    assert isinstance(body.pop("time"), float)
    assert body == {
        "life": "5eed", "watcher": "Web One", "wid": 3, "pid": 4242, "stream": "stdout", "seq": 0, "lines": ["a", "\ufffd"],
    }  # fmt: skip
    assert (second["seq"], second["lines"]) == (10, ["b"])


def test_a_name_that_is_no_text_is_escaped() -> None:
    sink, bus = Collected(b"log."), Bus(SystemClock())
    bus.sink = sink
    LiveLog("caf\udce9", "5eed", bus)(Source(), b"a\n", 0)  # type: ignore[arg-type]  # as above
    ((topic, body),) = sink.sent
    assert (topic, body["watcher"]) == (b"log.caf\\udce9.3.stdout", "caf\\udce9")


def test_nothing_happens_without_a_sink_or_a_subscription_that_fits() -> None:
    told(None, b"a\n")
    for sink in (Collected(), Collected(b"log.other."), Collected(b"log.web_one.3.stderr")):
        told(sink, b"a\n")
        assert not sink.sent
        assert not sink.skipped


def test_a_flood_is_cut_off_and_counted() -> None:
    sink = Collected(b"log.web_one.3.")
    chunk = b"x" * 65535 + b"\n"
    told(sink, *[chunk] * 40)
    assert live.BURST // len(chunk) <= len(sink.sent) < 40
    assert len(sink.sent) + len(sink.skipped) == 40
