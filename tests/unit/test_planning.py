"""What a configuration that is read again would change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from circus.exc import Mistake
from circus.planning import Plan, merged, named, plan, rebound, used
from circus.spec.arbiter import ArbiterSpec
from circus.spec.diff import changes
from circus.spec.exporters import ExporterSpec, exporter_watcher
from circus.spec.fields import Effect
from circus.spec.plugins import PluginSpec, plugin_watcher
from circus.spec.sockets import SocketSpec
from circus.spec.streams import StreamSpec
from circus.spec.watcher import HookSpec, WatcherSpec

WEB = WatcherSpec(name="web", cmd="x", origin="ini")
ADDED = replace(WEB, name="extra", origin="api")
ON_SOCKET = replace(WEB, cmd="x $(circus.sockets.s)", use_sockets=True)


def population(spec: ArbiterSpec) -> Sequence[WatcherSpec]:
    plugins = [plugin_watcher(each, "e", "p", spec.check_delay, "python", loglevel=spec.loglevel, debug=spec.debug)
               for each in spec.plugins]  # fmt: skip
    return [*spec.watchers, *plugins]


def planned(
    old: ArbiterSpec, new: ArbiterSpec, running: Sequence[WatcherSpec] | None = None, **_: Callable[..., Any]
) -> Plan:
    return plan(population(old) if running is None else running, old, new, population)


def file(*watchers: WatcherSpec, **options: Any) -> ArbiterSpec:
    return ArbiterSpec(watchers=watchers, **options)


def acts(found: Plan) -> list[tuple[str, str, Effect]]:
    return [(step.name, step.action, step.effect) for step in found.steps]


def test_equal_files_ask_for_nothing() -> None:
    found = planned(file(WEB, sockets=(SocketSpec(name="s"),)), file(WEB, sockets=(SocketSpec(name="s"),)))
    assert (found.steps, found.sockets, found.circus, found.pending, found.refusals) == ((), (), (), (), ())
    assert found.sections() == []


def test_watchers_come_go_and_change() -> None:
    old, new = file(WEB, replace(WEB, name="a")), file(replace(WEB, cmd="y"), replace(WEB, name="b"))
    assert acts(planned(old, new)) == [
        ("web", "changed", Effect.RELOAD),
        ("a", "removed", Effect.NOTHING),
        ("b", "added", Effect.RELOAD),
    ]


def test_what_add_brought_stays_or_becomes_the_files() -> None:
    assert planned(file(WEB), file(WEB), [WEB, ADDED]).steps == ()
    (step,) = planned(file(WEB), file(WEB, replace(ADDED, cmd="y", origin="ini", numprocesses=3)), [WEB, ADDED]).steps
    assert (step.action, step.effect, step.target) == ("changed", Effect.RELOAD, 3)
    assert step.after is not None
    assert step.after.origin == "ini"


def test_one_that_is_the_files_now_is_told_only_if_something_differs() -> None:
    found = planned(file(WEB), file(WEB, replace(ADDED, origin="ini")), [WEB, ADDED])
    assert [step.name for step in found.steps] == ["extra"]
    assert found.sections() == []


def test_a_watcher_that_is_not_there_any_more_comes_back() -> None:
    assert acts(planned(file(WEB), file(WEB), [])) == [("web", "added", Effect.RELOAD)]


def test_a_name_in_another_case_goes_and_comes() -> None:
    assert [(step.name, step.action) for step in planned(file(WEB), file(replace(WEB, name="Web"))).steps] == [
        ("web", "removed"),
        ("Web", "added"),
    ]


def test_what_somebody_set_stays_unless_the_file_changes_that_very_option() -> None:
    running = replace(WEB, graceful_timeout=9.0, stop_signal=2, env={"A": "1", "B": "2"}, numprocesses=4)
    old, new = replace(WEB, env={"A": "1"}), replace(WEB, stop_signal=9, env={"C": "3"})
    (step,) = planned(file(old), file(new), [running]).steps
    assert step.after == replace(running, stop_signal=9, env={"B": "2", "C": "3"})
    assert step.target is None
    (step,) = planned(file(old), file(replace(old, numprocesses=2)), [running]).steps
    assert (step.effect, step.target) == (Effect.RESIZE, 2)


@pytest.mark.parametrize(
    ("was", "shall", "running", "then"),
    [
        ({"rlimits": {"core": 1}}, {"rlimits": {"core": None}}, {"rlimits": {"core": 1, "nofile": 2}}, {"rlimits": {"core": None, "nofile": 2}}),
        ({"env": {"A": "1"}}, {"env": None}, {"env": {"A": "1"}}, {"env": None}),
        ({"env": None}, {"env": {"A": "1"}}, {"env": None}, {"env": {"A": "1"}}),
        ({"hooks": {}}, {"hooks": {"before_start": HookSpec(target="a.b")}}, {"hooks": {"after_stop": HookSpec(target="c.d")}}, {"hooks": {"after_stop": HookSpec(target="c.d"), "before_start": HookSpec(target="a.b")}}),
        ({"stdout_stream": None}, {"stdout_stream": StreamSpec(cls="A")}, {"stdout_stream": StreamSpec(cls="B")}, {"stdout_stream": StreamSpec(cls="A")}),
        ({"shell_args": None}, {"shell_args": "x"}, {"shell_args": "y"}, {"shell_args": "x"}),
        ({"priority": 3}, {"priority": 0}, {"priority": 5}, {"priority": 0}),
        ({"priority": 3}, {"priority": 3}, {"priority": 5}, {"priority": 5}),
    ],
)  # fmt: skip
def test_only_what_differs_between_the_files_is_put_upon_what_runs(
    was: dict[str, Any], shall: dict[str, Any], running: dict[str, Any], then: dict[str, Any]
) -> None:
    assert merged(replace(WEB, **running), replace(WEB, **was), replace(WEB, **shall)) == replace(WEB, **then)


def test_what_somebody_set_is_told_as_long_as_the_file_says_something_else() -> None:
    running = replace(WEB, graceful_timeout=9.0, env={"A": "1"}, numprocesses=4, stop_signal=2)
    old, new = replace(WEB, env={"A": "1", "B": "2"}), replace(WEB, env={"A": "1", "B": "2"}, stop_signal=9)
    (told,) = planned(file(old), file(new), [running, ADDED]).by_hand
    assert (told.subject, told.name) == ("watcher", "web")
    assert [(option.name, option.old, option.new) for option in told.options] == [
        ("env.B", "2", None), ("graceful_timeout", 30.0, 9.0), ("numprocesses", 1, 4),
    ]  # fmt: skip
    assert planned(file(WEB), file(replace(WEB, cmd="y"))).by_hand == ()
    assert planned(file(WEB), file(), [running]).by_hand == ()


def test_options_of_circus_are_in_force_or_pending() -> None:
    found = planned(file(WEB), file(WEB, warmup_delay=2.0, loglevel="debug", endpoint="tcp://127.0.0.1:1", pidfile="x"))
    assert [option.name for option in found.circus] == ["loglevel", "warmup_delay"]
    assert found.pending == ("endpoint", "pidfile")
    assert found.spec == file(WEB, warmup_delay=2.0, loglevel="debug")
    again = planned(found.spec, file(WEB, warmup_delay=2.0, loglevel="debug", endpoint="tcp://127.0.0.1:1"))
    assert again.pending == ("endpoint",)


def test_a_plugin_is_replaced_for_its_options_and_for_those_of_circus_that_it_gets() -> None:
    one = PluginSpec(name="plugin:p", use="a.B", options={"password": "1"})
    two = replace(one, options={"password": "2"})
    (step,) = planned(file(plugins=(one,)), file(plugins=(two,))).steps
    assert (step.subject, step.effect, [option.name for option in step.options]) == (
        "plugin", Effect.RELOAD, ["password"],
    )  # fmt: skip
    for options in ({"check_delay": 9.0}, {"loglevel": "debug"}, {"debug": True}):
        (step,) = planned(file(plugins=(one,)), file(plugins=(one,), **options)).steps
        assert (step.name, step.effect) == ("plugin:p", Effect.RELOAD)


def test_exporters_share_a_watcher_and_are_told_by_themselves() -> None:
    def spec(**options: str) -> ArbiterSpec:
        return file(exporters=tuple(ExporterSpec(name=name, options={"port": port}) for name, port in options.items()))

    def people(spec: ArbiterSpec) -> Sequence[WatcherSpec]:
        return [exporter_watcher(spec.exporters, "e", "p", "s", python="python")] if spec.exporters else []

    one, two = spec(prometheus="1"), spec(prometheus="2", other="3")
    found = plan(people(one), one, two, people)
    assert acts(found) == [("circus-exporter", "changed", Effect.RELOAD)]
    assert [(each.subject, each.name, each.action) for each in found.sections()] == [
        ("exporter", "other", "added"),
        ("exporter", "prometheus", "changed"),
    ]
    assert acts(plan([], file(), one, people)) == [("circus-exporter", "added", Effect.RELOAD)]
    assert [each.name for each in plan([], one, one, people).sections()] == ["circus-exporter"]


def test_alerts_and_notifiers_replace_the_exporter_and_are_told_by_themselves() -> None:
    def spec(seconds: str, *, cmd: str = "x") -> ArbiterSpec:
        alert = ExporterSpec(name="down", options={"for": seconds})
        return file(alerts=(alert,), notify=(ExporterSpec(name="ops", options={"type": "exec", "cmd": cmd}),))

    def people(spec: ArbiterSpec) -> Sequence[WatcherSpec]:
        where = {"alerts": spec.alerts, "notify": spec.notify, "python": "python"}
        return [exporter_watcher(spec.exporters, "e", "p", "s", **where)] if spec.alerts else []

    one = spec("1s")
    for two, told in (
        (spec("2s"), ("alert", "down", "changed")),
        (spec("1s", cmd="y"), ("notify", "ops", "changed")),
    ):
        found = plan(people(one), one, two, people)
        assert acts(found) == [("circus-exporter", "changed", Effect.RELOAD)]
        assert [(each.subject, each.name, each.action) for each in found.sections()] == [told]
    assert acts(plan(people(one), one, one, people)) == []


def test_a_socket_that_moves_takes_those_along_that_use_it() -> None:
    watchers = (ON_SOCKET, replace(WEB, name="all", use_sockets=True), replace(WEB, name="hup", send_hup=True, stdin_socket="S"),
                replace(WEB, name="other"))  # fmt: skip
    old, new = SocketSpec(name="s", port=1), SocketSpec(name="s", port=2)
    found = planned(file(*watchers, sockets=(old,)), file(*watchers, sockets=(new,)))
    assert [(step.name, step.replacing, step.effect) for step in found.steps] == [
        ("web", True, Effect.RELOAD),
        ("all", True, Effect.RELOAD),
        ("hup", True, Effect.RELOAD),
    ]
    backlog = planned(file(*watchers, sockets=(old,)), file(*watchers, sockets=(replace(old, backlog=3),)))
    assert backlog.steps == ()


def test_a_socket_is_not_removed_under_a_watcher_that_stays() -> None:
    sockets = (SocketSpec(name="s"),)
    found = planned(file(ON_SOCKET, sockets=sockets), file(ON_SOCKET))
    assert found.refusals == ("[socket:s] cannot be removed: the watcher 'web' uses it",)
    by_hand = planned(file(WEB, sockets=sockets), file(WEB), [WEB, replace(ON_SOCKET, name="extra", origin="api")])
    assert by_hand.refusals == ("[socket:s] cannot be removed: the watcher 'extra' uses it",)
    assert planned(file(ON_SOCKET, sockets=sockets), file()).refusals == ()
    assert planned(file(ON_SOCKET, sockets=sockets), file(WEB)).refusals == ()


def test_an_address_does_not_go_over_to_sockets_of_the_processes() -> None:
    one, many = SocketSpec(name="s"), SocketSpec(name="s", so_reuseport=True)
    (refusal,) = planned(file(sockets=(one,)), file(sockets=(many,))).refusals
    assert refusal.startswith("[socket:s] so_reuseport cannot change while its workers hold the address")
    assert planned(file(sockets=(one,)), file(sockets=(replace(many, port=1),))).refusals == ()


def test_what_would_be_left_out_is_a_reason_unless_it_was_before() -> None:
    mistake = Mistake("f", 3, "watcher:web", "uid", "x", "there is no such user on this machine")
    assert planned(file(WEB), file(omitted=(mistake,))).refusals == (str(mistake),)
    assert planned(file(omitted=(mistake,)), file(omitted=(mistake,))).refusals == ()


def test_which_sockets_a_watcher_uses() -> None:
    spec = replace(WEB, cmd="x $(circus.sockets.a)", args=("((circus.sockets.b))",), stdin_socket="C", use_sockets=True)
    assert named(spec) == {"a", "b", "c"}
    assert used(spec, {"a", "z"}) == {"a"}
    assert used(replace(WEB, use_sockets=True), {"a", "z"}) == {"a", "z"}
    assert used(WEB, {"a"}) == set()


def test_a_socket_is_another_one_when_its_address_changes() -> None:
    old = SocketSpec(name="s")
    for values, expected in (({"port": 1}, True), ({"path": "/x"}, True), ({"backlog": 1, "blocking": True}, False)):
        (change,) = changes(file(sockets=(old,)), file(sockets=(replace(old, **values),)))
        assert rebound(change) is expected
