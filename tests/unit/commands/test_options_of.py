"""Options in requests: read from words, checked as they arrive."""

import pytest

from circus.commands.options_of import checked, from_text
from circus.exc import ArgumentError, MessageError


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("numprocesses", "3", 3),
        ("max_age", "60", 60),
        ("rlimit_nofile", "100", 100),
        ("rlimit_core", "-1", None),
        ("rlimit_core", "", None),
        ("warmup_delay", "0.5", 0.5),
        ("graceful_timeout", "3", 3.0),
        ("retry_in", "1", 1.0),
        ("send_hup", "yes", True),
        ("respawn", "0", False),
        ("close_child_stdin", "False", False),
        ("stop_signal", "int", 2),
        ("stop_signal", "SIGUSR1", 10),
        ("uid", "nobody", "nobody"),
        ("uid", "1000", 1000),
        ("cmd", "sleep 1", "sleep 1"),
        ("args", "-x -y", "-x -y"),
        ("kill_scope", "TREE", "tree"),
        ("stdout_stream.max_bytes", "1000", 1000),
        ("stdout_stream.filename", "/tmp/x", "/tmp/x"),
        ("stderr_stream.anything", "5", "5"),
        ("hooks.before_start", "a.b,true", "a.b,true"),
        ("hooks", "before_start:a.b,after_stop:c.d", {"before_start": "a.b", "after_stop": "c.d"}),
        ("hooks", "before_start:a.b,true", {"before_start": "a.b,true"}),
        ("env", "A=1,B=2", {"A": "1", "B": "2"}),
        ("env", "PATH=/a,/b,C=", {"PATH": "/a,/b", "C": ""}),
        ("env", "", {}),
        ("labels.Team", "x", "x"),
    ],
)
def test_a_text_becomes_a_value(name, text, value):
    found = from_text(name, text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("foo", "1", "unknown key 'foo'"),
        ("numproceses", "1", "unknown key 'numproceses'; did you mean numprocesses?"),
        ("hooks.before_strat", "a.b", "unknown key 'hooks.before_strat'; did you mean hooks.before_start?"),
        ("custom_opt", "x", "unknown key 'custom_opt'"),
        ("hooks.before_lunch", "a.b", "unknown key 'hooks.before_lunch'"),
        ("stdout_stream", "x", "unknown key 'stdout_stream'"),
        ("numprocesses", "many", "numprocesses: expected a whole number from 0 to 100000, not 'many'"),
        ("graceful_timeout", "-1", "graceful_timeout: expected a number of seconds, 0 or more, not '-1'"),
        ("retry_in", "x", "retry_in: expected a number, not 'x'"),
        ("rlimit_nofile", "x", "rlimit_nofile: expected a whole number, or -1 for no limit, not 'x'"),
        ("env", "A", "env: expected NAME=VALUE,NAME=VALUE, not 'A'"),
        ("hooks", "x", "hooks: expected NAME:VALUE,NAME:VALUE, not 'x'"),
    ],
)
def test_a_text_that_does_not_fit_says_what_would(name, text, reason):
    with pytest.raises(ArgumentError) as refused:
        from_text(name, text)
    assert str(refused.value) == reason


def test_all_options_are_looked_at_and_fewer_than_none_is_none():
    assert checked({"numprocesses": -3, "max_retry": 2, "retry_in": 1}) == {
        "numprocesses": 0, "max_retry": 2, "retry_in": 1,
    }  # fmt: skip
    for options, reason in (
        ([1], "'options' property should be an object"),
        ({"max_retry": 1, "zz": 1}, "unknown key 'zz'"),
        ({"env": 1}, "'env' isn't a valid object"),
        ({"stdout_stream": "x"}, "'stdout_stream' isn't a valid object"),
        ({"stop_signal": 200}, "200 is not a signal"),
        ({"max_age": -1}, "'max_age' must be a whole number, 0 or more"),
        ({"graceful_timeout": float("nan")}, "'graceful_timeout' must be a number of seconds, 0 or more"),
        ({"numprocesses": True}, "'numprocesses' isn't an integer"),
        ({"labels.team": 3}, "'labels.team' isn't a string"),
        ({"hooks": 5}, "5 isn't a valid hook dict"),
    ):
        with pytest.raises(MessageError) as refused:
            checked(options)
        assert str(refused.value) == reason
