"""The whole product of states and events, and what follows from the table."""

import itertools

import pytest

from circus.core.process_fsm import TABLE, TERMINAL, ProcessEvent, ProcessState, step
from circus.exc import IllegalTransition

S, E = ProcessState, ProcessEvent
EVENTS = [E.SPAWNED, E.SPAWN_FAILED, E.VETOED, E.READY, E.STOP, E.GRACE_OVER, E.REAP_OVER, E.REAPED, E.VANISHED]

# One row per state in the order of EVENTS; "-" is ignored, "x" illegal.
SPECIFIED = {
    S.PENDING: "STARTING FAILED FAILED x FAILED x x x x",
    S.STARTING: "x x STOPPING RUNNING STOPPING - - EXITED LOST",
    S.RUNNING: "x x - - STOPPING - - EXITED LOST",
    S.STOPPING: "x x - - STOPPING KILLING - EXITED LOST",
    S.KILLING: "x x - - KILLING - LOST EXITED LOST",
    S.EXITED: "x x - - - - - x x",
    S.FAILED: "x x - - - - - x x",
    S.LOST: "x x - - - - - - x",
}


@pytest.mark.parametrize(("state", "row"), SPECIFIED.items(), ids=lambda value: getattr(value, "name", None))
def test_every_pair_does_what_the_design_says(state, row):
    for event, cell in zip(EVENTS, row.split(), strict=True):
        if cell == "x":
            with pytest.raises(IllegalTransition):
                step(state, event)
        else:
            assert step(state, event) is (state if cell == "-" else S[cell]), event


def reachable(start):
    seen, todo = {start}, [start]
    while todo:
        for following in TABLE[todo.pop()].values():
            if following is not None and following not in seen:
                seen.add(following)
                todo.append(following)
    return seen


def test_every_state_is_reachable_from_pending():
    assert reachable(S.PENDING) == set(S)


def test_every_state_reaches_a_terminal_one():
    for state in S:
        assert reachable(state) & TERMINAL


def test_nothing_that_stops_runs_again():
    for stopping, event in itertools.product((S.STOPPING, S.KILLING), E):
        assert TABLE[stopping].get(event) not in (S.RUNNING, S.STARTING, S.PENDING)


def test_an_illegal_event_tells_the_story():
    with pytest.raises(IllegalTransition) as caught:
        step(S.EXITED, E.REAPED, subject="web:3", story=["Spawned", "Reaped"])
    assert "web:3" in str(caught.value)
    assert "Spawned, Reaped" in str(caught.value)
