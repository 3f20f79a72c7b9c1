"""The command `tail`: what it takes, and how circusctl prints its reply."""

from __future__ import annotations

from typing import Any

import pytest

from circus.commands import get_commands
from circus.exc import ArgumentError, MessageError
from tests.fakes.arbiter import FakeArbiter, FakeWatcher

TAIL = get_commands()["tail"]


def asked(**props: Any) -> Any:
    return TAIL.execute(FakeArbiter(FakeWatcher("web")), {"name": "web", **props})


def test_ten_lines_of_everything_unless_something_else_is_asked_for() -> None:
    assert asked() == (None, None, 10, None, None)
    assert asked(wid=3, stream="stderr", lines=0) == (3, "stderr", 0, None, None)


def test_a_position_is_taken_as_it_was_given_and_has_no_limit() -> None:
    after = [{"wid": 1, "stream": "stdout", "seq": 120}, {"wid": 2, "stream": "stderr", "seq": 0}]
    known = {(1, "stdout"): 120, (2, "stderr"): 0}
    assert asked(life="5eed", after=after, lines=3) == (None, None, None, "5eed", known)
    assert asked(after=[]) == (None, None, None, None, {})


@pytest.mark.parametrize(
    ("props", "told"),
    [
        ({"name": "nope"}, "program nope not found"),
        ({"name": ["web"]}, "'name' isn't a string"),
        ({"wid": "1"}, "'wid' isn't the number of a worker: '1'"),
        ({"wid": True}, "'wid' isn't the number of a worker: True"),
        ({"wid": -1}, "'wid' isn't the number of a worker: -1"),
        ({"stream": "both"}, "'stream' is stdout or stderr, not 'both'"),
        ({"stream": {"a": 1}}, "'stream' is stdout or stderr, not"),
        ({"lines": None}, "'lines' isn't a number from 0 on: None"),
        ({"lines": 1.5}, "'lines' isn't a number from 0 on: 1.5"),
        ({"after": 7}, "'after' isn't the 'next' of an earlier reply"),
        ({"after": [{"wid": 1}]}, "'after' isn't the 'next' of an earlier reply"),
        ({"after": [{"wid": 1, "stream": None, "seq": 3}]}, "'after' isn't the 'next' of an earlier reply"),
    ],
)
def test_what_is_wrong_is_said(props: dict[str, Any], told: str) -> None:
    with pytest.raises(MessageError, match=told):
        asked(**props)


def test_a_number_of_lines_that_is_none_is_refused_before_anybody_is_asked() -> None:
    with pytest.raises(ArgumentError, match="-n takes a number from 0 on, not 'many'"):
        TAIL.message("web", lines="many")


def test_lines_of_several_sources_say_whose_they_are() -> None:
    chunks = [
        {"wid": 1, "stream": "stdout", "lines": ["a", "b"]},
        {"wid": 2, "stream": "stderr", "lines": ["c"]},
    ]
    assert TAIL.console_msg({"status": "ok", "chunks": chunks}) == "1 stdout | a\n1 stdout | b\n2 stderr | c"
    assert TAIL.console_msg({"status": "ok", "chunks": chunks[:1]}) == "a\nb"
    assert TAIL.console_msg({"status": "error", "reason": "no"}) == "error: no"
