"""The table, folded from samples, telemetry, and the stats of circus 0.19."""

from __future__ import annotations

from typing import Any

import pytest

from circus.stats.viewer.view import View, size_of
from circus.wire.samples import ProcessSample, WatcherSample
from tests.fakes import fleet

T = fleet.STARTED + 1000


def sample(name: str, *processes: ProcessSample, time: float = T, **changes: object) -> WatcherSample:
    """Old processes, so that one reading tells no percentage."""
    return fleet.sample(name, time=time, processes=list(processes), **changes)


def process(wid: int = 1, cpu: float = 10.0, **changes: object) -> ProcessSample:
    return fleet.process(wid, cpu_user_seconds=cpu, cpu_system_seconds=0.0, **changes)


def view_of(*samples: WatcherSample, now: float = 1.0) -> View:
    view = View()
    for one in samples:
        view.take_sample(one, now)
    return view


def test_nothing_is_known_before_something_was_heard() -> None:
    view = View()
    assert view.heard is None
    assert not view.silent(1000.0)
    assert view.cpu_percent() is None


def test_a_sample_brings_a_watcher_with_its_processes() -> None:
    view = view_of(sample("web", process(1), process(2, resident_bytes=1000, threads=3, open_fds=9)))
    second = view.watchers["web"].processes[2]
    assert (second.pid, second.memory_bytes, second.threads, second.open_fds) == (1002, 1000, 3, 9)
    assert second.age_seconds == pytest.approx(T - (fleet.STARTED + 2))


def test_cpu_comes_from_two_samples() -> None:
    view = view_of(sample("web", process(cpu=10.0)))
    assert view.watchers["web"].processes[1].cpu_percent is None
    view.take_sample(sample("web", process(cpu=10.5), time=T + 2), 3.0)
    assert view.watchers["web"].processes[1].cpu_percent == pytest.approx(25.0)


def test_the_cpu_of_a_watcher_counts_processes_that_ended_between_two_samples() -> None:
    view = view_of(fleet.sample("web", time=T, processes=[]))
    later = fleet.sample("web", time=T + 1, processes=[])
    later.totals.cpu_user_seconds += 0.75
    view.take_sample(later, 2.0)
    assert view.cpu_percent() == pytest.approx(75.0)


def test_a_newborn_process_has_its_cpu_from_its_first_sample_on() -> None:
    view = view_of(sample("web", process(cpu=0.5, started=T - 1)))
    assert view.watchers["web"].processes[1].cpu_percent == pytest.approx(50.0)


def test_a_new_pid_in_a_slot_starts_anew() -> None:
    view = view_of(sample("web", process(cpu=50.0)))
    view.take_sample(sample("web", process(cpu=60.0, pid=77), time=T + 1), 2.0)
    assert view.watchers["web"].processes[1].cpu_percent is None


def test_a_process_that_a_sample_lacks_is_gone_at_once() -> None:
    view = view_of(sample("web", process(1), process(2)))
    view.take_sample(sample("web", process(1), time=T + 1), 2.0)
    assert list(view.watchers["web"].processes) == [1]


def test_it_is_noticed_that_processes_come_and_go() -> None:
    view = view_of(sample("web", process(1)))
    seen = view.grown
    view.take_sample(sample("web", process(1), time=T + 1), 2.0)
    assert view.grown == seen
    view.take_sample(sample("web", process(1), process(2), time=T + 2), 3.0)
    assert view.grown > seen
    seen = view.grown
    view.take_sample(sample("web", process(1), time=T + 3), 4.0)
    assert view.grown > seen


def test_shares_of_memory_are_of_the_machine_that_the_daemon_runs_on() -> None:
    view = view_of(sample("web", process(1, resident_bytes=250)))
    assert view.watchers["web"].processes[1].memory_percent is None
    view.take_daemon(fleet.daemon_sample(machine_memory_bytes=1000), 1.0)
    assert view.watchers["web"].processes[1].memory_percent == pytest.approx(25.0)


def test_another_life_of_the_daemon_begins_with_nothing() -> None:
    view = view_of(sample("web", process(1)))
    view.take_sample(sample("api", process(1), boot="another"), 2.0)
    assert list(view.watchers) == ["api"]


def test_telemetry_tells_states_restarts_and_exits() -> None:
    view = view_of(sample("web", process(1)))
    counters = fleet.counters(restarts={"crash": 3, "manual": 1})
    view.take_telemetry(
        fleet.telemetry(fleet.watcher("web", 2, state="backoff", counters=counters, last_exit=fleet.last_exit()))
    )
    web = view.watchers["web"]
    assert (web.state, web.desired, web.restarts) == ("backoff", 2, 4)
    assert web.last_exit == fleet.last_exit()


def test_telemetry_brings_watchers_that_have_no_process() -> None:
    view = view_of(sample("web", process(1)))
    view.take_telemetry(fleet.telemetry(fleet.watcher("web"), fleet.watcher("idle", 0, state="stopped")))
    assert view.watchers["idle"].state == "stopped"


def test_a_watcher_that_telemetry_lacks_is_gone() -> None:
    view = view_of(sample("web", process(1)), sample("old", process(1)))
    view.take_telemetry(fleet.telemetry(fleet.watcher("web"), time=T + 1))
    assert list(view.watchers) == ["web"]


def test_a_watcher_that_came_after_telemetry_was_asked_stays() -> None:
    view = view_of(sample("web", process(1)), sample("new", process(1), time=T + 5))
    view.take_telemetry(fleet.telemetry(fleet.watcher("web"), time=T + 1))
    assert set(view.watchers) == {"web", "new"}


def test_telemetry_of_a_daemon_that_is_no_more_is_passed_over() -> None:
    view = view_of(sample("web", process(1)))
    view.take_telemetry(fleet.telemetry(fleet.watcher("old"), boot="before"))
    assert list(view.watchers) == ["web"]


def test_a_daemon_is_silent_after_its_pace_and_the_timeout_have_passed() -> None:
    view = view_of(sample("web", process(1)), now=100.0)
    assert not view.silent(102.9)
    assert view.silent(103.1)
    view.take_daemon(fleet.daemon_sample(interval_seconds=10.0), 100.0)
    assert not view.silent(124.0)
    assert view.silent(126.0)


def test_a_silent_daemon_leaves_watchers_without_processes_and_states() -> None:
    view = view_of(sample("web", process(1)))
    view.take_telemetry(fleet.telemetry(fleet.watcher("web", last_exit=fleet.last_exit())))
    view.expire(100.0)
    web = view.watchers["web"]
    assert (web.processes, web.waiting, web.state, web.cpu_percent) == ({}, [], None, None)
    assert web.last_exit is not None
    assert view.daemon is None


def test_processes_that_nothing_is_heard_of_are_dropped_while_others_speak() -> None:
    view = view_of(sample("old", process(1)), now=1.0)
    view.take_sample(sample("web", process(1)), 5.0)
    view.expire(5.0)
    assert not view.watchers["old"].processes
    assert view.watchers["web"].processes


def test_the_timeout_of_processes_can_be_chosen() -> None:
    view = View(process_timeout=60.0)
    view.take_sample(sample("web", process(1)), 1.0)
    view.expire(50.0)
    assert view.watchers["web"].processes


def test_loop_lag_is_told_of_the_last_minute() -> None:
    view = View()
    for second in range(70):
        lag = fleet.histogram(*([3.0] * 50), *([0.002] * second))
        view.take_daemon(fleet.daemon_sample(second + 1, time=T + second, loop_lag=lag), float(second))
    assert view.daemon is not None
    assert view.daemon.lateness is not None
    assert view.daemon.lateness.mean_seconds == pytest.approx(0.002)
    assert view.daemon.lateness.p99_seconds == fleet.BOUNDS[0]


# -- circus 0.19 --------------------------------------------------------------------------------------------------------


def info(pid: int, **changes: object) -> dict[str, Any]:
    """As circus 0.19 publishes it."""
    fields = {
        "mem_info1": "1.50M", "mem_info2": "2.44M", "cpu": 2.5, "mem": 0.006, "ctime": "0:00.0", "pid": pid,
        "username": "root", "nice": 0, "create_time": 1795465278.63, "age": 2.01, "cmdline": "sleep", "children": [],
        "subtopic": pid, "name": None,
    }  # fmt: skip
    return {**fields, **changes}


def old_view() -> View:
    view = View()
    view.take_stat("dummy", "7", info(7), 1.0)
    view.take_stat("dummy", "8", info(8), 1.0)
    view.take_stat("dummy", None, {"pid": [7, 8], "cpu": 2.5, "mem": 0.012, "age": 2.01}, 1.0)
    return view


def test_the_strings_of_0_19_become_numbers() -> None:
    process = old_view().watchers["dummy"].processes[7]
    assert (process.cpu_percent, process.memory_bytes, process.memory_percent) == (2.5, 1572864, 0.006)
    assert process.age_seconds == 2.01
    assert process.state is None


def test_sums_of_0_19_are_sums() -> None:
    dummy = old_view().watchers["dummy"]
    assert dummy.cpu_percent == pytest.approx(5.0)
    assert dummy.memory_percent == pytest.approx(0.012)


def test_a_pid_that_the_sums_of_0_19_lack_is_gone() -> None:
    view = old_view()
    view.take_stat("dummy", None, {"pid": [8], "cpu": 2.5, "mem": 0.012, "age": 2.01}, 2.0)
    assert list(view.watchers["dummy"].processes) == [8]


def test_what_0_19_does_not_know_is_unknown() -> None:
    view = View()
    view.take_stat("dummy", "7", info(7, cpu="N/A", mem="N/A", mem_info1="N/A", age="N/A"), 1.0)
    process = view.watchers["dummy"].processes[7]
    assert process.cpu_percent is process.memory_bytes is process.memory_percent is process.age_seconds is None


def test_the_daemons_own_processes_have_names_in_0_19() -> None:
    view = View()
    view.take_stat("circus", "5", info(5, name="circusd"), 1.0)
    view.take_stat("circusd-stats", "6", info(6), 1.0)
    assert list(view.watchers) == ["circus"]
    assert view.watchers["circus"].processes[5].name == "circusd"


def test_the_sockets_of_0_19_have_hits() -> None:
    view = View()
    view.take_stat("sockets", "9", {"fd": 9, "subtopic": 9, "reads": 12, "address": "127.0.0.1:80"}, 1.0)
    view.take_stat("sockets", None, {"addresses": ["127.0.0.1:80"], "reads": 12}, 1.0)
    assert view.hits == {"127.0.0.1:80": 12}
    assert not view.watchers


def test_a_daemon_of_this_release_takes_the_place_of_one_of_0_19() -> None:
    view = old_view()
    assert view.legacy
    view.take_sample(sample("web", process(1)), 2.0)
    assert not view.legacy
    assert list(view.watchers) == ["web"]


@pytest.mark.parametrize(
    ("text", "size"), [("512B", 512), ("8.02M", 8409580), ("1.00K", 1024), ("N/A", None), ("", None), (None, None)]
)
def test_sizes_of_0_19_are_read(text: str | None, size: int | None) -> None:
    assert size_of(text) == size
