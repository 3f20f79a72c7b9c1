"""The journal: contiguous, bounded, and replayed from where a reader left off."""

import msgspec
import pytest

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


@pytest.mark.parametrize("size", [1, 63, 64, 65, 128, 150])
@pytest.mark.parametrize("count", [1, 63, 64, 65, 128, 300])
def test_it_is_a_run_of_the_newest_whatever_is_packed(size, count):
    made = journal(count, size)
    oldest = max(count - size, 0) + 1
    assert (made.first, made.last) == (oldest, count)
    assert seqs(made.replay()[0]) == seqs(body for _, _, body in made.kept()) == list(range(oldest, count + 1))
    for since in range(count + 2):
        bodies, first, following = made.replay(since, limit=70)
        begin = max(since + 1, oldest)
        assert seqs(bodies) == list(range(begin, min(begin + 70, count + 1)))
        assert (first, following) == (oldest, max(since, min(begin + 69, count)))
    for seq in range(count + 2):
        body = made.find(seq)
        assert (None if body is None else seqs([body])) == ([seq] if oldest <= seq <= count else None)


def test_another_journal_goes_on_with_it():
    before, after = journal(200, 150), Journal("b", 150)
    after.take_over(before.kept(), before.last + 1)
    assert (after.first, after.last, after.kept()) == (before.first, before.last, before.kept())
    after.append(record(201), b'{"seq":201}')
    assert seqs(after.replay(since=199)[0]) == [200, 201]


def test_smaller_and_larger_again_brings_nothing_back():
    made = journal(200, 150)
    made.resize(10)
    assert (made.first, len(made.kept())) == (191, 10)
    made.resize(150)
    assert (made.first, len(made.kept())) == (191, 10)


def test_much_of_the_same_takes_little():
    made = Journal("b")
    bodies = []
    for seq in range(1, 6401):
        each = record(seq, watcher="w")
        bodies.append(msgspec.json.encode(each))
        made.append(each, bodies[-1])
    assert sum(len(part.lines) for part in made._packed) < sum(map(len, bodies)) / 5
    assert made.kept() == [("w", "process.exited", body) for body in bodies]
