"""What becomes of workers that outlived their circusd."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from circus.core.statefile import Recipe, Worker
from circus.core.survivors import Survivor, Verdict, judge
from circus.spec.watcher import WatcherSpec

SPEC = WatcherSpec(name="web", orphans="adopt", stop_signal=2, graceful_timeout=5.0, kill_scope="tree")


def survivor(pid: int = 100, wid: int = 1, **details: Any) -> Survivor:
    recipe: dict[str, Any] = {
        "id": 1,
        "watcher": "web",
        "role": "worker",
        "policy": "adopt",
        "scope": "group",
        "stop_signal": 1,
        "graceful_timeout": 1.0,
        "salt": "s",
        "options": {"cmd": "1"},
    }
    own = {key: details.pop(key) for key in list(details) if key in ("noted", "broken")}
    worker = {key: details.pop(key) for key in list(details) if key == "first"}
    made = Worker(recipe=1, wid=wid, generation=1, pid=pid, **({"first": 5, "last": 6} | worker), time=1.0)
    return Survivor(worker=made, recipe=Recipe(**(recipe | details)), mark="m", **own)


def decide(*survivors: Survivor, spec: WatcherSpec | None = SPEC, **details: Any) -> list[Verdict]:
    def making(_: WatcherSpec, salt: str) -> Mapping[str, str]:
        assert salt == "s"
        return {"cmd": "1"}

    specs = {} if spec is None else {spec.name: spec}
    known: dict[str, Any] = {"policy": lambda each: each.orphans or "ignore", "making": making, "lost_sockets": {}}
    return judge(survivors, specs=specs, **(known | details))


@pytest.mark.parametrize(("policy", "fate"), [("ignore", "leave"), ("kill", "end"), ("adopt", "take")])
def test_the_policy_of_the_watcher_as_it_is_now_decides(policy: Any, fate: str) -> None:
    (verdict,) = decide(survivor(policy="kill"), spec=WatcherSpec(name="web", orphans=policy))
    assert (verdict.fate, verdict.why) == (fate, None)


def test_it_is_ended_as_the_watcher_says_now() -> None:
    (verdict,) = decide(survivor())
    assert (verdict.stop_signal, verdict.graceful_timeout, verdict.scope) == (2, 5.0, "tree")


@pytest.mark.parametrize("policy", ["kill", "adopt"])
def test_without_a_watcher_it_is_ended_as_was_said_then(policy: str) -> None:
    (verdict,) = decide(survivor(policy=policy), spec=None)
    assert (verdict.fate, verdict.why) == ("end", "there is no such watcher any more")
    assert (verdict.stop_signal, verdict.graceful_timeout, verdict.scope) == (1, 1.0, "group")


@pytest.mark.parametrize(
    ("details", "why"),
    [
        ({"noted": False}, "it was not noted"),
        ({"broken": "its stdout cannot be opened"}, "its stdout cannot be opened"),
        ({"role": "plugin"}, "it was no worker"),
        ({"sockets": ("http",)}, "socket 'http' is lost"),
    ],
)
def test_who_cannot_be_taken_over_is_ended_and_why_is_said(details: dict[str, Any], why: str) -> None:
    (verdict,) = decide(survivor(**details), lost_sockets={"http": "is lost"})
    assert (verdict.fate, verdict.why) == ("end", why)


def test_a_socket_that_it_does_not_have_is_nothing_to_it() -> None:
    (verdict,) = decide(survivor(sockets=("other",)), lost_sockets={"http": "is lost"})
    assert verdict.fate == "take"


def test_of_two_in_one_slot_the_newer_is_taken_over() -> None:
    verdicts = decide(survivor(100), survivor(101, first=6), survivor(102, wid=2))
    assert [verdict.fate for verdict in verdicts] == ["end", "take", "take"]
    assert verdicts[0].why == "another one has its place"


def test_who_was_made_otherwise_is_taken_over_and_known_to_be_outdated() -> None:
    (verdict,) = decide(survivor(options={"cmd": "2", "uid": "3"}))
    assert (verdict.fate, verdict.outdated) == ("take", ("cmd", "uid"))
