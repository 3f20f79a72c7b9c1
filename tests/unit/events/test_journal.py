"""The journal: contiguous, bounded, and replayed from where a reader left off."""

import msgspec

from circus.events.journal import Journal
from circus.wire.events import Cause, Record


def record(seq, watcher="web", name="process.exited"):
    return Record(boot="b", seq=seq, previous=None, time=0.0, record=name, watcher=watcher, cause=Cause(kind="boot"))


def journal(count, size=100, **fields):
    made = Journal("b", size)
    for seq in range(1, count + 1):
        each = record(seq, **fields)
        made.append(each, msgspec.json.encode(each))
    return made


def seqs(bodies):
    return [msgspec.json.decode(body)["seq"] for body in bodies]


def test_an_empty_journal_has_nothing_and_says_where_it_will_begin():
    assert journal(0).replay() == ([], 1, 0)


def test_all_that_is_kept():
    bodies, first, following = journal(3).replay()
    assert (seqs(bodies), first, following) == ([1, 2, 3], 1, 3)


def test_only_what_came_after():
    bodies, _, following = journal(5).replay(since=3)
    assert (seqs(bodies), following) == ([4, 5], 5)


def test_the_oldest_go_and_the_reader_is_told():
    bodies, first, _ = journal(10, size=4).replay(since=2)
    assert (seqs(bodies), first) == ([7, 8, 9, 10], 7)


def test_a_limit_gives_the_oldest_and_the_place_to_go_on():
    made = journal(5)
    bodies, _, following = made.replay(limit=2)
    assert (seqs(bodies), following) == ([1, 2], 2)
    assert seqs(made.replay(since=following)[0]) == [3, 4, 5]


def test_by_watcher_without_case_and_the_arbiter_as_dash():
    made = Journal("b")
    for seq, watcher in enumerate(["Web", None, "api"], 1):
        each = record(seq, watcher=watcher)
        made.append(each, msgspec.json.encode(each))
    assert seqs(made.replay(watcher="WEB")[0]) == [1]
    assert seqs(made.replay(watcher="-")[0]) == [2]


def test_a_filter_still_moves_the_place_to_go_on():
    assert journal(4).replay(watcher="other")[2] == 4


def test_by_the_beginning_of_the_record_name():
    made = Journal("b")
    for seq, name in enumerate(["process.exited", "watcher.state"], 1):
        each = record(seq, name=name)
        made.append(each, msgspec.json.encode(each))
    assert seqs(made.replay(record="process.")[0]) == [1]


def test_a_since_from_the_future_gives_nothing_and_loses_nothing():
    assert journal(3).replay(since=99) == ([], 1, 99)
