"""Who listens to what, from the messages of an XPUB."""

import pytest
import zmq

from circus.runtime import subscriptions as subscriptions_module
from circus.runtime.subscriptions import Subscriptions


def told(*messages, on_change=None):
    subscriptions = Subscriptions(on_change)
    for message in messages:
        subscriptions([zmq.Frame(message)])
    return subscriptions


@pytest.mark.parametrize("prefix", [b"", b"s", b"stat.", b"stat.web.1", b"stat.web.12"])
def test_a_prefix_wants_the_topics_below_it(prefix):
    assert told(b"\x01" + prefix).wants(b"stat.web.12")


@pytest.mark.parametrize("prefix", [b"stat.web.123", b"sample.", b"watcher."])
def test_other_topics_are_not_wanted(prefix):
    assert not told(b"\x01" + prefix).wants(b"stat.web.12")


def test_nothing_is_wanted_by_nobody():
    assert not told().wants(b"stat.")
    assert not told().wants_below(b"")


@pytest.mark.parametrize("prefix", [b"", b"s", b"stat.", b"stat.web.1"])
def test_a_stem_is_wanted_when_something_below_it_is(prefix):
    assert told(b"\x01" + prefix).wants_below(b"stat.")


def test_a_prefix_is_wanted_until_its_last_subscriber_leaves():
    subscriptions = told(b"\x01stat.", b"\x01stat.", b"\x00stat.")
    assert subscriptions.wants(b"stat.web")
    subscriptions([zmq.Frame(b"\x00stat.")])
    assert not subscriptions.wants(b"stat.web")


def test_subscribers_are_counted_by_prefix():
    assert told(b"\x01stat.", b"\x01stat.", b"\x01").counts() == {"stat.": 2, "": 1}


def test_a_change_is_told_for_the_first_and_the_last():
    changes = []
    told(
        b"\x01a",
        b"\x01a",
        b"\x00a",
        b"\x00a",
        on_change=lambda prefix, wanted: changes.append((prefix, wanted)),
    )
    assert changes == [(b"a", True), (b"a", False)]


def test_leaving_what_was_never_joined_changes_nothing():
    subscriptions = told(b"\x00a", b"\x01a")
    assert subscriptions.counts() == {"a": 1}


@pytest.mark.parametrize("message", [b"", b"\x02a", b"hello"])
def test_messages_that_are_no_subscription_are_ignored(message):
    assert len(told(message)) == 0


def test_beyond_a_limit_everything_is_wanted_until_there_are_fewer_again():
    most = subscriptions_module.MOST_PREFIXES
    names = [b"stat.%d." % number for number in range(most + 1)]
    subscriptions = told(*[b"\x01" + name for name in names])
    assert subscriptions.wants(b"anything")
    assert subscriptions.wants_below(b"sample.")
    assert (len(subscriptions), subscriptions.total) == (most + 1, most + 1)
    assert [each for each in subscriptions if each.startswith(b"log")] == [b"log."]
    assert len(subscriptions.counts()) == most
    subscriptions([zmq.Frame(b"\x00" + names[0])])
    assert not subscriptions.wants(b"anything")
    assert not subscriptions.wants(names[0])
    assert subscriptions.wants(names[1] + b"7")


def test_long_prefixes_are_shown_cut():
    (shown,) = told(b"\x01" + b"x" * 60_000).counts()
    assert shown == "x" * subscriptions_module.LONGEST_SHOWN
