"""Which alerts a silence covers, and until when."""

from __future__ import annotations

import pytest

from circus.exc import CircusError, MessageError
from circus.silences import MOST, Silences
from circus.wire.alerts import Alert, NewSilence

NOW = 1000.0


def alert(name: str = "leak", watcher: str | None = "web", wid: int | None = 1) -> Alert:
    return Alert(
        alert=name, kind="memory", watcher=watcher, wid=wid, severity="warning", since=1.0, fired=2.0, seq=3,
        value=None, threshold=None, unit=None, labels={}, annotations={},
    )  # fmt: skip


def add(silences: Silences, **wanted) -> int:
    spec = NewSilence(**({"seconds": 60.0} | wanted))
    return silences.add(spec, NOW, author="uid:0", watchers=["Web", "web-2", "db"], alerts=["leak", "flap"]).id


@pytest.mark.parametrize(
    ("wanted", "covered"),
    [
        ({}, {"leak web 1", "leak db 2", "flap None None"}),
        ({"watcher": "WEB"}, {"leak web 1"}),
        ({"watcher": "web*", "alert": "l*"}, {"leak web 1"}),
        ({"alert": "FLAP"}, {"flap None None"}),
        ({"wid": 2}, {"leak db 2"}),
        ({"watcher": "web", "wid": 2}, set()),
    ],
)
def test_what_a_silence_covers(wanted, covered) -> None:
    silences = Silences()
    add(silences, **wanted)
    alerts = [alert(), alert(watcher="db", wid=2), alert("flap", None, None)]
    assert {f"{each.alert} {each.watcher} {each.wid}" for each in alerts if silences.covering(each)} == covered


def test_the_oldest_that_covers_is_told_and_the_next_one_after_it() -> None:
    silences = Silences()
    first, second = add(silences), add(silences, watcher="web")
    assert (first, second) == (1, 2)
    assert silences.covering(alert()) == first
    assert silences.remove(first).id == first
    assert silences.covering(alert()) == second
    assert silences.covering(alert(watcher="db")) is None


def test_ids_are_not_used_again() -> None:
    silences = Silences()
    silences.remove(add(silences))
    assert add(silences) == 2


def test_the_end_is_in_seconds_or_at_a_time() -> None:
    silences = Silences()
    add(silences, seconds=60.0)
    add(silences, seconds=None, until=1030.0)
    assert [silence.until for silence in silences.all()] == [1060.0, 1030.0]
    assert silences.first_end() == 1030.0
    assert silences.over(1029.9) == []
    assert silences.over(1030.0) == [2]
    assert silences.over(2000.0) == [1, 2]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"seconds": None}, "needs either 'seconds' or 'until'"),
        ({"seconds": 1.0, "until": 2000.0}, "needs either 'seconds' or 'until'"),
        ({"seconds": 0.0}, "has to end in the future"),
        ({"seconds": -5.0}, "in the future, and not 5 seconds ago"),
        ({"seconds": None, "until": 900.0}, "in the future, and not 100 seconds ago"),
        ({"seconds": 1e9}, "within ten years"),
        ({"watcher": "wbe"}, "program wbe not found"),
        ({"watcher": "x*"}, r"program x\* not found"),
        ({"alert": "laek"}, "there is no alert laek; there are flap, leak"),
        ({"watcher": ""}, "'watcher' isn't a name or glob"),
        ({"watcher": "w" * 201}, "'watcher' isn't a name or glob"),
        ({"alert": ""}, "'alert' isn't a name or glob"),
        ({"comment": "x" * 1001}, "at most 1000 characters"),
        ({"watcher": "[" * 1001}, "at most 1000 characters"),
        ({"alert": "[" * 1001}, "at most 1000 characters"),
        ({"author": "x" * 1001}, "at most 1000 characters"),
    ],
)
def test_a_silence_that_makes_no_sense_is_refused(wanted, told) -> None:
    silences = Silences()
    with pytest.raises(MessageError, match=told):
        add(silences, **wanted)
    assert len(silences) == 0


def test_a_glob_of_stars_takes_no_time() -> None:
    silences = Silences()
    with pytest.raises(MessageError, match="not found"):
        add(silences, watcher="*a" * 90 + "b")


def test_their_number_is_bounded() -> None:
    silences = Silences()
    for _ in range(MOST):
        add(silences)
    with pytest.raises(CircusError, match="there are 200 silences"):
        add(silences)
    with pytest.raises(MessageError, match="no silence 201"):
        silences.remove(201)
