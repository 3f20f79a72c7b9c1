"""What a program says of a watcher, with the types that circus 0.19 took."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from circus.config.options import new_options, plugin_specs, replaced_env, watcher_spec, web_sockets, without_double
from circus.exc import ConfigError
from circus.keys import new_pair
from circus.spec.access import AccessSpec
from circus.spec.watcher import HookSpec
from tests.unit.config.conftest import Ini


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("numprocesses", "3", 3),
        ("numprocesses", 3.0, 3),
        ("graceful_timeout", 5, 5),
        ("graceful_timeout", "2.5", 2.5),
        ("stop_signal", signal.SIGINT, 2),
        ("stop_signal", "INT", 2),
        ("shell", 1, True),
        ("shell", "false", False),
        ("shell", None, False),
        ("working_dir", Path("/tmp"), "/tmp"),
        ("args", ["-x", "1"], ("-x", "1")),
        ("args", "-x 1", "-x 1"),
        ("uid", "daemon", "daemon"),
        ("uid", 1, 1),
        ("rlimits", {"NOFILE": 100, "rlimit_core": "0", "cpu": -1}, {"nofile": 100, "core": 0, "cpu": None}),
        ("max_age", "60", 60),
        ("backoff", 1, 1),
        ("env", {}, None),
        ("stdout_stream", {}, None),
    ],
)
def test_a_value_is_taken_as_0_19_took_it(name: str, given: Any, kept: Any) -> None:
    assert getattr(watcher_spec("web", "sleep 1", {name: given}), name) == kept


def test_unknown_options_are_kept_with_their_types() -> None:
    options = {"flapping.attempts": 3, "color": "red", "team": ["a", "b"]}
    assert watcher_spec("web", "sleep 1", options).options == options


def test_hooks_are_pairs_names_or_callables() -> None:
    hooks = {"before_start": ("os.getcwd", True), "after_start": "os.getpid", "after_stop": len}
    assert watcher_spec("web", "sleep 1", {"hooks": hooks}).hooks == {
        "before_start": HookSpec(target="os.getcwd", ignore_failure=True),
        "after_start": HookSpec(target="os.getpid"),
        "after_stop": HookSpec(target=len),
    }


def test_streams_are_mappings_with_any_values() -> None:
    stream = watcher_spec("web", "x", {"stdout_stream": {"class": "FileStream", "filename": "/x", "max_bytes": 9}})
    assert stream.stdout_stream is not None
    assert (stream.stdout_stream.cls, dict(stream.stdout_stream.options)) == (
        "FileStream",
        {"filename": "/x", "max_bytes": 9},
    )


def test_an_environment_is_copied() -> None:
    env = {"A": "1"}
    spec = watcher_spec("web", "x", {"env": env})
    env["A"] = "2"
    assert spec.env == {"A": "1"}


def test_all_mistakes_are_told_and_nothing_given_is_changed() -> None:
    given = {"numprocesses": "many", "stop_signal": "SIGNOT", "rlimits": {"nothing": 1}, "env": {"A": 1}}
    before = dict(given)
    with pytest.raises(ConfigError) as raised:
        watcher_spec("web", "sleep 1", given)
    assert {mistake.option for mistake in raised.value.mistakes} == set(given)
    assert given == before


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("stop_signal", "FOO"),
        ("numprocesses", "many"),
        ("graceful_timeout", "-1"),
        ("graceful_timeout", -1),
        ("graceful_timeout", [1]),
        ("shell", "perhaps"),
        ("kill_scope", "all"),
        ("hooks.before_start", "a.b,perhaps"),
        ("rlimit_core", "much"),
    ],
)
def test_a_mistake_says_what_a_file_with_it_says(ini: Ini, option: str, value: Any) -> None:
    with pytest.raises(ConfigError) as from_file:
        ini.load(f"[watcher:web]\ncmd = sleep 1\n{option} = {value}\n")
    with pytest.raises(ConfigError) as raised:
        watcher_spec("web", "sleep 1", {option: value})
    shown = [(each.section, each.option, each.expected) for each in raised.value.mistakes]
    assert shown == [(each.section, each.option, each.expected) for each in from_file.value.mistakes]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"singleton": True, "numprocesses": 2}, "at most one process"),
        ({"virtualenv": "/x"}, "needs copy_env"),
        ({"hooks": {"before_start": 3}}, "dotted name"),
    ],
)
def test_what_cannot_be_is_a_value_error_as_in_0_19(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        watcher_spec("web", "sleep 1", options)


@pytest.mark.parametrize(("name", "cmd"), [("", "x"), ("web", ""), ("web", " "), ("web", None)])
def test_name_and_command_are_needed(name: str, cmd: Any) -> None:
    with pytest.raises(ConfigError):
        watcher_spec(name, cmd, {})


def test_an_environment_may_name_variables() -> None:
    assert replaced_env({" A ": " $HOME/x ", "B": "$none $NONE"}, {"HOME": "/home"}) == {"A": "/home/x", "B": "$none"}


def test_plugins_are_named_by_their_class_and_get_text() -> None:
    (spec,) = plugin_specs([{"use": "a.Plugin", "loop_rate": 5}])
    assert (spec.name, spec.use, spec.options) == ("a.Plugin", "a.Plugin", {"loop_rate": "5"})
    with pytest.raises(ConfigError, match="dotted name"):
        plugin_specs([{"name": "x"}])


def test_the_web_console_has_a_socket_where_its_package_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    assert web_sockets(False, "localhost", 8080) == ()
    assert web_sockets(True, "localhost", 8080) == ()
    assert "circusweb" in caplog.text
    (tmp_path / "circusweb.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    (spec,) = web_sockets(True, "127.0.0.1", 81)
    assert (spec.name, spec.host, spec.port) == ("circushttpd", "127.0.0.1", 81)


def test_two_watchers_cannot_share_a_name() -> None:
    with pytest.raises(ConfigError, match="two watchers"):
        without_double([SimpleNamespace(name="web"), SimpleNamespace(name="WEB")])


def test_options_that_0_19_did_not_have_are_checked_as_in_a_file() -> None:
    key = new_pair().public
    section = {"name": "me", "role": "operate", "uid": "root, 7", "gid": [5, "staff"], "curve_key": key}
    assert new_options({"endpoint_mode": "0660", "allow_insecure": True, "journal_size": 5, "access": [section]}) == {
        "endpoint_mode": 0o660,
        "allow_insecure": True,
        "journal_size": 5,
        "access": (AccessSpec(name="me", role="operate", uid=("root", 7), gid=(5, "staff"), curve_key=(key,)),),
    }
    assert new_options({}) == {}


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint_mode": "rw"},
        {"endpoint_mode": 0o7777},
        {"journal_size": 0},
        {"access": [{"name": "me", "role": "boss"}]},
        {"access": [{"name": "me", "role": "read", "curve_key": "short"}]},
    ],
)
def test_values_that_do_not_fit_are_mistakes(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        new_options(options)


@pytest.mark.parametrize("options", [{"nonsense": 1}, {"access": [{"name": "me", "role": "read", "users": "x"}]}])
def test_what_is_no_option_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="has no option"):
        new_options(options)
