"""Names inside topics, where names may hold dots."""

from __future__ import annotations

import pytest

from circus.wire import topics


@pytest.mark.parametrize(
    ("topic", "subtopic", "parts"),
    [
        (b"stat.web", None, ("web", None)),
        (b"stat.web.42", 42, ("web", "42")),
        (b"stat.my.app.42", 42, ("my.app", "42")),
        (b"stat.my.app", None, ("my.app", None)),
        (b"stat.app.42", None, ("app.42", None)),
        (b"stat.app.42.42", 42, ("app.42", "42")),
        (b"stat.sockets.9", "9", ("sockets", "9")),
    ],
)
def test_the_body_tells_whether_a_stat_topic_ends_in_a_subtopic(
    topic: bytes, subtopic: object, parts: tuple[str, str | None]
) -> None:
    assert topics.split_stat(topic, subtopic) == parts


@pytest.mark.parametrize("name", ["web", "my.app", "Other One"])
def test_stat_topics_are_split_as_they_were_made(name: str) -> None:
    assert topics.split_stat(topics.stat_topic(name, 42), 42) == (topics.res_name(name), "42")
    assert topics.split_stat(topics.stat_topic(name), None) == (topics.res_name(name), None)


def test_the_action_of_a_watcher_topic_follows_the_last_dot() -> None:
    assert topics.split_action(topics.watcher_topic("my.app", "spawn")) == ("my.app", "spawn")


def test_topics_carry_the_name_of_0_19() -> None:
    assert topics.sample_topic("Other One") == b"sample.other_one"
    assert topics.sample_topic(None) == b"sample.-"


def test_prefixes_match_in_both_directions() -> None:
    assert topics.wanted_below([b"stat.web.42"], b"stat.")
    assert topics.wanted_below([b""], b"stat.")
    assert not topics.wanted_below([b"sample."], b"stat.")
    assert topics.wanted([b"s"], b"stat.web")
    assert not topics.wanted([b"stat.web.4"], b"stat.web")
