"""The statsd protocol: what a datagram holds, and how much is sent."""

from __future__ import annotations

import random

import pytest

from circus.plugins.statsd import StatsdClient, amount


class Kept(StatsdClient):
    """Keeps what would be sent."""

    def __init__(self, **settings: object) -> None:
        super().__init__("localhost", 8125, **settings)  # type: ignore[arg-type]
        self.sent: list[str] = []

    def _deliver(self, datagram: bytes) -> None:
        self.sent.append(datagram.decode())


def test_the_kinds_of_values() -> None:
    client = Kept(prefix="circus.app")
    client.increment("a")
    client.increment("a", 3)
    client.decrement("a")
    client.decrement("a", -2)
    client.gauge("b", 1.5)
    client.timed("c", 12)
    client.send("d", "x|s")
    assert client.sent == [
        *("circus.app.a:1|c", "circus.app.a:3|c", "circus.app.a:-1|c", "circus.app.a:-2|c"),
        *("circus.app.b:1.5|g", "circus.app.c:12|ms", "circus.app.d:x|s"),
    ]


def test_without_a_prefix_the_bucket_is_the_name() -> None:
    client = Kept()
    client.increment("a")
    assert client.sent == ["a:1|c"]


def test_what_would_end_the_name_is_replaced() -> None:
    client = Kept(prefix="app")
    client.increment("plugin:x|y@z w\n.start")
    assert client.sent == ["app.plugin_x_y_z_w_.start:1|c"]


def test_a_part_is_sent_and_says_so() -> None:
    random.seed(42)
    client = Kept(sample_rate=0.25)
    for _ in range(4000):
        client.increment("a")
    assert set(client.sent) == {"a:1|c|@0.25"}
    assert 800 < len(client.sent) < 1200


def test_gauges_are_always_sent_as_they_are() -> None:
    client = Kept(sample_rate=0.001)
    for _ in range(10):
        client.gauge("a", 1)
    assert client.sent == ["a:1|g"] * 10


def test_one_call_may_have_a_rate_of_its_own() -> None:
    client = Kept(sample_rate=0.0001)
    client.send("a", "1|c", sample_rate=1)
    assert client.sent == ["a:1|c"]


@pytest.mark.parametrize(
    ("told", "number"), [(1.5, 1.5), (3, 3), ("2.00K", 2048), ("512B", 512), ("N/A", None), (None, None), (True, None)]
)
def test_numbers_of_the_reply_to_stats(told: object, number: float | None) -> None:
    assert amount(told) == number
