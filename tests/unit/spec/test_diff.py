"""What differs between two configurations, and what that would make happen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from circus.spec.arbiter import ArbiterSpec
from circus.spec.diff import Change, OptionChange, changes, watcher_changes
from circus.spec.exporters import ExporterSpec
from circus.spec.fields import Effect
from circus.spec.plugins import PluginSpec
from circus.spec.sockets import SocketSpec
from circus.spec.streams import StreamSpec
from circus.spec.watcher import HookSpec, WatcherSpec

WEB = WatcherSpec(name="web", cmd="x")


def only(old: ArbiterSpec, new: ArbiterSpec) -> Change:
    (change,) = changes(old, new)
    return change


def watcher_change(**values: Any) -> OptionChange:
    (change,) = watcher_changes(WEB, replace(WEB, **values))
    return change


def test_equal_configurations_have_no_change() -> None:
    spec = ArbiterSpec(watchers=(WEB,), sockets=(SocketSpec(name="a"),))
    assert changes(spec, replace(spec, watchers=(replace(WEB),))) == []


def test_a_section_that_came_is_added_and_one_that_went_is_removed() -> None:
    old, new = ArbiterSpec(watchers=(WEB,)), ArbiterSpec(watchers=(replace(WEB, name="api"),))
    assert [(change.name, change.action) for change in changes(old, new)] == [("api", "added"), ("web", "removed")]


def test_a_name_in_another_case_is_the_same_watcher() -> None:
    change = only(ArbiterSpec(watchers=(WEB,)), ArbiterSpec(watchers=(replace(WEB, name="Web"),)))
    assert (change.action, [option.name for option in change.options]) == ("changed", ["name"])


@pytest.mark.parametrize(
    ("values", "name", "effect"),
    [
        ({"numprocesses": 4}, "numprocesses", Effect.RESIZE),
        ({"graceful_timeout": 1.0}, "graceful_timeout", Effect.NOTHING),
        ({"cmd": "y"}, "cmd", Effect.RELOAD),
        ({"max_age": 9}, "max_age", Effect.RELOAD),
        ({"env": {"A": "1"}}, "env.A", Effect.RELOAD),
        ({"rlimits": {"core": None}}, "rlimit_core", Effect.RELOAD),
        ({"hooks": {"before_start": HookSpec(target="a.b")}}, "hooks.before_start", Effect.NOTHING),
        ({"options": {"labels.team": "x"}}, "labels.team", Effect.NOTHING),
        ({"options": {"free": "x"}}, "free", Effect.NOTHING),
    ],
)
def test_an_option_that_changed_has_the_effect_of_its_row(values: dict[str, Any], name: str, effect: Effect) -> None:
    change = watcher_change(**values)
    assert (change.name, change.effect) == (name, effect)


def test_an_option_that_was_added_has_no_old_value() -> None:
    assert watcher_change(env={"A": "1"}) == OptionChange(name="env.A", old=None, new="1", effect=Effect.RELOAD)


def test_a_first_stream_needs_new_processes_and_another_file_does_not() -> None:
    with_file = replace(WEB, stdout_stream=StreamSpec(options={"filename": "a"}))
    (first,) = watcher_changes(WEB, with_file)
    (second,) = watcher_changes(with_file, replace(WEB, stdout_stream=StreamSpec(options={"filename": "b"})))
    assert (first.effect, second.effect) == (Effect.RELOAD, Effect.REOPEN)


def test_a_reload_is_a_signal_where_the_watcher_wants_sighup() -> None:
    hup = replace(WEB, send_hup=True)
    (change,) = watcher_changes(hup, replace(hup, cmd="y"))
    assert change.effect is Effect.SIGNAL


def test_of_several_effects_the_largest_counts() -> None:
    change = only(ArbiterSpec(watchers=(WEB,)), ArbiterSpec(watchers=(replace(WEB, numprocesses=3, cmd="y"),)))
    assert change.effect is Effect.RELOAD
    assert [option.name for option in change.options] == ["cmd", "numprocesses"]


def test_what_the_daemon_can_take_live_is_told_from_what_needs_a_restart() -> None:
    assert only(ArbiterSpec(), ArbiterSpec(check_delay=1.0)).effect is Effect.NOTHING
    assert only(ArbiterSpec(), ArbiterSpec(endpoint="ipc:///x")).effect is Effect.RESTART


def test_a_changed_socket_is_opened_anew() -> None:
    old, new = SocketSpec(name="web", port=1), SocketSpec(name="web", port=2)
    assert only(ArbiterSpec(sockets=(old,)), ArbiterSpec(sockets=(new,))).effect is Effect.REOPEN


def test_a_changed_plugin_names_its_options() -> None:
    old = PluginSpec(name="plugin:x", use="a.B", options={"k": "1"})
    new = PluginSpec(name="plugin:x", use="a.C", options={})
    change = only(ArbiterSpec(plugins=(old,)), ArbiterSpec(plugins=(new,)))
    assert [(option.name, option.old, option.new) for option in change.options] == [("k", "1", None), ("use", "a.B", "a.C")]  # fmt: skip


def test_a_changed_exporter_is_seen() -> None:
    old, new = (ExporterSpec(name="prometheus", options={"port": port}) for port in ("1", "2"))
    change = only(ArbiterSpec(exporters=(old,)), ArbiterSpec(exporters=(new,)))
    assert (change.subject, change.name, change.action) == ("exporter", "prometheus", "changed")
