from __future__ import annotations

import json
from typing import Any

import pytest

from circus.keys import Keys
from circus.spec.plugins import PluginSpec, plugin_watcher
from circus.spec.watcher import WatcherSpec


def watcher(options: dict[str, Any] | None = None, python: str = "/usr/bin/python3", **settings: Any) -> WatcherSpec:
    plugin = PluginSpec(name="plugin:flapping", use="circus.plugins.flapping.Flapping", options=options or {})
    return plugin_watcher(
        plugin,
        endpoint="ipc:///run/e",
        pubsub_endpoint="ipc:///run/p",
        check_delay=2.5,
        python=python,
        **settings,
    )


def test_the_command_names_the_channels_and_the_class() -> None:
    made = watcher(python="/opt/my python/bin/python", loglevel="warning", logoutput="/var/log/p")
    assert made.cmd == "'/opt/my python/bin/python'"
    assert made.args == (
        *("-m", "circus.plugins", "--endpoint=ipc:///run/e", "--pubsub=ipc:///run/p", "--check-delay=2.5"),
        *("--log-level=warning", "--log-output=/var/log/p", "--config=-", "circus.plugins.flapping.Flapping"),
    )


def test_the_options_go_over_standard_input_whatever_they_hold() -> None:
    options = {"url": "redis://:p w@h:1/0:::x:'\"", "empty": "", "ünicode": "☃\n"}
    made = watcher(options)
    assert json.loads(made.stdin_data or b"") == options | {"name": "plugin:flapping"}
    assert not any("redis" in word for word in made.args or ())


def test_keys_go_the_same_way_beside_the_options() -> None:
    made = watcher({"a": "b"}, keys=Keys("server", "public", "hush"))
    assert json.loads(made.stdin_data or b"") == {
        "a": "b", "name": "plugin:flapping",
        "circus.keys": {"server": "server", "public": "public", "secret": "hush"},
    }  # fmt: skip
    assert "hush" not in f"{made.cmd} {made.args} {made.options}"


def test_the_defaults_of_circus_0_19() -> None:
    made = watcher()
    assert (made.name, made.role, made.singleton, made.priority) == ("plugin:flapping", "plugin", True, 1)
    assert (made.copy_env, made.copy_path) == (True, True)
    assert (made.close_child_stdout, made.close_child_stderr, made.stdout_stream) == (True, False, None)
    assert (made.autostart, made.respawn) == (True, True)


def test_debug_shows_the_output() -> None:
    made = watcher(debug=True, loglevel="info")
    assert made.stdout_stream is not None
    assert made.stdout_stream.cls == "StdoutStream"
    assert not made.close_child_stdout
    assert "--log-level=DEBUG" in (made.args or ())


def test_options_of_the_watcher_are_typed_and_the_plugin_has_them_too() -> None:
    options = {"priority": "7", "graceful_timeout": "1.5", "copy_env": "False", "uid": "www", "window": "3"}
    made = watcher(options)
    assert (made.priority, made.graceful_timeout, made.uid) == (7, 1.5, "www")
    assert (made.copy_env, made.copy_path) == (False, False)
    assert json.loads(made.stdin_data or b"") == options | {"name": "plugin:flapping"}


def test_options_of_a_program_may_have_their_own_types() -> None:
    made = watcher({"priority": 7, "active": False, "close_child_stdout": False, "limits": [1, None]})
    assert (made.priority, made.autostart, made.close_child_stdout) == (7, False, False)
    assert json.loads(made.stdin_data or b"")["limits"] == [1, None]


def test_an_option_of_the_plugin_that_only_shares_its_name_is_left_to_the_plugin() -> None:
    made = watcher({"max_age": "3 hours", "max_retry": "many"})
    assert (made.max_age, made.max_retry) == (0, 5)
    assert made.options == {"max_age": "3 hours", "max_retry": "many"}


@pytest.mark.parametrize(("active", "starts"), [("false", False), ("0", False), ("true", True), ("maybe", True)])
def test_an_inactive_plugin_is_neither_started_nor_respawned(active: str, starts: bool) -> None:
    made = watcher({"active": active})
    assert (made.autostart, made.respawn) == (starts, starts)
