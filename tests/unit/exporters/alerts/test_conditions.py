"""What each kind of rule says of what it looks at."""

from __future__ import annotations

from typing import Any

import pytest

from circus.spec.alerts import AlertSpec, read_alerts
from circus_exporters.alerts.conditions import Processes, of_samples, of_watcher
from circus_exporters.alerts.engine import level_of
from circus_exporters.alerts.facts import Event, Watcher
from tests.fakes import fleet

NOW = 1000.0
MIB = 1 << 20


def rule(kind: str, **options: str) -> AlertSpec:
    rules, _, mistakes = read_alerts({kind: options}, {})
    assert not mistakes
    return rules[0]


def watcher(**changes: Any) -> Watcher:
    return Watcher("web", **{"state": "active", "desired": 4, "running": 4, **changes})


def happened(*ages: float, what: str = "crash") -> Any:
    made = watcher().ends
    made.extend(Event(NOW - age, what, 1) for age in ages)
    return made


@pytest.mark.parametrize(
    ("value", "level"), [(10.1, "high"), (10.0, "band"), (7.0, "band"), (6.9, "low")]
)  # fmt: skip
def test_between_the_thresholds_it_is_what_it_was(value: float, level: str) -> None:
    assert level_of(value, 10.0, 7.0) == level


def test_without_a_second_threshold_there_is_no_between() -> None:
    assert level_of(10.0, 10.0, 10.0) == "low"


def test_flapping_counts_failures_and_knows_who_was_given_up() -> None:
    flapping = rule("flapping", above="3", window="60s")
    assert of_watcher(flapping, watcher(failures=happened(59, 40, 20)), NOW).level == "low"
    seen = of_watcher(flapping, watcher(failures=happened(59, 40, 20, 1)), NOW)
    assert (seen.level, seen.value, seen.threshold) == ("high", 4, 3)
    assert of_watcher(flapping, watcher(failures=happened(61, 40, 20, 1)), NOW).level == "low"
    assert of_watcher(flapping, watcher(state="fatal"), NOW).level == "high"
    seldom = watcher(state="backoff", failures=happened(30), in_a_row=9)  # it waits longer and longer
    assert of_watcher(flapping, seldom, NOW).level == "high"
    assert of_watcher(flapping, watcher(state="reloading", failures=happened(4, 3, 2, 1)), NOW).level == "high"


def test_exit_counts_the_ends_that_were_asked_for() -> None:
    oom = rule("exit", reasons="oom, crash", window="5m")
    assert of_watcher(oom, watcher(ends=happened(10, what="crash")), NOW).level == "high"
    assert of_watcher(oom, watcher(ends=happened(10, what="exit_error")), NOW).level == "low"
    assert of_watcher(oom, watcher(ends=happened(301, what="oom")), NOW).level == "low"


def test_a_hook_counts_when_it_is_meant() -> None:
    failed = rule("hook_failed", hooks="before_start")
    assert of_watcher(failed, watcher(hooks=happened(1, what="before_start")), NOW).level == "high"
    assert of_watcher(failed, watcher(hooks=happened(1, what="after_stop")), NOW).level == "low"


@pytest.mark.parametrize(
    ("running", "down", "missing"),
    [(4, "low", "low"), (3, "low", "low"), (2, "low", "high"), (0, "high", "high")],
)
def test_down_and_missing_look_at_what_runs(running: int, down: str, missing: str) -> None:
    assert of_watcher(rule("down"), watcher(running=running), NOW).level == down
    assert of_watcher(rule("replicas_missing", below="75"), watcher(running=running), NOW).level == missing


@pytest.mark.parametrize("kind", ["down", "replicas_missing", "silent_output", "stuck_reload"])
@pytest.mark.parametrize("state", ["stopped", "stopping", "waiting"])
def test_what_nobody_wants_to_run_is_gone(kind: str, state: str) -> None:
    seen = of_watcher(rule(kind), watcher(state=state, running=0, reload_started=0.0, output_changed=0.0), NOW)
    assert seen.level == "gone"


def test_what_was_given_up_is_down() -> None:
    assert of_watcher(rule("down"), watcher(state="fatal", running=0), NOW).level == "high"


@pytest.mark.parametrize("kind", ["down", "replicas_missing", "silent_output"])
def test_a_planned_reload_and_a_start_are_not_judged(kind: str) -> None:
    quiet = {"running": 0 if kind != "silent_output" else 4, "output_changed": 0.0, "output_seen": True}
    assert of_watcher(rule(kind), watcher(**quiet), NOW).level == "high"
    assert of_watcher(rule(kind), watcher(state="reloading", **quiet), NOW).level == "hold"
    seen = of_watcher(rule(kind), watcher(state="starting", grace_until=NOW + 1, **quiet), NOW)
    assert (seen.level, seen.early) == ("hold", True)
    assert of_watcher(rule(kind), watcher(state="starting", grace_until=NOW - 1, **quiet), NOW).level == "high"


def test_a_watcher_that_should_have_no_processes_misses_none() -> None:
    assert of_watcher(rule("down"), watcher(desired=0, running=0), NOW).level == "gone"


def test_a_reload_is_stuck_after_a_while() -> None:
    stuck = rule("stuck_reload", above="10m")
    assert of_watcher(stuck, watcher(state="reloading", reload_started=NOW - 601), NOW).level == "high"
    assert of_watcher(stuck, watcher(state="reloading", reload_started=NOW - 599), NOW).level == "low"
    assert of_watcher(stuck, watcher(), NOW).level == "low"


def test_silence_is_over_only_when_something_was_written_before_our_eyes() -> None:
    silent = rule("silent_output", above="10m")
    assert of_watcher(silent, watcher(output_changed=NOW - 5), NOW).level == "hold"
    assert of_watcher(silent, watcher(output_changed=NOW - 5, output_seen=True), NOW).level == "low"
    assert of_watcher(silent, watcher(output_changed=NOW - 601), NOW).level == "high"
    assert of_watcher(silent, watcher(), NOW).level == "hold"
    assert of_watcher(silent, watcher(running=0, output_changed=0.0), NOW).level == "hold"


def test_samples_are_stale_beyond_ten_intervals_at_least() -> None:
    stale = rule("stats_stale", above="5s")
    assert of_samples(stale, 6.0, 0.5).level == "high"
    assert of_samples(stale, 6.0, 1.0).level == "low"
    assert of_samples(stale, 10.5, 1.0).level == "high"


# Processes


def test_memory_is_compared_with_bytes_or_with_the_limit_of_the_watcher() -> None:
    processes, web = Processes(), watcher(memory_limit=100 * MIB)
    process = fleet.process(1, resident_bytes=95 * MIB, unique_bytes=10 * MIB)
    assert processes.see(rule("memory", above="90MiB"), web, process, NOW).level == "high"
    assert processes.see(rule("memory", above="96MiB"), web, process, NOW).level == "low"
    assert processes.see(rule("memory", above="90%"), web, process, NOW).level == "high"
    assert processes.see(rule("memory", above="90%"), watcher(), process, NOW).level == "low"
    assert processes.see(rule("memory", above="50MiB", of="uss"), web, process, NOW).level == "low"
    assert processes.see(rule("memory", above="50MiB", of="tree"), web, process, NOW).level == "hold"


def test_descriptors_are_compared_with_the_limit_of_the_process() -> None:
    processes = Processes()
    process = fleet.process(1, open_fds=950, max_fds=1000)
    assert processes.see(rule("fds"), watcher(), process, NOW).level == "high"
    assert processes.see(rule("fds", above="960"), watcher(), process, NOW).level == "low"
    assert processes.see(rule("fds", above="940"), watcher(), process, NOW).level == "high"


def test_cpu_is_the_mean_of_the_window() -> None:
    processes, busy = Processes(), rule("cpu", above="90%", window="10s")
    levels = []
    for second in range(14):
        used = fleet.process(1, cpu_user_seconds=0.95 * second, cpu_system_seconds=1.0)
        levels.append(processes.see(busy, watcher(), used, NOW + second).level)
    assert set(levels[:9]) == {"hold"}
    assert set(levels[10:]) == {"high"}
    idle = fleet.process(1, 77, cpu_user_seconds=0.0, cpu_system_seconds=0.0)
    assert processes.see(busy, watcher(), idle, NOW + 14).level == "hold"  # another process


def test_growth_is_told_of_what_grows_and_not_of_a_moment() -> None:
    grows = rule("memory_growth", above="50MiB", window="100s")

    def last(memory: list[int]) -> Any:
        processes = Processes()
        for second, size in enumerate(memory):
            seen = processes.see(grows, watcher(), fleet.process(1, resident_bytes=size * MIB), NOW + second)
        return seen

    steady = [100] * 100
    assert last(steady).level == "low"
    assert last([*steady, 400]).level == "low"
    assert last(list(range(100, 200))).level == "high"
    assert last(list(range(100, 140))).level == "hold"  # too young
    assert 80 * MIB < last(list(range(100, 200))).value <= 100 * MIB


def test_growth_in_percent_is_of_what_there_was() -> None:
    processes, doubled = Processes(), rule("memory_growth", above="100%", window="100s")
    seen = [
        processes.see(doubled, watcher(), fleet.process(1, resident_bytes=(100 + 2 * second) * MIB), NOW + second)
        for second in range(101)
    ]
    assert seen[-1].level == "high"
    assert seen[-1].threshold == 100 * MIB


def test_nothing_is_kept_of_what_is_gone() -> None:
    processes, busy = Processes(), rule("cpu", window="10s")
    for wid in (1, 2):
        processes.see(busy, watcher(), fleet.process(wid), NOW)
    processes.forget("web", {2})
    assert [key[2] for key in processes._trails] == [2]
