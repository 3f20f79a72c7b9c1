"""Sums and averages over the processes of a watcher."""

from __future__ import annotations

from circus.stats import aggregate


def info(pid, cpu=0.0, mem=0.1, age=1.0):
    return {"pid": pid, "cpu": cpu, "mem": mem, "age": age}


def test_averages_are_mean_sum_and_oldest():
    assert aggregate.averages([info(1, 10.0, 0.006, 3.5), info(2, 20.0, 0.006, 2.0)]) == {
        "pid": [1, 2],
        "cpu": 15.0,
        "mem": 0.012,
        "age": 3.5,
    }


def test_keys_come_in_the_order_of_0_19():
    assert list(aggregate.averages([info(1)])) == ["pid", "cpu", "mem", "age"]


def test_processes_without_a_number_do_not_count():
    assert aggregate.averages([info(1, "N/A"), info(2, 30.0)])["cpu"] == 30.0


def test_no_process_at_all_has_no_numbers():
    assert aggregate.averages([]) == {"pid": [], "cpu": "N/A", "mem": "N/A", "age": "N/A"}


def test_totals_do_not_go_below_what_was_told():
    told = aggregate.totals([], (1.0, 2.0), (1.5, 1.0))
    assert (told.cpu_user_seconds, told.cpu_system_seconds) == (1.5, 2.0)
