"""The watcher's table: what leaves each state, and the words on the wire."""

import pytest

from circus.core.watcher_fsm import TABLE, WatcherEvent, WatcherState, step, wire_status
from circus.exc import IllegalTransition

S, E = WatcherState, WatcherEvent


def test_every_state_is_reachable_and_leads_back_to_stopped():
    def reachable(start):
        seen, todo = {start}, [start]
        while todo:
            for following in TABLE[todo.pop()].values():
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
        return seen

    for state in S:
        assert reachable(state) == set(S), state


@pytest.mark.parametrize("state", list(S))
def test_a_stop_is_legal_in_every_state(state):
    assert step(state, E.STOP) in (S.STOPPED, S.STOPPING)


def test_only_stopping_leads_from_up_to_down():
    for state in (S.STARTING, S.BACKOFF, S.ACTIVE, S.RELOADING):
        assert S.STOPPED not in TABLE[state].values()


def test_the_wire_knows_four_words():
    assert {wire_status(state, been_active=True) for state in S} == {"stopped", "starting", "active", "stopping"}


@pytest.mark.parametrize(("been_active", "word"), [(True, "active"), (False, "starting")])
def test_backoff_shows_what_it_was(been_active, word):
    assert wire_status(S.BACKOFF, been_active=been_active) == word


def test_what_the_table_does_not_know_is_refused():
    with pytest.raises(IllegalTransition):
        step(S.STOPPED, E.DRAINED_DOWN)
