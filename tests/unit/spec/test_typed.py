"""Options as the wire and Python's API give them."""

from __future__ import annotations

from typing import Any

import pytest

from circus.config.platform import this_platform
from circus.exc import MessageError
from circus.spec.streams import StreamSpec
from circus.spec.typed import updated, validate
from circus.spec.watcher import HookSpec, WatcherSpec

WEB = WatcherSpec(name="web", cmd="x")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("zz", 1, "unknown key 'zz'"),
        ("numproceses", 1, "unknown key 'numproceses'; did you mean numprocesses?"),
        ("autorestart", 1, "unknown key 'autorestart'; did you mean respawn?"),
        ("rlimits_nofile", 1, "unknown key 'rlimits_nofile'; did you mean rlimit_nofile?"),
        ("hook.before_start", "a.b", "unknown key 'hook.before_start'; did you mean hooks.before_start?"),
        ("hooks.before_strat", "a.b", "Unknown hook 'hooks.before_strat'; did you mean hooks.before_start?"),
        ("numprocesses", "3", "'numprocesses' isn't an integer"),
        ("graceful_timeout", "3", "'graceful_timeout' isn't a number"),
        ("send_hup", "yes", "'send_hup' isn't a valid boolean"),
        ("env", {"A": 1}, "'A' isn't a string"),
        ("rlimit_foo", 3, "'rlimit_foo' isn't a valid rlimit setting"),
        ("rlimit_nofile", "3", "'3' rlimit value isn't a valid int"),
        ("rlimit_nofile", -2, "-2 rlimit value isn't a valid int"),
        ("graceful_timeout", 10**400, "'graceful_timeout' must be a number of seconds, 0 or more"),
        ("cmd", "a\0b", "'cmd' holds a NUL character, which no program can be given"),
        ("args", ["a", "\0"], "'args' holds a NUL character, which no program can be given"),
        ("env", {"A": "\0"}, "'env' holds a NUL character, which no program can be given"),
        ("env", {"": "a"}, "'' cannot be the name of a variable"),
        ("env", {"A=B": "a"}, "'A=B' cannot be the name of a variable"),
        ("stdout_stream.", "x", "unknown key 'stdout_stream.'"),
        ("labels.", "x", "'labels.' isn't letters, digits and underscores"),
        ("labels.a b", "x", "'labels.a b' isn't letters, digits and underscores"),
        ("stop_signal", "TERM", "'stop_signal' isn't an integer"),
        ("hooks", {"before_lunch": "a.b"}, "Unknown hook 'before_lunch'"),
        ("stdout_stream", {"max_bytes": 1}, "'stdout_stream' must be an object with a class, a stream or a filename"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_a_reason(name: str, value: object, reason: str) -> None:
    with pytest.raises(MessageError) as refused:
        validate(name, value, this_platform())
    assert str(refused.value) == reason


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("numprocesses", 3),
        ("warmup_delay", 1),
        ("uid", "nobody"),
        ("gid", 0),
        ("args", ["a", "b"]),
        ("env", {"A": "b"}),
        ("rlimit_nofile", 100),
        ("rlimit_core", None),
        ("hooks", {"before_start": ["a.b", True]}),
        ("hooks.before_start", "a.b"),
        ("stdout_stream", {"class": "FileStream"}),
        ("stdout_stream.filename", "x"),
        ("labels.team", "x"),
        ("use_sockets", True),
        ("kill_scope", "tree"),
    ],
)
def test_a_value_that_fits_passes(name: str, value: object) -> None:
    validate(name, value, this_platform())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"numprocesses": 3}, {"numprocesses": 3}),
        ({"args": ["a", "b"]}, {"args": ("a", "b")}),
        ({"rlimit_NOFILE": 10, "rlimit_core": None}, {"rlimits": {"nofile": 10, "core": None}}),
        ({"rlimits": {"nofile": "10", "core": ""}}, {"rlimits": {"nofile": 10, "core": None}}),
        ({"hooks": {"before_start": ["a.b", True]}}, {"hooks": {"before_start": HookSpec(target="a.b", ignore_failure=True)}}),
        ({"hooks.after_stop": "a.b,yes"}, {"hooks": {"after_stop": HookSpec(target="a.b", ignore_failure=True)}}),
        ({"stdout_stream": {"class": "X", "a": 1}}, {"stdout_stream": StreamSpec(cls="X", options={"a": 1})}),
        ({"stdout_stream": {}}, {"stdout_stream": None}),
        ({"labels.team": "x"}, {"options": {"labels.team": "x"}}),
    ],
)  # fmt: skip
def test_options_become_the_fields_of_a_new_spec(options: dict[str, object], expected: dict[str, Any]) -> None:
    spec = updated(WEB, options)
    assert {name: getattr(spec, name) for name in expected} == expected
    assert WatcherSpec(name="web", cmd="x") == WEB


def test_one_option_of_a_stream_leaves_its_class_as_it_was() -> None:
    spec = updated(WEB, {"stdout_stream": {"class": "WatchedFileStream", "filename": "a"}})
    assert updated(spec, {"stdout_stream.filename": "b"}).stdout_stream == StreamSpec(
        cls="WatchedFileStream", options={"filename": "b"}
    )


def test_a_callable_is_a_hook() -> None:
    assert updated(WEB, {"hooks": {"before_start": (len, False)}}).hooks == {"before_start": HookSpec(target=len)}


@pytest.mark.parametrize("hook", [3, ["a"], ["a.b", "perhaps"], ""])
def test_what_is_no_hook_is_refused(hook: object) -> None:
    with pytest.raises(MessageError):
        updated(WEB, {"hooks": {"before_start": hook}})


def test_an_unknown_option_is_refused_unless_free_form_is_allowed() -> None:
    with pytest.raises(MessageError, match="unknown key 'zz'"):
        updated(WEB, {"zz": 1})
    assert updated(WEB, {"zz": 1}, free_form=True).options == {"zz": 1}


def test_a_whole_number_of_seconds_is_shown_as_from_a_file():
    spec = updated(WEB, {"graceful_timeout": 5, "numprocesses": 3})
    assert (repr(spec.graceful_timeout), repr(spec.numprocesses)) == ("5.0", "3")


def test_pieces_of_a_stream_are_put_over_the_whole_that_came_before_them() -> None:
    whole = {"class": "FileStream", "filename": "a", "max_bytes": 1}
    spec = updated(WEB, {"stderr_stream.class": "X", "stdout_stream": whole, "stdout_stream.filename": "b"})
    assert spec.stdout_stream == StreamSpec(cls="FileStream", options={"filename": "b", "max_bytes": 1})
    assert spec.stderr_stream == StreamSpec(cls="X")
    again = updated(spec, {"stdout_stream.class": "Y", "stdout_stream": {"class": "Z"}})
    assert again.stdout_stream == StreamSpec(cls="Z", options={})


def test_families_are_added_to() -> None:
    one = updated(WEB, {"rlimit_nofile": 3, "labels.a": "1", "hooks.before_start": "a.b"})
    two = updated(one, {"rlimit_core": None, "labels.b": "2", "hooks.after_stop": "c.d"})
    assert two.rlimits == {"nofile": 3, "core": None}
    assert two.options == {"labels.a": "1", "labels.b": "2"}
    assert list(two.hooks) == ["before_start", "after_stop"]
