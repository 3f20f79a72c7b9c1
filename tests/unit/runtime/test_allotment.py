"""A call has only so much time, and leaves no trace of that."""

import contextlib
import re
import signal
import threading

import pytest

from circus.runtime.allotment import within


@pytest.fixture
def handler():
    """A handler that somebody else has set, and finds again."""

    def theirs(*_):
        pass

    before = signal.signal(signal.SIGVTALRM, theirs)
    yield theirs
    assert signal.getsignal(signal.SIGVTALRM) is theirs
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)
    signal.signal(signal.SIGVTALRM, before)


def endless():
    re.match("(.?)" * 200 + "Q", "a" * 200)


@pytest.mark.usefixtures("handler")
def test_what_a_call_returns_is_returned():
    assert within(0.5, lambda: 5) == 5


@pytest.mark.usefixtures("handler")
def test_what_a_call_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        within(0.5, lambda: 1 / 0)


@pytest.mark.usefixtures("handler")
def test_a_call_that_takes_for_ever_is_ended():
    with pytest.raises(TimeoutError, match=r"more than 0\.05 s"):
        within(0.05, endless)


@pytest.mark.usefixtures("handler")
def test_it_is_ended_also_when_the_first_word_of_that_was_not_heard():
    def deaf():
        with contextlib.suppress(TimeoutError):  # as where what a finalizer raises is ignored
            endless()
        endless()

    with pytest.raises(TimeoutError):
        within(0.05, deaf)


def test_a_thread_calls_without_a_limit():
    results = []
    thread = threading.Thread(target=lambda: results.append(within(0.05, lambda: 7)))
    thread.start()
    thread.join()
    assert results == [7]
