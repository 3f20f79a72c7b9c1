"""What is noted of workers: whose, and what of their making is compared."""

from __future__ import annotations

from typing import Any

import pytest

from circus.ledger import making, policy_of
from circus.spec.streams import StreamSpec
from circus.spec.watcher import Orphans, WatcherSpec


@pytest.mark.parametrize(
    ("own", "default", "role", "policy"),
    [
        (None, "ignore", "worker", "ignore"),
        (None, "adopt", "worker", "adopt"),
        ("ignore", "adopt", "worker", "ignore"),
        ("adopt", "ignore", "worker", "adopt"),
        (None, "adopt", "plugin", "kill"),
        (None, "adopt", "exporter", "kill"),
        (None, "kill", "plugin", "kill"),
        ("ignore", "adopt", "plugin", "ignore"),
    ],
)
def test_whose_processes_have_which_policy(own: Orphans | None, default: Orphans, role: Any, policy: str) -> None:
    assert policy_of(WatcherSpec(name="web", orphans=own, role=role), default) == policy


def made(**options: Any) -> dict[str, str]:
    return making(WatcherSpec(name="web", **({"cmd": "sleep 1"} | options)), "salt")


@pytest.mark.parametrize(
    "options",
    [
        {"cmd": "sleep 2"},
        {"env": {"HOME": "/"}},
        {"uid": 12},
        {"rlimits": {"nofile": 100}},
        {"use_sockets": True},
        {"stdout_stream": StreamSpec(cls="FileStream", options={"filename": "x"})},
        {"parent_death_signal": 9},
    ],
)
def test_what_only_another_process_would_get_makes_a_difference(options: dict[str, Any]) -> None:
    assert made(**options) != made()


@pytest.mark.parametrize(
    "options",
    [{"numprocesses": 7}, {"graceful_timeout": 1.0}, {"stop_signal": 2}, {"orphans": "kill"}, {"priority": 3}],
)
def test_what_is_in_force_for_those_who_run_makes_none(options: dict[str, Any]) -> None:
    assert made(**options) == made()


def test_where_captured_output_goes_makes_no_difference() -> None:
    def into(name: str) -> dict[str, str]:
        return made(stdout_stream=StreamSpec(cls="FileStream", options={"filename": name}))

    assert into("one") == into("other")


def test_no_value_stands_in_it_and_another_salt_gives_something_else() -> None:
    spec = WatcherSpec(name="web", cmd="sleep 1", env={"PASSWORD": "correct horse"})
    assert "horse" not in repr(making(spec, "one"))
    assert making(spec, "one") != making(spec, "other")
