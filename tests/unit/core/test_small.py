"""Exit status, retry, slots and reconcile: the arithmetic below the lifecycle."""

import pytest

from circus.core import retry
from circus.core.exit_status import LOST, ExitStatus, classify
from circus.core.process_fsm import ProcessState
from circus.core.reconcile import plan
from circus.core.slots import Slot, SlotTable


@pytest.mark.parametrize(
    ("status", "asked", "escalated", "commanded", "expected"),
    [
        (ExitStatus(exit_code=0), None, False, set(), ("completed", "process", "success", True)),
        (ExitStatus(exit_code=3), None, False, set(), ("exit_error", "process", "error", False)),
        (ExitStatus(exit_code=None, signum=11, signal="SIGSEGV"), None, False, set(), ("crash", "process", "signal", False)),
        (ExitStatus(exit_code=None, signum=9, signal="SIGKILL"), None, False, set(), ("killed", "external", "signal", False)),
        (ExitStatus(exit_code=None, signum=9, signal="SIGKILL"), None, False, {9}, ("killed", "supervisor", "success", True)),
        (ExitStatus(exit_code=1), "stopped", False, set(), ("stopped", "supervisor", "success", True)),
        (ExitStatus(exit_code=None, signum=9, signal="SIGKILL"), "stopped", True, set(),
         ("stop_timeout", "supervisor", "stop_timeout", True)),
        (ExitStatus(exit_code=0), "max_age", False, set(), ("max_age", "supervisor", "success", True)),
        (LOST, None, False, set(), ("lost", "external", "lost", False)),
    ],
)  # fmt: skip
def test_what_an_exit_means(status, asked, escalated, commanded, expected):
    verdict = classify(status, asked=asked, escalated=escalated, commanded=commanded)
    assert (verdict.reason, verdict.initiator, verdict.outcome, verdict.expected) == expected


def test_the_code_of_0_19_is_minus_the_signal():
    assert ExitStatus(exit_code=None, signum=15, signal="SIGTERM").code == -15
    assert ExitStatus(exit_code=7).code == 7
    assert LOST.code is None


def delays(failures, **options):
    options = {"backoff": 0.5, "backoff_max": 5.0, "jitter": 0.0, "random": 0.5} | options
    return retry.delay(failures, **options)


def test_three_restarts_are_immediate_then_the_wait_doubles_to_its_limit():
    assert [delays(n) for n in range(1, 10)] == [0, 0, 0, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_jitter_goes_both_ways():
    assert delays(4, jitter=0.1, random=0.0) == pytest.approx(0.45)
    assert delays(4, jitter=0.1, random=1.0) == pytest.approx(0.55)


def test_jitter_never_exceeds_the_limit():
    assert delays(20, jitter=0.1, random=1.0) == 5.0


def test_a_huge_count_is_still_the_limit():
    assert delays(10**9) == 5.0


@pytest.mark.parametrize(("failures", "limit", "gone"), [(4, 5, False), (5, 5, True), (10**6, -1, False), (1, 0, True)])
def test_when_the_attempts_are_used_up(failures, limit, gone):
    assert retry.spent(failures, limit) is gone


def test_wids_are_the_smallest_free_ones():
    table = SlotTable()
    assert [table.open().wid for _ in range(3)] == [1, 2, 3]
    table.close(2)
    assert table.open().wid == 2
    assert table.open().wid == 4


def slot(wid, state, spawned_at=0.0, respawn_as=None):
    made = Slot(wid, state)
    made.spawned_at, made.respawn_as = spawned_at, respawn_as
    return made


RUNNING, STOPPING, PENDING = ProcessState.RUNNING, ProcessState.STOPPING, ProcessState.PENDING


def test_missing_counts_what_is_not_ending():
    assert plan([slot(1, RUNNING), slot(2, STOPPING)], 3).missing == 2


def test_an_end_with_a_successor_is_not_missing():
    assert plan([slot(1, RUNNING), slot(2, STOPPING, respawn_as="max_age")], 2).missing == 0


def test_surplus_goes_waiting_first_then_unborn_then_oldest():
    slots = [slot(1, RUNNING, 5.0), slot(2, RUNNING, 3.0), slot(3, None), slot(4, PENDING), slot(5, RUNNING, 9.0)]
    assert plan(slots, 2).surplus == (3, 4, 2)
