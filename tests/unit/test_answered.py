"""Which of the requests that are sent again are done, and which are answered without it."""

import json

import msgspec
import pytest

from circus.answered import MOST_BYTES, MOST_REPLIES, UNSURE, Answered
from circus.commands import get_commands
from circus.handover import AnsweredRecord
from circus.jobs import Job, cause_of
from circus.wire.messages import parse_request

COMMANDS = get_commands()


def job(command="incr", number=1, seconds=None, route=b"me", **more):
    request = parse_request(json.dumps({"command": command, "id": f"id-{number}", **more}).encode())
    request = msgspec.structs.replace(request, again=seconds)
    return Job(COMMANDS[command], request, [route], cause_of(COMMANDS[command], request, None), 0.0)


def reason(body):
    return json.loads(body).get("reason")


@pytest.fixture
def answered():
    """It began at 100, and was upgraded at 200."""
    made = Answered()
    made.serve(100.0)
    made.serve(200.0)
    return made


def test_what_is_sent_for_the_first_time_is_done(answered):
    answered.keep(job(), b"reply", 150.0)
    assert answered.settled(job(), ()) is None


def test_what_was_answered_is_answered_the_same(answered):
    answered.keep(job(), b"reply", 150.0)
    assert answered.settled(job(seconds=60.0), ()) == b"reply"


def test_the_same_id_of_another_command_is_another_request(answered):
    answered.keep(job(), b"reply", 150.0)
    assert answered.settled(job("decr", seconds=60.0), ()) is None


@pytest.mark.parametrize(
    ("seconds", "done"), [(0.0, True), (99.0, True), (100.0, False), (101.0, False), (1e300, False)]
)
def test_what_may_have_been_sent_to_another_before_is_not_done(answered, seconds, done):
    body = answered.settled(job(seconds=seconds), ())
    assert (body is None) is done
    if body is not None:
        assert reason(body) == UNSURE
        assert json.loads(body)["id"] == "id-1"


def test_what_only_reads_is_done_as_often_as_it_is_asked(answered):
    answered.keep(job("list"), b"reply", 150.0)
    assert answered.settled(job("list", seconds=1e6), ()) is None
    assert answered.handed().replies == []


def test_what_makes_records_of_its_own_is_no_reading(answered):
    answered.keep(job("record"), b"reply", 150.0)
    assert answered.settled(job("record", seconds=1.0), ()) == b"reply"


def test_the_answer_of_what_is_under_way_goes_to_who_asked_last(answered):
    going = job(route=b"before")
    assert answered.settled(job(seconds=1e6, route=b"after"), [job(number=2), going]) == b""
    assert going.route == [b"after"]


def test_casts_and_what_has_no_id_cannot_be_asked_for(answered):
    answered.keep(job(msg_type="cast"), b"reply", 150.0)
    answered.keep(job(id=None), b"reply", 150.0)
    assert answered.handed().replies == []


def test_with_the_oldest_replies_goes_the_knowledge_of_their_time(answered):
    for number in range(MOST_REPLIES + 1):
        answered.keep(job(number=number), b"reply", 150.0 + number / 1000)
    assert len(answered.handed().replies) == MOST_REPLIES
    assert answered.settled(job(number=1, seconds=60.0), ()) == b"reply"
    assert reason(answered.settled(job(number=0, seconds=60.0), ())) == UNSURE
    assert answered.settled(job(number="new", seconds=49.0), ()) is None


def test_large_replies_make_room(answered):
    for number in range(4):
        answered.keep(job(number=number), b"x" * (MOST_BYTES // 2), 150.0 + number)
    assert [each[1] for each in answered.handed().replies] == [b'"id-2"', b'"id-3"']
    answered.keep(job(number=3), b"small", 160.0)
    answered.keep(job(number=4), b"x" * (MOST_BYTES // 2 - 5), 161.0)
    assert len(answered.handed().replies) == 3


def test_the_next_program_goes_on_with_it(answered):
    answered.keep(job(), b"reply", 150.0)
    record = msgspec.convert(msgspec.to_builtins(answered.handed(), builtin_types=(bytes,)), AnsweredRecord)
    following = Answered()
    following.take_over(record)
    following.serve(300.5)
    assert following.settled(job(seconds=160.0), ()) == b"reply"
    assert following.settled(job(number=2, seconds=160.0), ()) is None
    assert reason(following.settled(job(number=2, seconds=201.0), ())) == UNSURE


def test_after_a_program_that_kept_nothing_nothing_is_sure():
    following = Answered()
    following.take_over(None)
    following.serve(300.5)
    for seconds in (0.0, 0.1, 10.0):
        assert reason(following.settled(job(seconds=seconds), ())) == UNSURE
